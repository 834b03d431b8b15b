//! What an adapter provides to a suite.

use std::future::Future;

use synckit::Endpoint;
use synckit_core::{BoxStore, BoxTransport, Error, ErrorKind, EventStore, NodeId, Result, Transport};
use synckit_memory::MemoryStore;

use crate::fault::FaultyStore;

/// One namespace that holds one log: a file, a schema, a key prefix. Every case gets a new fixture.
pub trait StoreFixture: Send + Sync + 'static {
    /// The store under test.
    type Store: EventStore;

    /// Opens the log of this namespace for a node, and creates it if it does not exist.
    ///
    /// # Errors
    /// `Conflict` if the log belongs to another node, and the errors of the engine.
    fn open(&self, node: &NodeId) -> impl Future<Output = Result<Self::Store>> + Send;

    /// Returns why there can be no log on this machine, such as a server that is not installed: all cases are then printed
    /// as skipped. `None` if there can.
    fn absent(&self) -> Option<String> {
        None
    }

    /// Returns whether a log that is closed, or whose handles are all dropped, can be opened again with everything it
    /// held.
    fn survives_reopen(&self) -> bool;

    /// Returns whether a log can be opened while it is open, with both handles writing to it.
    fn opens_twice(&self) -> bool;

    /// Makes a new namespace that holds a copy of this log, as a backup does; the log is closed meanwhile.
    ///
    /// Returns `None` if the engine has no way to make one: a scenario that restores from a copy is then skipped.
    ///
    /// # Errors
    /// The errors of the engine.
    fn copy(&self) -> impl Future<Output = Result<Option<Self>>> + Send
    where
        Self: Sized,
    {
        async { Ok(None) }
    }

    /// Returns what another process finds this namespace by: a path, a URL. Without it, the cases that need two
    /// processes are printed as skipped.
    fn address(&self) -> Option<String> {
        None
    }

    /// Opens the log at an [`address`](StoreFixture::address) that a fixture in another process returned. If there is
    /// an address, [`open`](StoreFixture::open) is best implemented as this call with the fixture's address.
    ///
    /// # Errors
    /// The same as [`open`](StoreFixture::open); `Unsupported` unless a fixture that has an address implements it.
    fn open_at(&self, address: &str, node: &NodeId) -> impl Future<Output = Result<Self::Store>> + Send {
        let message = "the fixture has an address and does not implement `open_at`";
        let error = Error::new(ErrorKind::Unsupported, message).with("address", address).with("node", node);
        async { Err(error) }
    }
}

/// The endpoint that a transport under test reaches.
pub type HubEndpoint = Endpoint<FaultyStore<MemoryStore>>;

/// A connection to a hub. Every case gets a new fixture. A [`WireFixture`](crate::WireFixture) is one as well.
pub trait TransportFixture: Send + Sync + 'static {
    /// The transport under test.
    type Transport: Transport;

    /// Serves this endpoint, and connects a client to it. The server lives until the runtime ends; it accepts what
    /// the limits of the endpoint allow.
    ///
    /// # Errors
    /// The errors of the connection.
    fn connect(&self, endpoint: HubEndpoint) -> impl Future<Output = Result<Self::Transport>> + Send;

    /// Connects another client to what was served last. Returns `None` if there cannot be one: the case of two
    /// clients is then printed as skipped.
    ///
    /// # Errors
    /// The errors of the connection.
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

    fn absent(&self) -> Option<String> {
        self.0.absent()
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
