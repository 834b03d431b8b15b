//! When a replica takes a fresh name.
#![allow(clippy::expect_used, reason = "in tests a panic is the report")]

use synckit_core::{Dot, Event, Limits, NewEvent, NodeId, Secret, StoreId, Timestamp, VectorClock};
use synckit_plan::{Entropy, Receive, Received, Record};
use synckit_store::MemoryLog;

fn node(name: &str) -> NodeId {
    NodeId::new(name).expect("valid")
}

fn entropy(byte: u8) -> Entropy {
    Entropy::from_bytes([byte; Entropy::BYTES])
}

/// Returns the log of `a`, which has recorded one event about `x`.
fn log() -> MemoryLog {
    let (id, secret) = (StoreId::from_bytes([7; 16]), Secret::from_bytes([8; 16]));
    let mut log = MemoryLog::new(node("a"), id, secret).expect("valid");
    let event = ("e-1".parse().expect("valid"), NewEvent::new("T", "x", &1).expect("valid"));
    let (author, limits, events) = (node("a"), Limits::default(), vec![event]);
    let record = Record { author, events, now: 1, limits, entropy: entropy(1), expect: Vec::new() };
    log.commit(record).expect("commits");
    log
}

/// Receives an event of `b` that has seen this many events of `a`.
fn received(log: &mut MemoryLog, seen: u64) -> Received {
    let new = NewEvent::new("T", "x", &2).expect("valid");
    let event = Event {
        id: "e-2".parse().expect("valid"),
        event_type: new.event_type,
        aggregate_id: new.aggregate_id,
        data: new.data,
        metadata: new.metadata,
        dot: Some(Dot::new(node("b"), 1)),
        clock: VectorClock::from_entries([(node("a"), seen), (node("b"), 1)]).expect("valid"),
        time: Timestamp::from_millis(2),
    };
    let source = Some(StoreId::from_bytes([9; 16]));
    let receive = Receive::new(source, vec![event], 3, Limits::default(), entropy(2));
    log.commit(receive).expect("commits")
}

#[test]
fn an_event_on_top_of_what_is_held_changes_nobodys_name() {
    let received = received(&mut log(), 1);
    assert_eq!((received.accepted, received.renewed), (1, None));
}

#[test]
fn an_event_on_top_of_an_own_one_that_is_not_held_shows_that_the_log_was_set_back() {
    let received = received(&mut log(), 2);
    assert!(received.renewed.expect("a fresh name").as_str().starts_with("a~"));
}
