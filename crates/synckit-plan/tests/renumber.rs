//! What is renumbered before it is handed out, and what others may know already and so stays.
#![allow(clippy::expect_used, reason = "in tests a panic is the report")]

use synckit_core::{
    Dot, Event, EventId, Limits, Needs, NewEvent, NodeId, Query, Secret, StoreId, Timestamp, VectorClock,
};
use synckit_plan::{Answer, Conflict, Entropy, Receive, Record, Renumber, notes};
use synckit_store::MemoryLog;

const YEAR: u64 = 365 * 86_400_000;

fn entropy() -> Entropy {
    Entropy::from_bytes([4; Entropy::BYTES])
}

fn node(name: &str) -> NodeId {
    NodeId::new(name).expect("valid")
}

fn id(name: &str) -> EventId {
    EventId::new(name).expect("valid")
}

fn receive(log: &mut MemoryLog, from: Option<u8>, events: &[Event]) {
    let source = from.map(|byte| StoreId::from_bytes([byte; 16]));
    let receive = Receive::new(source, events.to_vec(), 9, Limits::default(), entropy());
    assert_eq!(log.commit(receive).expect("commits").refused, []);
}

/// Creates the first event of a node, named as it, in the aggregate `x`.
fn event(name: &str) -> Event {
    let dot = Dot::new(node(name), 1);
    let clock = VectorClock::from_entries([(dot.node.clone(), 1)]).expect("few nodes");
    let new = NewEvent::new("T", "x", &1).expect("valid");
    new.stamped(id(name), Some(dot), clock, Timestamp::from_millis(5))
}

fn events(log: &MemoryLog) -> Vec<Event> {
    log.read(&Query::after(0)).expect("a page").events.into_iter().map(|stored| stored.event).collect()
}

/// Others decided alike, and have the resolution under its id. That one of its sides has got another time since does not
/// change that.
#[test]
fn a_resolution_that_names_nothing_that_is_renumbered_keeps_its_id() {
    let (store, secret) = (StoreId::from_bytes([7; 16]), Secret::from_bytes([8; 16]));
    let mut log = MemoryLog::new(node("here"), store, secret).expect("valid");
    let sides = ["a", "b"].map(event);
    receive(&mut log, Some(1), &sides);
    let conflict = Conflict::in_history(events(&log)).expect("readable").expect("a conflict");
    let decision = conflict.override_with(Answer::KeepAll, "ann").expect("good").expect("a decision");
    receive(&mut log, None, std::slice::from_ref(&decision));
    for side in sides {
        receive(&mut log, Some(1), &[Event { time: Timestamp::from_millis(1), ..side }]);
    }
    assert_eq!(
        events(&log)[1].time,
        Timestamp::from_millis(1),
        "times are only ever corrected to earlier ones"
    );
    let late = vec![(id("late"), NewEvent::new("T", "x", &1).expect("valid"))];
    let (author, limits) = (node("here"), Limits::default());
    let record = Record { author, events: late, now: YEAR, limits, entropy: entropy(), expect: Vec::new() };
    let late = log.commit(record).expect("commits").events.remove(0);
    let renumber = Renumber {
        events: [(late.id.clone(), late.aggregate_id.clone())].into(),
        taken: false,
        name: None,
        last: true,
        handed: 0,
        head: log.last(),
        now: 9,
        drift: limits.drift(),
        entropy: entropy(),
    };
    let done = log.commit(renumber).expect("commits").expect("the log has not grown");
    let after = events(&log);
    assert_eq!((done.events, &after[2]), (1, &decision));
    assert!(after.iter().any(|event| event.id == late.id && event.time < Timestamp::from_millis(YEAR)));
}

/// A copy of this log has pushed the decision, but by its filter not all that it names. If those events got other dots,
/// so would the decision get another id, and that under which others have it would not be here.
#[test]
fn a_decision_that_comes_back_was_handed_out_with_what_it_names() {
    let (store, secret) = (StoreId::from_bytes([7; 16]), Secret::from_bytes([8; 16]));
    let mut log = MemoryLog::new(node("here"), store, secret).expect("valid");
    receive(&mut log, Some(1), &[event("a")]);
    let new = |of: &str| NewEvent::new("T", of, &1).expect("valid");
    let record = |events: Vec<(EventId, NewEvent)>| Record {
        author: node("here"),
        events,
        now: 9,
        limits: Limits::default(),
        entropy: entropy(),
        expect: Vec::new(),
    };
    log.commit(record(vec![(id("own"), new("x"))])).expect("commits");
    receive(&mut log, Some(1), &[event("b")]);
    let conflict = Conflict::in_history(events(&log)).expect("readable").expect("a conflict");
    let decision = conflict.override_with(Answer::KeepAll, "ann").expect("good").expect("a decision");
    receive(&mut log, None, std::slice::from_ref(&decision));
    let handed = |log: &MemoryLog| {
        let needs = Needs { notes: vec![notes::HANDED.to_owned()], ..Needs::default() };
        notes::handed(&log.facts(needs).expect("answers")).expect("reads")
    };
    receive(&mut log, Some(2), &[event("a"), event("b")]);
    assert_eq!(handed(&log), 0, "what others wrote says nothing");
    receive(&mut log, Some(2), &[decision]);
    assert_eq!(handed(&log), 4);
}
