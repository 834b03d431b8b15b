//! What the tests share: a directory each, events and planners.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test binary uses its part of it")]

use std::path::PathBuf;

use synckit_core::{
    Data, Dot, Event, EventId, EventStore, EventType, Metadata, NewEvent, Query, StoreId, StoredEvent,
    Timestamp, VectorClock,
};
use synckit_plan::{Receive, Received, Record, Recorded};
use synckit_sqlite::SqliteStore;
use synckit_testkit::plans;
use synckit_testkit::samples::store_id;
pub use synckit_testkit::samples::{NOW, aggregate, entropy, event_id, node};
use tempfile::TempDir;

/// The store that foreign events come from.
pub fn peer() -> StoreId {
    store_id(7)
}

pub fn directory() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("store.db");
    (directory, path)
}

pub fn record(author: &str, events: Vec<(String, NewEvent)>) -> Record {
    let events = events.into_iter().map(|(id, new)| new.with_id(event_id(&id))).collect();
    plans::record(&node(author), events)
}

/// A record of one plain event.
pub fn one(author: &str, id: &str) -> Record {
    plans::one(&node(author), id)
}

/// The n-th event of a foreign node.
pub fn foreign(n: u64, aggregate: &str) -> Event {
    let author = node("peer");
    Event {
        id: EventId::new(format!("peer-{n}")).expect("valid"),
        event_type: EventType::new("T").expect("valid"),
        aggregate_id: synckit_testkit::samples::aggregate(aggregate),
        data: Data::json(format!(r#"{{"n":{n}}}"#)).expect("valid"),
        metadata: Metadata::default(),
        dot: Some(Dot::new(author.clone(), n)),
        clock: VectorClock::from_entries([(author, n)]).expect("valid"),
        time: Timestamp::from_millis(NOW + n),
    }
}

pub fn receive(events: Vec<Event>) -> Receive {
    plans::receive(7, events)
}

pub async fn recorded(store: &SqliteStore, record: Record) -> Recorded {
    store.commit(record).await.expect("commits")
}

pub async fn received(store: &SqliteStore, receive: Receive) -> Received {
    store.commit(receive).await.expect("commits")
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
