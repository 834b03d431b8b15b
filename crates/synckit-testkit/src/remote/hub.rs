//! A hub on a free port, and replicas that reach it through something in between.

use std::net::SocketAddr;
use std::time::Duration;

use synckit::{
    Digest, Endpoint, EventStore, Limits, NewEvent, NodeId, Replica, RetryPolicy, SyncManager,
    SyncManagerBuilder,
};
use synckit_memory::MemoryStore;
use synckit_remote::{Client, ClientConfig, ServerConfig, serve};
use tokio::net::TcpListener;

use super::{Wire, service};
use crate::fault::DamagedStore;

/// A hub over a store in memory. It serves until the runtime ends.
#[derive(Debug)]
pub struct Hub {
    /// The address it listens at.
    pub address: SocketAddr,
    /// Its store.
    pub store: DamagedStore<MemoryStore>,
}

impl Hub {
    /// Starts a hub.
    pub async fn start<W: Wire>() -> Self {
        Hub::with::<W>(ServerConfig::default(), Limits::default()).await
    }

    /// Starts a hub with these limits.
    pub async fn with<W: Wire>(config: ServerConfig, limits: Limits) -> Self {
        let store = DamagedStore::new(store("hub"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let endpoint = Endpoint::new(store.clone()).with_limits(limits);
        tokio::spawn(serve(listener, service::<W, _>(endpoint, config), std::future::pending()));
        Hub { address, store }
    }

    /// Panics unless this store holds what the hub holds.
    pub async fn agrees_with(&self, store: &impl EventStore) {
        let (here, there) = (Digest::of(store).await.unwrap(), Digest::of(&self.store).await.unwrap());
        assert_eq!(here, there);
    }
}

/// Returns a store in memory for a node of this name.
pub fn store(name: &str) -> MemoryStore {
    MemoryStore::new(NodeId::new(name).unwrap()).unwrap()
}

/// A manager of a store in memory.
pub type Manager<W> = SyncManager<MemoryStore, Client<<W as Wire>::Exchange>>;

/// Returns a manager of this store to the server at this URL that retries without waiting long.
pub fn manager<W: Wire>(store: &MemoryStore, url: String) -> Manager<W> {
    builder::<W>(store, ClientConfig::new(url)).build()
}

/// Returns a builder of such a manager, for a client with this configuration.
pub fn builder<W: Wire>(
    store: &MemoryStore,
    config: ClientConfig,
) -> SyncManagerBuilder<MemoryStore, Client<W::Exchange>> {
    let retry = RetryPolicy { base: Duration::from_millis(2), ..RetryPolicy::default() };
    SyncManager::builder(store.clone(), Client::with_config(config).unwrap()).with_retry(retry)
}

/// Records this number of events, in batches.
pub(super) async fn record(replica: &Replica<MemoryStore>, count: usize) {
    for first in (0..count).step_by(1_000) {
        replica.record(notes(first..count.min(first + 1_000))).await.unwrap();
    }
}

/// Returns events with these numbers whose data compresses as text does.
pub fn notes(numbers: std::ops::Range<usize>) -> impl Iterator<Item = NewEvent> {
    numbers.map(|number| {
        let text = format!("note {number}: {}", number.wrapping_mul(2_654_435_761) % 1_000_003);
        NewEvent::new("NoteEdited", format!("note-{}", number % 500), &*text).unwrap()
    })
}
