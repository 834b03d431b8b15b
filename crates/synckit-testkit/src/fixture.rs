//! What an adapter gives to a suite.

use std::future::Future;

use synckit::Endpoint;
use synckit_core::{BoxStore, BoxTransport, EventStore, NodeId, Result, Transport};
use synckit_memory::MemoryStore;

use crate::fault::FaultyStore;

/// One namespace that holds one log: a file, a schema, a key prefix. Every case gets a fixture of its own.
pub trait StoreFixture: Send + Sync + 'static {
    /// The store under test.
    type Store: EventStore;

    /// Opens the log of this namespace for a node, and makes it when it is not there.
    ///
    /// # Errors
    /// `Conflict` when the log belongs to another node, and those of the engine.
    fn open(&self, node: &NodeId) -> impl Future<Output = Result<Self::Store>> + Send;

    /// Whether a log that is closed, or whose handles are all dropped, can be opened again with all it held.
    fn survives_reopen(&self) -> bool;

    /// Whether a log can be opened while it is open, and both handles write to it.
    fn opens_twice(&self) -> bool;

    /// A namespace of its own that holds a copy of this log, as a backup does; the log is closed meanwhile.
    ///
    /// `None` where the engine has no way to make one: a scenario that restores from a copy is then skipped.
    ///
    /// # Errors
    /// Those of the engine.
    fn copy(&self) -> impl Future<Output = Result<Option<Self>>> + Send
    where
        Self: Sized,
    {
        async { Ok(None) }
    }
}

/// The endpoint that a transport under test reaches.
pub type HubEndpoint = Endpoint<FaultyStore<MemoryStore>>;

/// A way to a hub. Every case gets a fixture of its own. A [`WireFixture`] is one as well.
pub trait TransportFixture: Send + Sync + 'static {
    /// The transport under test.
    type Transport: Transport;

    /// Serves this endpoint, and connects a client to it. The server lives until the runtime ends; it accepts
    /// what the endpoint's limits allow.
    ///
    /// # Errors
    /// Those of the way there.
    fn connect(&self, endpoint: HubEndpoint) -> impl Future<Output = Result<Self::Transport>> + Send;
}

/// A fixture whose stores or transports are used through their boxed form.
#[derive(Clone, Copy, Debug)]
pub struct Boxed<F>(pub F);

impl<F: StoreFixture> StoreFixture for Boxed<F> {
    type Store = BoxStore;

    async fn open(&self, node: &NodeId) -> Result<BoxStore> {
        Ok(BoxStore::new(self.0.open(node).await?))
    }

    fn survives_reopen(&self) -> bool {
        self.0.survives_reopen()
    }

    fn opens_twice(&self) -> bool {
        self.0.opens_twice()
    }

    async fn copy(&self) -> Result<Option<Self>> {
        Ok(self.0.copy().await?.map(Boxed))
    }
}

impl<F: TransportFixture> TransportFixture for Boxed<F> {
    type Transport = BoxTransport;

    async fn connect(&self, endpoint: HubEndpoint) -> Result<BoxTransport> {
        Ok(BoxTransport::new(self.0.connect(endpoint).await?))
    }
}
