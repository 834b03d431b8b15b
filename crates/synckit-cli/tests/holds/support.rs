//! Hubs, replicas and comparisons for the other tests.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;

use synckit::{
    Digest, Endpoint, Event, EventStore, NewEvent, NodeId, SyncManager, Transport,
    plan::notes,
    store::{Query, StoreExt},
};
use synckit_http::{HttpService, HttpTransport, serve};
use synckit_sqlite::{SqliteConfig, SqliteStore};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) type Manager = SyncManager<SqliteStore, HttpTransport>;

/// Creates a directory that is removed with the test.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a directory for the test")
}

pub(crate) async fn open(folder: &Path, name: &str) -> SqliteStore {
    let node = NodeId::new(name).expect("a short name");
    let config = SqliteConfig::new(folder.join(format!("{name}.db"))).with_node(node);
    SqliteStore::open(config).await.expect("the store opens")
}

/// A hub in this process, over a real socket.
pub(crate) struct Hub {
    pub(crate) store: SqliteStore,
    pub(crate) url: String,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Hub {
    pub(crate) async fn start(folder: &Path) -> Hub {
        let store = open(folder, "hub").await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let service = HttpService::new(Endpoint::new(store.clone()));
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async {
            let _dropped = stopped.await;
        };
        let server = tokio::spawn(async { serve(listener, service, stopped).await.expect("the hub serves") });
        Hub { store, url, stop, server }
    }

    /// Ends the hub and closes its file.
    pub(crate) async fn stop(self) {
        let _gone = self.stop.send(());
        self.server.await.expect("the hub ends");
        self.store.close().await.expect("the store closes");
    }

    pub(crate) fn manager(&self, store: &SqliteStore) -> Manager {
        SyncManager::new(store.clone(), self.transport())
    }

    pub(crate) fn transport(&self) -> HttpTransport {
        HttpTransport::new(&self.url).expect("a good address")
    }
}

/// Returns an event whose content shows where and when it was made.
pub(crate) fn note(text: &str, note: usize) -> NewEvent {
    NewEvent::new("NoteEdited", format!("note-{note}"), &format!("{text} on note {note}"))
        .expect("a good event")
}

/// Records a number of events about a number of notes.
pub(crate) async fn record<T: Transport>(
    manager: &SyncManager<SqliteStore, T>,
    text: &str,
    count: usize,
    notes: usize,
) {
    for first in (0..count).step_by(1_000) {
        let numbers = first..count.min(first + 1_000);
        let events = numbers.map(|number| note(&format!("{text} {number}"), number % notes));
        manager.replica().record(events).await.expect("events are recorded");
    }
}

pub(crate) async fn log(store: &SqliteStore) -> Vec<Event> {
    let (mut events, mut after) = (Vec::new(), 0);
    loop {
        let page = store.read(Query::after(after)).await.expect("the log is read");
        after = page.scanned_to;
        events.extend(page.events.into_iter().map(|stored| stored.event));
        if !page.more {
            return events;
        }
    }
}

/// Returns the events that applications recorded, by id; panics if one is there twice.
pub(crate) async fn recorded(store: &SqliteStore) -> BTreeMap<String, Event> {
    let mut events = BTreeMap::new();
    for event in log(store).await.into_iter().filter(|event| !event.is_resolution()) {
        let twice = events.insert(event.id.to_string(), event);
        assert!(twice.is_none(), "an event is there twice: {twice:?}");
    }
    events
}

/// Asserts that all stores agree, that each holds this number of recorded events, and that nothing is left over.
pub(crate) async fn assert_same(stores: &[&SqliteStore], events: usize) {
    let first = Digest::of(stores[0]).await.expect("a digest");
    for store in stores {
        assert_eq!(recorded(store).await.len(), events, "at {}", store.node());
        assert_eq!(Digest::of(*store).await.expect("a digest"), first, "at {}", store.node());
        for prefix in [notes::CONFLICTS, notes::REFUSED_HERE, notes::REFUSED_BY_PEERS] {
            let left = store.notes_under(prefix).await.expect("notes are read");
            assert!(left.is_empty(), "left over at {}: {left:?}", store.node());
        }
    }
}

/// Asserts that every event comes after everything its author had seen of the aggregate.
pub(crate) async fn assert_causal(store: &SqliteStore) {
    let mut seen: BTreeMap<String, Vec<Event>> = BTreeMap::new();
    for event in log(store).await {
        let earlier = seen.entry(event.aggregate_id.to_string()).or_default();
        let effect = earlier.iter().find(|earlier| !event.is_resolution() && earlier.has_seen(&event));
        assert!(effect.is_none(), "{} stands after its effect {effect:?}", event.id);
        earlier.push(event);
    }
}

/// Syncs all until nothing moves any more.
pub(crate) async fn settle<T: Transport>(managers: &[&SyncManager<SqliteStore, T>]) {
    for _ in 0..10 {
        let mut moved = 0;
        for manager in managers {
            let report = manager.sync().await.expect("a sync without faults");
            moved += report.pushed + report.pulled + report.conflicts.settled;
        }
        if moved == 0 {
            return;
        }
    }
    panic!("the replicas do not come to rest");
}

/// Repeats until it succeeds, at most this number of times.
pub(crate) async fn until_ok<T, E: std::fmt::Debug, F: Future<Output = Result<T, E>>>(
    times: usize,
    attempt: impl Fn() -> F,
) -> T {
    let mut last = None;
    for _ in 0..times {
        match attempt().await {
            Ok(value) => return value,
            Err(error) => last = Some(error),
        }
    }
    panic!("never succeeded: {last:?}");
}
