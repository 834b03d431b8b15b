//! Aggregates with more heads, or more nodes in their clocks, than there is room for: nobody is locked out.
#![allow(clippy::expect_used, reason = "in tests a panic is the report")]

use synckit_core::{
    Dot, ErrorKind, Event, EventId, Limits, NewEvent, NodeId, Query, Secret, StoreId, Timestamp, VectorClock,
};
use synckit_plan::{
    Answer, Conflict, Decision, Entropy, Heads, History, Receive, Received, Record, Recount, Resolution,
    Side, notes,
};
use synckit_store::MemoryLog;

fn entropy() -> Entropy {
    Entropy::from_bytes([4; Entropy::BYTES])
}

fn node(name: &str) -> NodeId {
    NodeId::new(name).expect("valid")
}

fn clock<'a>(entries: impl IntoIterator<Item = (&'a str, u64)>) -> VectorClock {
    let entries = entries.into_iter().map(|(name, counter)| (node(name), counter));
    VectorClock::from_entries(entries).expect("at most a thousand")
}

/// Creates an event with this dot, whose author had seen this before.
fn event(name: &str, counter: u64, seen: &VectorClock, millis: u64) -> Event {
    let dot = Dot::new(node(name), counter);
    let mut clock = seen.clone();
    clock.observe(&dot).expect("room");
    let id = EventId::new(format!("e-{dot}")).expect("valid");
    NewEvent::new("T", "x", &1).expect("valid").stamped(id, Some(dot), clock, Timestamp::from_millis(millis))
}

/// Creates a resolution that makes up two sides with one counter each.
fn made_up(a: u64, b: u64, millis: u64) -> Event {
    let side = |name: &str, counter| Side { dot: Dot::new(node(name), counter), above: VectorClock::new() };
    let sides = vec![side("a", a), side("b", b)];
    let resolution = Resolution::new(VectorClock::new(), sides, Decision::KeepAll, "eve");
    let aggregate = NewEvent::new("T", "x", &1).expect("valid").aggregate_id;
    resolution.into_event(aggregate, Timestamp::from_millis(millis)).expect("two nodes")
}

fn new_log() -> MemoryLog {
    MemoryLog::new(node("here"), StoreId::from_bytes([7; 16]), Secret::from_bytes([8; 16])).expect("valid")
}

fn receive(log: &mut MemoryLog, events: &[Event]) -> Received {
    let source = Some(StoreId::from_bytes([1; 16]));
    let received =
        log.commit(Receive::new(source, events.to_vec(), 9, Limits::default(), entropy())).expect("commits");
    assert_eq!(received.refused, []);
    received
}

fn record(log: &mut MemoryLog, id: &str) -> Event {
    let events = vec![(EventId::new(id).expect("valid"), NewEvent::new("T", "x", &1).expect("valid"))];
    let author = log.identity().expect("it has one").author;
    let limits = Limits::default();
    let record = Record { author, events, now: 9, limits, entropy: entropy(), expect: Vec::new() };
    log.commit(record).expect("commits").events.remove(0)
}

fn heads_note(log: &MemoryLog) -> Vec<u8> {
    let aggregate = NewEvent::new("T", "x", &1).expect("valid").aggregate_id;
    let key = notes::heads(&aggregate);
    log.notes(synckit_core::NoteQuery::Keys(vec![key])).remove(0).value
}

fn heads(log: &MemoryLog) -> Heads {
    Heads::decode(&heads_note(log)).expect("readable")
}

fn noted(log: &MemoryLog, prefix: &str) -> usize {
    let query = synckit_core::NoteQuery::Prefix { prefix: prefix.to_owned(), after: String::new(), limit: 9 };
    log.notes(query).len()
}

fn events(log: &MemoryLog) -> Vec<Event> {
    let page = log.read(&Query::after(0).at_most(usize::MAX, usize::MAX)).expect("a page");
    page.events.into_iter().map(|stored| stored.event).collect()
}

fn conflict(log: &MemoryLog) -> synckit_core::Result<Option<Conflict>> {
    Conflict::in_history(events(log))
}

/// Settles what is in conflict, and returns the resolution.
fn settle(log: &mut MemoryLog) -> Event {
    let conflict = conflict(log).expect("readable").expect("there is one");
    let settled = conflict.settle(Answer::KeepAll, "test").expect("good").expect("a decision");
    let receive = Receive::new(None, vec![settled.clone()], 9, Limits::default(), entropy());
    assert_eq!(log.commit(receive).expect("commits").accepted, 1);
    settled
}

#[test]
fn twenty_thousand_resolutions_that_never_dominate_each_other_are_a_few_heads() {
    const MANY: u64 = 20_000;
    let mut log = new_log();
    let all: Vec<Event> = (1..=MANY).map(|at| made_up(at, MANY + 1 - at, 5)).collect();
    for batch in all.chunks(1_000) {
        receive(&mut log, batch);
        assert!(heads(&log).len() <= 3 && heads_note(&log).len() < 512, "{:?}", heads(&log));
    }
    let found = conflict(&log).expect("readable").expect("there is one");
    assert_eq!(found.branches.len(), heads(&log).len());
    let settled = settle(&mut log);
    assert!(settled.size() < 1_000, "{} bytes", settled.size());
    assert_eq!((heads(&log).len(), noted(&log, notes::CONFLICTS)), (1, 0));
    let next = record(&mut log, "next");
    assert!(events(&log).iter().all(|event| event.id == next.id || event.clock.is_covered_by(&next.clock)));
}

#[test]
fn a_made_up_resolution_far_ahead_is_a_head_so_that_a_decision_comes_after_it() {
    let (a, b) = (event("a", 1, &VectorClock::new(), 5), event("b", 1, &VectorClock::new(), 5));
    let far = made_up(1, 1, 1 << 40);
    let mut log = new_log();
    receive(&mut log, &[a, b, made_up(1, 2, 6), made_up(2, 1, 6), far.clone()]);
    assert!(heads(&log).contains(&far.id));
    let settled = settle(&mut log);
    assert!(settled.canonical_cmp(&far).is_gt());
}

/// Two of them see each other unless equal clocks are ordered.
#[test]
fn a_made_up_resolution_with_the_clock_of_an_event_hides_neither() {
    let seen = clock([("b", 1)]);
    for (millis, kept) in [(4, 0), (6, 1)] {
        let both = [event("a", 2, &seen, 5), made_up(2, 1, millis)];
        for order in [[0, 1], [1, 0]] {
            let mut heads = Heads::default();
            order.iter().for_each(|at| heads.add(&both[*at]));
            assert_eq!(heads.iter().map(|head| &head.id).collect::<Vec<_>>(), [&both[kept].id]);
        }
    }
}

/// Creates an event whose clock has no room for another node.
fn full() -> Event {
    let names: Vec<String> = (0..999).map(|at| format!("made-up-{at}")).collect();
    event("eve", 1, &clock(names.iter().map(|name| (name.as_str(), 7))), 1 << 30)
}

#[test]
fn a_full_clock_locks_nobody_out() {
    let mut log = new_log();
    receive(&mut log, &[full()]);
    assert_eq!(noted(&log, notes::FULL), 1);
    let own = record(&mut log, "own");
    assert_eq!(own.clock, clock([("here", 1)]));
    assert!(own.time < Timestamp::from_millis(1 << 30), "the made-up time counts for nothing");
    // Another device outside, which has seen what was recorded here.
    receive(&mut log, &[event("there", 1, &own.clock, 20), event("else", 1, &VectorClock::new(), 20)]);
    let more = record(&mut log, "more");
    assert_eq!(more.clock, clock([("else", 1), ("here", 2), ("there", 1)]));
    assert_eq!((heads(&log).len(), noted(&log, notes::CONFLICTS)), (2, 1));
    // Eve's event and the others stand side by side.
    let error = conflict(&log).expect_err("they do not fit into one clock");
    assert!(error.kind() == ErrorKind::TooLarge && error.message().contains("another aggregate"), "{error}");
    assert_eq!(History::of(events(&log)).expect("readable").live().count(), 5);
    // What fits is settled.
    receive(&mut log, &[event("late", 1, &VectorClock::new(), 30)]);
    let settled = settle(&mut log);
    assert_eq!(settled.clock, clock([("else", 1), ("here", 2), ("late", 1), ("there", 1)]));
    assert_eq!((heads(&log).len(), noted(&log, notes::CONFLICTS)), (2, 1));
}

#[test]
fn an_author_in_a_full_clock_goes_on_with_it() {
    let mut log = new_log();
    let own = record(&mut log, "own");
    let names: Vec<String> = (0..998).map(|at| format!("other-{at}")).collect();
    let others = clock(names.iter().map(|name| (name.as_str(), 1)).chain([("here", 1)]));
    let top = event("top", 1, &others, 12);
    assert!(top.has_seen(&own) && top.clock.len() == VectorClock::MAX_NODES);
    receive(&mut log, &[top.clone(), event("outside", 1, &VectorClock::new(), 13)]);
    let more = record(&mut log, "more");
    assert!(more.has_seen(&top) && more.clock.len() == VectorClock::MAX_NODES);
    assert_eq!(heads(&log).len(), 2);
}

#[test]
fn of_too_many_heads_the_last_are_kept_and_the_conflict_stays_listed() {
    let mut log = new_log();
    let all: Vec<Event> =
        (0..1_500).map(|at| event(&format!("writer-{at}"), 1, &VectorClock::new(), 1 + at)).collect();
    for batch in all.chunks(500) {
        receive(&mut log, batch);
    }
    let kept = heads(&log);
    assert_eq!(kept.len(), Heads::MAX);
    assert!(kept.contains(&all[1_499].id) && !kept.contains(&all[499].id));
    assert_eq!(Heads::decode(&kept.encode()).expect("readable"), kept);
    // Twice, a thousand and five hundred of them fit together; then the two do not.
    let settled: Vec<usize> = [(); 2].map(|()| settle(&mut log).clock.len()).into();
    assert_eq!(settled, [1_000, 500]);
    assert_eq!(conflict(&log).expect_err("they do not fit").kind(), ErrorKind::TooLarge);
    let aggregates = [all[0].aggregate_id.clone()].into();
    log.commit(Recount { aggregates, now: 9, entropy: entropy() }).expect("commits");
    assert_eq!((heads(&log).len(), noted(&log, notes::CONFLICTS)), (2, 1));
    let more = record(&mut log, "more");
    assert_eq!(more.clock.len(), 501, "it goes on top of the smaller one");
}

/// Two events under one dot, with clocks that have no room for an alias.
#[test]
fn a_fork_in_a_full_clock_still_gets_an_alias() {
    let names: Vec<String> = (0..999).map(|at| format!("other-{at}")).collect();
    let seen = clock(names.iter().map(|name| (name.as_str(), 1)));
    let first = event("eve", 5, &seen, 12);
    let second = Event { id: EventId::new("z-second").expect("valid"), ..first.clone() };
    let mut log = new_log();
    receive(&mut log, &[first, second.clone()]);
    let held = events(&log);
    let held = held.iter().find(|event| event.id == second.id).expect("it is held");
    assert!(held.author().is_some_and(NodeId::is_alias));
    assert_eq!((held.clock.len(), held.clock.counter(&node("eve"))), (1_000, 0));
}

/// Two made-up resolutions of 600 sides on one node each; every side claims to have seen less than the one before.
#[test]
fn more_sides_than_anybody_reads_are_never_written() {
    let many = |author: &str, seen: &str| {
        let side = |at: u64| Side { dot: Dot::new(node(author), at), above: clock([(seen, 601 - at)]) };
        let mut resolution = Resolution::read(&made_up(1, 1, 1)).expect("readable");
        resolution.sides = (1..=600).map(side).collect();
        resolution.base = clock([(seen, 1)]);
        resolution.sides[599].above = VectorClock::new();
        let aggregate = NewEvent::new("T", "x", &1).expect("valid").aggregate_id;
        resolution.base.merge(&clock([(author, 1)])).expect("two nodes");
        resolution.into_event(aggregate, Timestamp::from_millis(5)).expect("two nodes")
    };
    let mut log = new_log();
    receive(&mut log, &[many("a", "y"), many("b", "z")]);
    let found = conflict(&log).expect("readable").expect("there is one");
    let error = found.settle(Answer::KeepAll, "test").expect_err("nobody could read it");
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}
