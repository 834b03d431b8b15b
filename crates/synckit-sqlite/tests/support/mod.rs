//! What the tests share: a directory each, events and intents.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use synckit_core::plan::{Entropy, Intent, Outcome, Receive, Received, Record, Recorded};
use synckit_core::{
    AggregateId, Data, Dot, Event, EventId, EventStore, EventType, Limits, Metadata, NewEvent, NodeId, Query,
    StoreId, StoredEvent, Timestamp, VectorClock,
};
use synckit_sqlite::SqliteStore;
use tempfile::TempDir;

pub const NOW: u64 = 1_800_000_000_000;

/// The store that foreign events come from.
pub fn peer() -> StoreId {
    StoreId::from_bytes([7; 16])
}

pub fn directory() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("store.db");
    (directory, path)
}

pub fn node(name: &str) -> NodeId {
    NodeId::new(name).expect("a valid node id")
}

pub fn aggregate(name: &str) -> AggregateId {
    AggregateId::new(name).expect("a valid aggregate id")
}

/// Randomness that no other commit of this process has.
pub fn entropy() -> Entropy {
    static DRAWN: AtomicU64 = AtomicU64::new(1);
    let drawn = DRAWN.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = [0; Entropy::BYTES];
    bytes.chunks_exact_mut(8).for_each(|chunk| chunk.copy_from_slice(&drawn.to_be_bytes()));
    Entropy::from_bytes(bytes)
}

pub fn record(author: &str, events: Vec<(String, NewEvent)>) -> Intent {
    let events = events.into_iter().map(|(id, new)| (EventId::new(id).expect("a valid id"), new)).collect();
    Intent::Record(Record {
        author: node(author),
        events,
        now: NOW,
        limits: Limits::default(),
        entropy: entropy(),
        expect: Vec::new(),
    })
}

/// A record of one plain event.
pub fn one(author: &str, id: &str) -> Intent {
    record(author, vec![(id.to_owned(), NewEvent::new("T", "x", &["data"]).expect("valid"))])
}

/// The n-th event of a foreign node.
pub fn foreign(n: u64, aggregate: &str) -> Event {
    let author = node("peer");
    Event {
        id: EventId::new(format!("peer-{n}")).expect("valid"),
        event_type: EventType::new("T").expect("valid"),
        aggregate_id: AggregateId::new(aggregate).expect("valid"),
        data: Data::json(format!(r#"{{"n":{n}}}"#)).expect("valid"),
        metadata: Metadata::default(),
        dot: Some(Dot::new(author.clone(), n)),
        clock: VectorClock::from_entries([(author, n)]).expect("valid"),
        time: Timestamp::from_millis(NOW + n),
    }
}

pub fn receive(events: Vec<Event>) -> Intent {
    Intent::Receive(Receive::new(Some(peer()), events, NOW, Limits::default(), entropy()))
}

pub async fn recorded(store: &SqliteStore, intent: Intent) -> Recorded {
    match store.commit(intent).await.expect("commits") {
        Outcome::Recorded(recorded) => recorded,
        other => panic!("{other:?}"),
    }
}

pub async fn received(store: &SqliteStore, intent: Intent) -> Received {
    match store.commit(intent).await.expect("commits") {
        Outcome::Received(received) => received,
        other => panic!("{other:?}"),
    }
}

/// The whole log, read page by page; checks that the positions have no gaps.
pub async fn log(store: &SqliteStore) -> Vec<StoredEvent> {
    let mut events = Vec::new();
    let mut after = 0;
    loop {
        let page = store.read(Query::after(after)).await.expect("reads");
        events.extend(page.events);
        after = page.scanned_to;
        if !page.more {
            break;
        }
    }
    for (index, stored) in events.iter().enumerate() {
        assert_eq!(stored.position, index as u64 + 1);
    }
    assert_eq!(store.head().await.expect("a head").position, events.len() as u64);
    events
}
