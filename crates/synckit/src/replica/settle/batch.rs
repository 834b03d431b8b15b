//! Conflicts that are read, decided and committed together.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use synckit_core::{AggregateId, Error, Event, EventStore, Note, NoteQuery, Query, Result};
use synckit_plan::{Conflict, Ruling, notes};
use tokio::sync::mpsc;

use crate::blocking::blocking;
use crate::bound::{Place, read_to};
use crate::replica::settle::Resolving;

/// The maximum number of conflicts in a batch.
const CONFLICTS: usize = 2_000;

/// The maximum size of the events in a batch, in bytes by [`Event::size`], unless a single history is larger. It bounds
/// the memory, whatever the number of conflicts.
const BYTES: usize = 4 << 20;

/// Listed conflicts, each with the history of its aggregate.
struct Batch {
    histories: BTreeMap<AggregateId, Vec<Event>>,
    /// The values of the notes by which they wait for a resolver, before the histories were read.
    waiting: HashMap<AggregateId, Vec<u8>>,
    /// The last conflict.
    upto: AggregateId,
    /// The place up to which the log was read.
    read: Place,
}

impl Batch {
    /// Reads conflicts after this aggregate, all that are listed or those that wait; `None` when there are no more.
    async fn read(store: &impl EventStore, all: bool, after: Option<&AggregateId>) -> Result<Option<Batch>> {
        let prefix = if all { notes::CONFLICTS } else { notes::WAITING_CONFLICTS };
        let after = after.map_or_else(String::new, |after| format!("{prefix}{after}"));
        let query = NoteQuery::Prefix { prefix: prefix.to_owned(), after, limit: CONFLICTS };
        let mut found = store.notes(query).await?;
        let aggregate = |note: &Note, prefix: &str| AggregateId::new(&note.key[prefix.len()..]);
        let mut histories = BTreeMap::new();
        for note in &found {
            histories.insert(aggregate(note, prefix)?, Vec::new());
        }
        if all && !found.is_empty() {
            found = store.notes(NoteQuery::Keys(histories.keys().map(notes::waiting).collect())).await?;
        }
        let mut waiting = HashMap::with_capacity(found.len());
        for note in found {
            waiting.insert(aggregate(&note, notes::WAITING_CONFLICTS)?, note.value);
        }
        let (mut bytes, mut after, mut more) = (0, 0, !histories.is_empty());
        let mut read = (0, None);
        while more {
            let query = Query::after(after).of_aggregates(histories.keys().cloned());
            let page = store.read(query.at_most(usize::MAX, BYTES)).await?;
            (after, more, read) = (page.scanned_to, page.more, read_to(&page));
            for event in page.events.into_iter().map(|stored| stored.event) {
                if let Some(history) = histories.get_mut(&event.aggregate_id) {
                    bytes += event.size();
                    history.push(event);
                }
            }
            // What does not fit is left for the next batch.
            while bytes > BYTES
                && histories.len() > 1
                && let Some((_, history)) = histories.pop_last()
            {
                bytes -= history.iter().map(Event::size).sum::<usize>();
            }
        }
        let upto = histories.last_key_value().map(|(last, _)| last.clone());
        Ok(upto.map(|upto| Batch { histories, waiting, upto, read }))
    }

    fn decide(self, resolving: &Resolving) -> Decisions {
        let name = resolving.resolver.name();
        let (mut conflicts, mut unreadable) = (Vec::with_capacity(self.histories.len()), Vec::new());
        let mut none = BTreeSet::new();
        for (aggregate, history) in self.histories {
            match Conflict::in_history(history) {
                Ok(Some(conflict)) => conflicts.push(conflict),
                Ok(None) => drop(none.insert(aggregate)),
                Err(error) => unreadable.push((aggregate, error)),
            }
        }
        let conflicts = Arc::new(conflicts);
        let rulings = conflicts.iter().zip(resolving.ask(&conflicts));
        let verdict =
            |(conflict, ruling): (&Conflict, Result<Ruling>)| Ok(Verdict::of(name, conflict, ruling?));
        let verdicts = rulings.map(verdict).collect();
        Decisions { conflicts, verdicts, none, unreadable, waiting: self.waiting, read: self.read }
    }
}

/// The result for the conflicts of a batch, before anything is committed.
pub(super) struct Decisions {
    pub(super) conflicts: Arc<Vec<Conflict>>,
    /// One for each of the conflicts.
    pub(super) verdicts: Vec<Result<Verdict>>,
    /// Listed aggregates that are not in conflict: settled in the meantime, or never in conflict.
    pub(super) none: BTreeSet<AggregateId>,
    /// Histories that cannot be read.
    pub(super) unreadable: Vec<(AggregateId, Error)>,
    /// The values of the notes by which the conflicts waited.
    pub(super) waiting: HashMap<AggregateId, Vec<u8>>,
    /// The place up to which the log was read for them.
    pub(super) read: Place,
}

/// A ruling, and the resolution that records it.
pub(super) struct Verdict {
    pub(super) rule: Option<String>,
    pub(super) reason: Option<String>,
    /// Who decided.
    pub(super) by: String,
    /// `None` if it is left for a person.
    pub(super) resolution: Result<Option<Event>>,
}

impl Verdict {
    fn of(name: &str, conflict: &Conflict, ruling: Ruling) -> Self {
        let (rule, reason) = (ruling.rule.clone(), ruling.reason.clone());
        let by = rule.as_ref().map_or_else(|| name.to_owned(), |rule| format!("{name}: {rule}"));
        Verdict { rule, reason, by, resolution: conflict.settle(ruling, name) }
    }
}

/// Reads and decides conflicts, all that are listed or those that wait, batch by batch, until something fails or nobody
/// receives them.
pub(super) async fn decide_all(
    store: &impl EventStore,
    resolving: &Resolving,
    all: bool,
    ready: mpsc::Sender<Result<Decisions>>,
) {
    let mut batch = Batch::read(store, all, None).await;
    loop {
        let decided = match batch {
            Ok(None) => return,
            Ok(Some(one)) => {
                let upto = one.upto.clone();
                let next = Batch::read(store, all, Some(&upto));
                let decided;
                (batch, decided) = tokio::join!(biased; next, decide(resolving.clone(), one));
                decided
            }
            Err(error) => {
                batch = Ok(None);
                Err(error)
            }
        };
        if ready.send(decided).await.is_err() {
            return;
        }
    }
}

/// Decides off the runtime, since a resolver is foreign code. It always returns: it waits with a time limit, and for a
/// bounded number of threads.
async fn decide(resolving: Resolving, batch: Batch) -> Result<Decisions> {
    blocking(move || Ok(batch.decide(&resolving))).await
}

#[cfg(test)]
mod tests {
    use synckit_core::{Data, Limits, NewEvent, NodeId};
    use synckit_memory::MemoryStore;
    use synckit_plan::Receive;
    use synckit_plan::StoreExt;

    use super::*;
    use crate::Replica;

    /// Creates a store in which this node has written 200 KB about each of these aggregates.
    async fn written(node: &str, aggregates: &[String]) -> MemoryStore {
        let store = MemoryStore::new(NodeId::new(node).expect("valid")).expect("randomness");
        let replica = Replica::new(store.clone());
        for aggregate in aggregates {
            let large = NewEvent::with_data("Scanned", aggregate, Data::bytes(vec![1; 200_000]));
            replica.record([large.expect("valid")]).await.expect("recorded");
        }
        store
    }

    #[tokio::test]
    async fn what_is_held_is_bounded_and_no_conflict_is_left_out() {
        let aggregates: Vec<String> = (10..40).map(|at| format!("scan-{at}")).collect();
        let (here, there) = (written("a", &aggregates).await, written("b", &aggregates).await);
        for aggregate in &aggregates {
            let aggregate = AggregateId::new(aggregate).expect("valid");
            let events = there.events_of(&aggregate).await.expect("readable");
            let source = there.head().await.expect("open").store;
            let now = events[0].time.millis();
            let entropy = synckit_plan::Entropy::from_bytes([7; 32]);
            let receive = Receive::new(Some(source), events, now, Limits::default(), entropy);
            assert_eq!(here.commit(receive).await.expect("stored").conflicts, [aggregate]);
        }
        let (mut found, mut batches, mut after) = (Vec::new(), 0, None);
        while let Some(batch) = Batch::read(&here, false, after.as_ref()).await.expect("readable") {
            let bytes: usize = batch.histories.values().flatten().map(Event::size).sum();
            assert!(bytes <= BYTES, "{bytes} bytes are held");
            assert!(batch.histories.values().all(|history| history.len() == 2), "a history is whole");
            found.extend(batch.histories.into_keys().map(|aggregate| aggregate.to_string()));
            (batches, after) = (batches + 1, Some(batch.upto));
        }
        assert_eq!((found, batches), (aggregates, 3));
    }
}
