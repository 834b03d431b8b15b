//! What every log must hold at the end, checked against what was recorded.

use std::collections::{BTreeSet, HashMap, HashSet};

use synckit::{AggregateId, Digest, Event, EventId, EventStore, conflict::Heads, store::Query};
use synckit_sqlite::SqliteStore;

use super::edits::{NODES, Reference};
use super::world::World;
use crate::commands::{closing, replica};
use crate::failure::Failure;
use crate::text;

/// The results of the check. All numbers are counted in the logs.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// Recorded events that all logs hold.
    pub(super) events: usize,
    /// Events in the hub's log that settle conflicts.
    pub(super) resolutions: usize,
    /// Recorded events that some log lacks.
    pub(super) lost: usize,
    /// Places in the logs that repeat an event.
    pub(super) duplicated: usize,
    pub(super) causal_order_kept: bool,
    /// Notes in which the hub's log holds edits that had not seen each other, and one head.
    pub(super) settled: usize,
    pub(super) views_equal: bool,
    /// Everything that is wrong.
    pub(super) failures: Vec<String>,
}

/// One log, and what its store reports.
struct Log {
    name: &'static str,
    events: Vec<Event>,
    digest: Digest,
    conflicts: usize,
    refused: usize,
}

/// Checks the hub and all replicas.
pub(super) async fn all(world: &World, reference: &Reference) -> Result<Checked, Failure> {
    let mut checked = Checked { causal_order_kept: true, views_equal: true, ..Checked::default() };
    let hub = read("hub", world.hub()).await?;
    let mut missing = HashSet::new();
    checked.resolutions = hub.events.iter().filter(|event| event.is_resolution()).count();
    checked.settled = checked.log(&hub, reference, &mut missing);
    for node in NODES {
        let store = world.open(node).await?;
        let log = closing(&store, read(node, &store).await).await?;
        checked.log(&log, reference, &mut missing);
        checked.compare(&hub.digest, &log);
    }
    checked.lost = missing.len();
    checked.events = reference.len() - missing.len();
    Ok(checked)
}

async fn read(name: &'static str, store: &SqliteStore) -> Result<Log, Failure> {
    let (mut events, mut after) = (Vec::new(), 0);
    loop {
        let page = store.read(Query::after(after)).await?;
        events.extend(page.events.into_iter().map(|stored| stored.event));
        after = page.scanned_to;
        if !page.more {
            break;
        }
    }
    let replica = replica(store);
    let status = replica.status().await?;
    let refused = status.refused_here + status.refused_by_peers;
    let digest = Digest::of(store).await?;
    Ok(Log { name, events, digest, conflicts: status.conflicts, refused })
}

impl Checked {
    /// Checks one log by itself, and returns how many notes of it were in conflict and have one head.
    fn log<'a>(&mut self, log: &Log, reference: &'a Reference, missing: &mut HashSet<&'a EventId>) -> usize {
        let held: HashSet<&EventId> = log.events.iter().map(|event| &event.id).collect();
        let repeated = log.events.len() - held.len();
        self.duplicated += repeated;
        self.check(log, repeated == 0, || format!("more than once: {}", text::count(repeated, "event")));
        let lost: Vec<&EventId> = reference.ids().filter(|id| !held.contains(id)).collect();
        self.check(log, lost.is_empty(), || format!("missing: {}", text::count(lost.len(), "event")));
        missing.extend(lost);

        let altered = log.events.iter().filter(|event| !is_as_recorded(event, reference)).count();
        self.check(log, altered == 0, || format!("not as recorded: {}", text::count(altered, "event")));
        let late = against_causality(&log.events);
        self.causal_order_kept &= late == 0;
        self.check(log, late == 0, || format!("before what it had seen: {}", text::count(late, "event")));
        self.check(log, log.conflicts == 0, || format!("left: {}", text::count(log.conflicts, "conflict")));
        self.check(log, log.refused == 0, || format!("refused: {}", text::count(log.refused, "event")));

        let (settled, open) = conflicts(&log.events);
        self.check(log, open == 0, || format!("with more than one head: {}", text::count(open, "note")));
        self.check(log, settled == reference.edited_by_several(), || {
            "the conflicts that were settled are not those that were made".to_owned()
        });
        settled.len()
    }

    fn compare(&mut self, hub: &Digest, log: &Log) {
        self.views_equal &= log.digest.view == hub.view;
        self.check(log, log.digest.view == hub.view, || "it shows another view than the hub".to_owned());
        let same = log.digest.set == hub.set && log.digest.events == hub.events;
        self.check(log, same, || "it holds other events than the hub".to_owned());
    }

    fn check(&mut self, log: &Log, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.failures.push(format!("log of {}: {}", log.name, otherwise()));
        }
    }
}

/// Returns whether an event is exactly what this replica recorded under its id, or settles a conflict.
fn is_as_recorded(event: &Event, reference: &Reference) -> bool {
    let Some((recorded, node)) = reference.event(&event.id) else { return event.is_resolution() };
    event.dot.as_ref().is_some_and(|dot| dot.node.as_str() == node)
        && event.event_type == recorded.event_type
        && event.aggregate_id == recorded.aggregate_id
        && event.data == recorded.data
        && event.metadata == recorded.metadata
}

/// Counts the events that come before one they had seen: of their note by their clock, or an earlier one of their
/// author.
fn against_causality(log: &[Event]) -> usize {
    let mut latest: HashMap<&str, u64> = HashMap::new();
    let mut late = 0;
    for dot in log.iter().filter_map(|event| event.dot.as_ref()) {
        let before = latest.insert(dot.node.as_str(), dot.counter);
        late += usize::from(before.is_some_and(|counter| counter >= dot.counter));
    }
    for note in notes(log).values() {
        let too_early =
            |(place, event): &(usize, &&Event)| note[place + 1..].iter().any(|after| event.has_seen(after));
        late += note.iter().enumerate().filter(too_early).count();
    }
    late
}

/// Returns the notes with edits that had not seen each other and now one head, and the number of notes with more
/// heads.
fn conflicts(log: &[Event]) -> (BTreeSet<AggregateId>, usize) {
    let (mut settled, mut open) = (BTreeSet::new(), 0);
    for (note, events) in notes(log) {
        let mut heads = Heads::default();
        events.iter().for_each(|event| heads.add(event));
        let edits: Vec<&&Event> = events.iter().filter(|event| !event.is_resolution()).collect();
        let concurrent = edits.iter().enumerate().any(|(place, edit)| {
            edits[place + 1..].iter().any(|other| !edit.has_seen(other) && !other.has_seen(edit))
        });
        if heads.len() > 1 {
            open += 1;
        } else if concurrent {
            settled.insert(note.clone());
        }
    }
    (settled, open)
}

/// Returns the events of each note, in the order of the log.
fn notes(log: &[Event]) -> HashMap<&AggregateId, Vec<&Event>> {
    let mut notes: HashMap<&AggregateId, Vec<&Event>> = HashMap::new();
    for event in log {
        notes.entry(&event.aggregate_id).or_default().push(event);
    }
    notes
}

#[cfg(test)]
mod tests {
    use synckit::{AggregateId, Data, Dot, EventType, Metadata, NewEvent, NodeId, Timestamp, VectorClock};

    use super::*;

    /// Returns what `node` recorded as its n-th event about the note, after it had seen `seen`.
    fn edit(node: &'static str, counter: u64, note: &str, seen: &[(&str, u64)]) -> (Event, NewEvent) {
        let name = |node: &str| NodeId::new(node).expect("a name");
        let new = NewEvent::new("T", note, "text").expect("valid");
        let new = new.with_id(EventId::new(format!("{node}-{counter}")).expect("a name"));
        let seen = seen.iter().copied().chain([(node, counter)]).map(|(node, counter)| (name(node), counter));
        let event = Event {
            id: new.id.clone().expect("given"),
            event_type: EventType::new("T").expect("a name"),
            aggregate_id: AggregateId::new(note).expect("a name"),
            data: new.data.clone(),
            metadata: Metadata::default(),
            dot: Some(Dot::new(name(node), counter)),
            clock: VectorClock::from_entries(seen).expect("valid"),
            time: Timestamp::from_millis(counter),
        };
        (event, new)
    }

    fn checked(log: Vec<Event>, reference: &Reference) -> (Checked, usize) {
        let hash = synckit::store::SetHash::default();
        let digest = Digest { events: log.len() as u64, set: hash, view: hash };
        let log = Log { name: "a", events: log, digest, conflicts: 0, refused: 0 };
        let mut checked = Checked { causal_order_kept: true, ..Checked::default() };
        let mut missing = HashSet::new();
        let settled = checked.log(&log, reference, &mut missing);
        checked.lost = missing.len();
        (checked, settled)
    }

    /// Returns two edits of one note that had not seen each other, one that has seen both, and one of another note.
    fn history() -> (Vec<Event>, Reference) {
        let edits = [
            ("a", edit("a", 1, "x", &[])),
            ("b", edit("b", 1, "x", &[])),
            ("b", edit("b", 2, "x", &[("a", 1)])),
            ("a", edit("a", 2, "y", &[])),
        ];
        let mut reference = Reference::default();
        edits.iter().for_each(|(node, (_, new))| reference.add(node, std::slice::from_ref(new)));
        (edits.into_iter().map(|(_, (event, _))| event).collect(), reference)
    }

    #[test]
    fn a_good_log_passes() {
        let (log, reference) = history();
        let (checked, settled) = checked(log, &reference);
        assert_eq!(checked.failures, [""; 0]);
        assert_eq!((checked.lost, checked.duplicated, settled), (0, 0, 1));
        assert!(checked.causal_order_kept);
    }

    #[test]
    fn what_is_lost_repeated_altered_or_out_of_order_is_found() {
        type Tamper = fn(&mut Vec<Event>);
        let tampered: [(&str, Tamper); 6] = [
            ("missing: 1 event", |log| drop(log.pop())),
            ("more than once: 1 event", |log| log.push(log[3].clone())),
            ("not as recorded: 1 event", |log| log[3].data = Data::of("other").expect("valid")),
            ("before what it had seen: ", |log| log.swap(0, 2)),
            ("before what it had seen: ", |log| log.swap(0, 3)),
            ("with more than one head: 1 note", |log| drop(log.remove(2))),
        ];
        for (finding, tamper) in tampered {
            let (mut log, reference) = history();
            tamper(&mut log);
            let (checked, _) = checked(log, &reference);
            assert!(checked.failures.iter().any(|found| found.contains(finding)), "{finding}: {checked:?}");
        }
    }
}
