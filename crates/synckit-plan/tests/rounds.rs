//! A decision of round 2 or more is stored only where the decision that it overrides is held.
#![allow(clippy::expect_used, reason = "in tests a panic is the report")]

use synckit_core::{
    Dot, Event, EventId, Limits, NewEvent, NodeId, Position, Secret, StoreId, Timestamp, VectorClock,
};
use synckit_plan::{Answer, Conflict, Entropy, Receive, Received, Record, Renumber, Resolution};
use synckit_store::MemoryLog;

fn entropy() -> Entropy {
    Entropy::from_bytes([4; Entropy::BYTES])
}

fn node(name: &str) -> NodeId {
    NodeId::new(name).expect("valid")
}

fn new_log() -> MemoryLog {
    MemoryLog::new(node("here"), StoreId::from_bytes([7; 16]), Secret::from_bytes([8; 16])).expect("valid")
}

fn receive(log: &mut MemoryLog, from: Option<u8>, events: &[Event]) -> Received {
    let source = from.map(|byte| StoreId::from_bytes([byte; 16]));
    log.commit(Receive::new(source, events.to_vec(), 9, Limits::default(), entropy())).expect("commits")
}

/// Creates the first event of a node, with this id.
fn event(id: &str, name: &str, aggregate: &str) -> Event {
    let dot = Dot::new(node(name), 1);
    let clock = VectorClock::from_entries([(dot.node.clone(), 1)]).expect("few nodes");
    let new = NewEvent::new("T", aggregate, &1).expect("valid");
    new.stamped(EventId::new(id).expect("valid"), Some(dot), clock, Timestamp::from_millis(1))
}

/// Returns the two sides of a conflict.
fn apart(aggregate: &str) -> Vec<Event> {
    ["a", "b"]
        .map(|name| event(&format!("{name}-{aggregate}"), &format!("{name}-{aggregate}"), aggregate))
        .into()
}

/// Adds decisions of people of the rounds up to this one, each over the one before, and returns them.
fn decide(log: &mut Vec<Event>, rounds: u16) -> Vec<Event> {
    let mut decisions: Vec<Event> = Vec::new();
    for round in 1..=rounds {
        let conflict = match decisions.last() {
            None => Conflict::in_history(log.clone()),
            Some(before) => Conflict::decided_by(before, log),
        };
        let conflict = conflict.expect("readable").expect("a conflict");
        let kept = conflict.branches[usize::from(round % 2)].stands_for.id.clone();
        let decision = conflict.override_with(Answer::Keep(kept), "ann").expect("good").expect("a decision");
        log.push(decision.clone());
        decisions.push(decision);
    }
    decisions
}

#[test]
fn a_decision_names_the_one_of_the_round_before() {
    let decisions = decide(&mut apart("x"), 4);
    for (at, decision) in decisions.iter().enumerate() {
        let before = (at > 0).then(|| decisions[at - 1].id.clone());
        assert_eq!(Resolution::overridden(decision), before);
        Resolution::check(decision).expect("others accept it");
    }
}

#[test]
fn decisions_in_the_order_of_a_log_are_stored_in_one_batch_or_many() {
    let mut all = apart("x");
    decide(&mut all, 4);
    let mut log = new_log();
    assert_eq!(receive(&mut log, Some(1), &all).accepted, 6);
    let mut log = new_log();
    for event in &all {
        assert_eq!(receive(&mut log, Some(1), std::slice::from_ref(event)).refused, []);
    }
}

#[test]
fn a_decision_over_one_that_is_not_held_is_refused_until_that_one_comes() {
    let mut all = apart("x");
    let decisions = decide(&mut all, 3);
    for from in [Some(1), None] {
        let mut log = new_log();
        receive(&mut log, Some(1), &all[..2]);
        let turned = receive(&mut log, from, &[decisions[1].clone(), decisions[0].clone()]);
        assert_eq!((turned.accepted, turned.refused.len()), (1, 1));
        let refused = &turned.refused[0];
        assert_eq!(refused.id, decisions[1].id.as_str());
        assert!(refused.message.contains("not held here"), "{}", refused.message);
        assert_eq!(receive(&mut log, from, &decisions[2..]).accepted, 0);
        assert_eq!(receive(&mut log, from, &decisions[1..]).accepted, 2);
    }
}

#[test]
fn neither_a_plain_event_nor_another_aggregate_serves_as_the_decision_overridden() {
    let (mut x, mut y) = (apart("x"), apart("y"));
    let (of_x, of_y) = (decide(&mut x, 1), decide(&mut y, 2));
    let mut log = new_log();
    // Its id looks like that of a decision of the last round but one.
    let plain = event("fffe0000-0000-8000-8000-000000000000", "p", "x");
    receive(&mut log, Some(1), &[&x[..], &y, std::slice::from_ref(&plain)].concat());
    let forged = |round: u16, overrides: &EventId| {
        let decision = Resolution::read(&of_x[0]).expect("readable");
        let forged = Resolution { round, overrides: Some(overrides.clone()), ..decision };
        forged.into_event(of_x[0].aggregate_id.clone(), of_x[0].time).expect("few nodes")
    };
    for forged in [forged(u16::MAX, &plain.id), forged(2, &of_y[0].id), forged(3, &of_y[1].id)] {
        Resolution::check(&forged).expect("by itself it is well-formed");
        let received = receive(&mut log, Some(1), std::slice::from_ref(&forged));
        assert_eq!((received.accepted, received.refused.len()), (0, 1), "{forged:?}");
    }
    assert_eq!(receive(&mut log, Some(1), &[forged(2, &of_x[0].id)]).accepted, 1);
}

/// Records an event and two decisions that nobody was sent, and gives the event a fresh dot.
#[test]
fn renumbered_decisions_name_each_other_under_their_new_ids() {
    let mut log = new_log();
    let record = |log: &mut MemoryLog| {
        let new = NewEvent::new("T", "x", &1).expect("valid");
        let events = vec![(EventId::new("own").expect("valid"), new)];
        let (author, limits) = (node("here"), Limits::default());
        let record = Record { author, events, now: 1, limits, entropy: entropy(), expect: Vec::new() };
        log.commit(record).expect("commits").events
    };
    let other = event("other", "other", "x");
    let mut all = [record(&mut log), vec![other.clone()]].concat();
    receive(&mut log, Some(1), &[other]);
    let decisions = decide(&mut all, 3);
    receive(&mut log, None, &decisions[..2]);
    let renumber = |head: Position| Renumber {
        events: [(all[0].id.clone(), all[0].aggregate_id.clone())].into(),
        taken: true,
        name: None,
        last: true,
        handed: 0,
        head,
        now: 9,
        drift: Limits::default().drift(),
        entropy: entropy(),
    };
    let events = |log: &MemoryLog| -> Vec<Event> {
        let page = log.read(&synckit_core::Query::after(0)).expect("a page");
        page.events.into_iter().map(|stored| stored.event).collect()
    };
    let mut moved = log.clone();
    moved.commit(renumber(4)).expect("commits").expect("the log has not grown");
    let after = events(&moved);
    assert_ne!((&after[2].id, &after[3].id), (&decisions[0].id, &decisions[1].id));
    assert_eq!(Resolution::overridden(&after[3]).as_ref(), Some(&after[2].id));
    // A decision from elsewhere names the last one, so that one and those below it stay.
    receive(&mut log, Some(1), &decisions[2..]);
    log.commit(renumber(5)).expect("commits").expect("the log has not grown");
    let after = events(&log);
    assert_eq!(&after[2..5], &decisions[..]);
}
