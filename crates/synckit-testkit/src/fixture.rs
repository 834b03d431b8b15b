//! What an adapter gives to a suite.

use std::future::Future;

use synckit::Endpoint;
use synckit_core::{BoxStore, BoxTransport, Error, ErrorKind, EventStore, NodeId, Result, Transport};
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

    /// By what another process finds this namespace: a path, a URL. Without one, the cases that take two processes are
    /// printed as skipped.
    fn address(&self) -> Option<String> {
        None
    }

    /// Opens the log at an [`address`](StoreFixture::address) that a fixture in another process has given. Where
    /// there is an address, [`open`](StoreFixture::open) is best this call with the own one.
    ///
    /// # Errors
    /// As [`open`](StoreFixture::open); `Unsupported` unless a fixture that has an address implements it.
    fn open_at(&self, address: &str, node: &NodeId) -> impl Future<Output = Result<Self::Store>> + Send {
        let message = "the fixture has an address and does not implement `open_at`";
        let error = Error::new(ErrorKind::Unsupported, message).with("address", address).with("node", node);
        async { Err(error) }
    }
}

/// The endpoint that a transport under test reaches.
pub type HubEndpoint = Endpoint<FaultyStore<MemoryStore>>;

/// A way to a hub. Every case gets a fixture of its own. A [`WireFixture`](crate::WireFixture) is one as well.
pub trait TransportFixture: Send + Sync + 'static {
    /// The transport under test.
    type Transport: Transport;

    /// Serves this endpoint, and connects a client to it. The server lives until the runtime ends; it accepts
    /// what the endpoint's limits allow.
    ///
    /// # Errors
    /// Those of the way there.
    fn connect(&self, endpoint: HubEndpoint) -> impl Future<Output = Result<Self::Transport>> + Send;

    /// Connects another client to what was served last. `None` where there cannot be one: the case of two clients is then
    /// printed as skipped.
    ///
    /// # Errors
    /// Those of the way there.
    fn connect_again(&self) -> impl Future<Output = Result<Option<Self::Transport>>> + Send {
        async { Ok(None) }
    }
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

    fn address(&self) -> Option<String> {
        self.0.address()
    }

    async fn open_at(&self, address: &str, node: &NodeId) -> Result<BoxStore> {
        Ok(BoxStore::new(self.0.open_at(address, node).await?))
    }
}

impl<F: TransportFixture> TransportFixture for Boxed<F> {
    type Transport = BoxTransport;

    async fn connect(&self, endpoint: HubEndpoint) -> Result<BoxTransport> {
        Ok(BoxTransport::new(self.0.connect(endpoint).await?))
    }

    async fn connect_again(&self) -> Result<Option<BoxTransport>> {
        Ok(self.0.connect_again().await?.map(BoxTransport::new))
    }
}
