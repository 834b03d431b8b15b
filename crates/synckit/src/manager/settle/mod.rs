//! Settling conflicts: every one that is listed, whichever sync or push has found it.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use synckit_core::notes;
use synckit_core::plan::Receive;
use synckit_core::{
    AggregateId, Conflict, Error, ErrorKind, Event, EventStore, NoteQuery, Query, Result, Ruling, Transport,
};

use crate::manager::session::Session;
use crate::sugar::StoreExt;

/// How many resolutions are committed together.
const COMMIT: usize = 4_000;

/// How many conflicts are listed at a time.
const LISTED: usize = 10_000;

/// The most bytes of events held at a time, by [`Event::size`], unless a single history is larger: memory is
/// bounded by this and not by the number of conflicts.
const HELD_BYTES: usize = 32 << 20;

/// How many histories are read at a time.
const READS: usize = 8;

/// How many events of the log are read in the time in which one history is looked up.
const LOOK_UP: u64 = 8;

/// What happens to a conflict.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum ConflictNotice<'a> {
    /// A rule has matched.
    RuleMatched {
        /// The conflict.
        conflict: &'a Conflict,
        /// The rule.
        rule: &'a str,
    },
    /// It is settled, and the resolution is durable.
    Settled {
        /// The aggregate.
        aggregate: &'a AggregateId,
        /// The resolution.
        resolution: &'a Event,
    },
    /// It is left for a person.
    Left {
        /// The aggregate.
        aggregate: &'a AggregateId,
        /// Why, as far as the resolver said.
        reason: Option<&'a str>,
    },
    /// It stays listed because the resolver, or what it answered, failed.
    Failed {
        /// The aggregate.
        aggregate: &'a AggregateId,
        /// How it failed.
        error: &'a Error,
    },
}

pub(crate) type ConflictHook = Arc<dyn Fn(&ConflictNotice<'_>) + Send + Sync>;

/// A resolution that is about to be committed, and who decided.
struct Decided {
    resolution: Event,
    by: String,
}

/// Conflicts that are settled together.
struct Batch {
    conflicts: Vec<Conflict>,
    failed: Vec<(AggregateId, Error)>,
    /// The key of the last conflict looked at.
    upto: String,
}

impl Batch {
    fn add(&mut self, aggregate: AggregateId, history: &[Event]) {
        match Conflict::in_history(history) {
            Ok(conflict) => self.conflicts.extend(conflict),
            Err(error) => self.failed.push((aggregate, error)),
        }
    }
}

/// Reads listed conflicts after this key, as many as fit into memory; `None` when there are no more.
async fn read_batch(store: &impl EventStore, after: String) -> Result<Option<Batch>> {
    let prefix = notes::CONFLICTS.to_owned();
    let listed = store.notes(NoteQuery::Prefix { prefix, after, limit: LISTED }).await?;
    let Some(last) = listed.last() else { return Ok(None) };
    let mut batch = Batch { conflicts: Vec::new(), failed: Vec::new(), upto: last.key.clone() };
    let aggregates = listed.iter().map(|note| AggregateId::new(&note.key[notes::CONFLICTS.len()..]));
    let aggregates: Vec<AggregateId> = aggregates.collect::<Result<_>>()?;
    if store.head().await?.position <= aggregates.len() as u64 * LOOK_UP {
        scan(store, aggregates, &mut batch).await?;
    } else {
        look_up(store, aggregates, &mut batch).await?;
    }
    Ok(Some(batch))
}

/// Reads the whole log once, where that is less work than looking up each history.
async fn scan(store: &impl EventStore, aggregates: Vec<AggregateId>, batch: &mut Batch) -> Result<()> {
    let mut histories: BTreeMap<AggregateId, Vec<Event>> =
        aggregates.into_iter().map(|aggregate| (aggregate, Vec::new())).collect();
    let (mut bytes, mut after) = (0, 0);
    loop {
        let page = store.read(Query::after(after)).await?;
        after = page.scanned_to;
        for event in page.events.into_iter().map(|stored| stored.event) {
            if let Some(history) = histories.get_mut(&event.aggregate_id) {
                bytes += event.size();
                history.push(event);
            }
        }
        // What does not fit is for the next batch.
        while bytes > HELD_BYTES
            && histories.len() > 1
            && let Some((_, history)) = histories.pop_last()
        {
            bytes -= history.iter().map(Event::size).sum::<usize>();
        }
        if !page.more {
            break;
        }
    }
    if let Some((last, _)) = histories.last_key_value() {
        batch.upto = notes::conflict(last);
    }
    histories.into_iter().for_each(|(aggregate, history)| batch.add(aggregate, &history));
    Ok(())
}

async fn look_up(store: &impl EventStore, aggregates: Vec<AggregateId>, batch: &mut Batch) -> Result<()> {
    let mut histories = pin!(
        stream::iter(aggregates.into_iter().take(COMMIT))
            .map(|aggregate| async move {
                let history = store.events_of(&aggregate).await?;
                Ok::<_, Error>((aggregate, history))
            })
            .buffered(READS)
    );
    let mut bytes = 0;
    while bytes < HELD_BYTES
        && let Some((aggregate, history)) = histories.try_next().await?
    {
        bytes += history.iter().map(Event::size).sum::<usize>();
        batch.upto = notes::conflict(&aggregate);
        batch.add(aggregate, &history);
    }
    Ok(())
}

impl<S: EventStore, T: Transport> Session<'_, S, T> {
    /// The next batch is read while the one before is decided and committed.
    pub(super) async fn settle(&mut self) -> Result<()> {
        let store = self.store;
        let mut batch = read_batch(store, String::new()).await?;
        while let Some(Batch { conflicts, failed, upto }) = batch {
            for (aggregate, error) in failed {
                self.fail(aggregate, &error);
            }
            let resolve = async {
                let mut conflicts = conflicts;
                while !conflicts.is_empty() {
                    let rest = conflicts.split_off(conflicts.len().min(COMMIT));
                    self.resolve(conflicts).await?;
                    conflicts = rest;
                }
                Ok(())
            };
            // Reading begins first, so that with a store that answers at once the calls have one order.
            let (next, resolved): (_, Result<()>) = tokio::join!(biased; read_batch(store, upto), resolve);
            resolved?;
            batch = next?;
        }
        Ok(())
    }

    async fn resolve(&mut self, conflicts: Vec<Conflict>) -> Result<()> {
        let resolving = &self.settings.resolving;
        let (conflicts, rulings) = resolving.ask(conflicts).await;
        let name = resolving.resolver.name();
        let mut decided = Vec::with_capacity(conflicts.len());
        for (conflict, ruling) in conflicts.iter().zip(rulings) {
            match self.write_down(conflict, ruling, name) {
                Ok(Some(resolution)) => decided.push(resolution),
                Ok(None) => {}
                Err(error) => self.fail(conflict.aggregate_id.clone(), &error),
            }
        }
        if decided.is_empty() {
            return Ok(());
        }
        // A resolution has seen all heads. Where another event came meanwhile, the conflict stays listed.
        let now = self.settings.environment.now();
        let resolutions = decided.iter().map(|decided| decided.resolution.clone()).collect();
        let receive = Receive::new(None, resolutions, now, self.settings.limits);
        let received = self.store.commit_receive(receive).await?;
        self.moved(&received);
        let mut refused = received.refused.into_iter().peekable();
        for (index, Decided { resolution, by }) in decided.into_iter().enumerate() {
            match refused.next_if(|refused| refused.index == index) {
                None => {
                    self.report.conflicts.settled += 1;
                    *self.report.conflicts.settled_by.entry(by).or_default() += 1;
                    let aggregate = &resolution.aggregate_id;
                    self.notify(&ConflictNotice::Settled { aggregate, resolution: &resolution });
                }
                Some(refused) => {
                    let error = Error::new(ErrorKind::Invalid, "the resolution could not be stored")
                        .with("code", refused.code)
                        .with("reason", refused.message);
                    self.fail(resolution.aggregate_id, &error);
                }
            }
        }
        Ok(())
    }

    fn write_down(
        &mut self,
        conflict: &Conflict,
        ruling: Result<Ruling>,
        name: &str,
    ) -> Result<Option<Decided>> {
        let ruling = ruling?;
        if let Some(rule) = &ruling.rule {
            self.notify(&ConflictNotice::RuleMatched { conflict, rule });
        }
        let (reason, by) = match &ruling.rule {
            Some(rule) => (ruling.reason.clone(), format!("{name}: {rule}")),
            None => (ruling.reason.clone(), name.to_owned()),
        };
        let resolution = conflict.settle(ruling, name)?;
        if resolution.is_none() {
            let aggregate = &conflict.aggregate_id;
            self.notify(&ConflictNotice::Left { aggregate, reason: reason.as_deref() });
            self.report.conflicts.leave(aggregate.clone(), false, reason);
        }
        Ok(resolution.map(|resolution| Decided { resolution, by }))
    }

    fn fail(&mut self, aggregate: AggregateId, error: &Error) {
        tracing::warn!(%aggregate, %error, "a conflict could not be settled and stays listed");
        self.notify(&ConflictNotice::Failed { aggregate: &aggregate, error });
        self.report.conflicts.leave(aggregate, true, Some(error.to_string()));
    }

    fn notify(&self, notice: &ConflictNotice<'_>) {
        if let Some(hook) = &self.settings.conflict_hook {
            hook(notice);
        }
    }
}
