//! Stores and transports chosen at run time, so that a scenario is compiled once for all of them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use synckit_core::{BoxStore, BoxTransport, NodeId, Result};

use crate::fixture::StoreFixture;
use crate::wire::{Server, WireFixture};

type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// Any store: creates fresh namespaces of one kind.
#[derive(Clone)]
pub struct AnyStore(Arc<dyn Fn() -> Namespace + Send + Sync>);

impl AnyStore {
    /// Wraps the store of these fixtures. Each call must return a fresh one.
    pub fn new<F: StoreFixture>(fixture: impl Fn() -> F + Send + Sync + 'static) -> Self {
        AnyStore(Arc::new(move || Namespace(Box::new(fixture()))))
    }

    pub(super) fn fresh(&self) -> Namespace {
        (self.0)()
    }
}

impl fmt::Debug for AnyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyStore")
    }
}

/// Any transport: creates fresh places to serve at, of one kind.
#[derive(Clone)]
pub struct AnyWire(Arc<dyn Fn() -> Wire + Send + Sync>);

impl AnyWire {
    /// Wraps the transport of these fixtures. Each call must return a fresh one.
    pub fn new<F: WireFixture>(fixture: impl Fn() -> F + Send + Sync + 'static) -> Self {
        AnyWire(Arc::new(move || Wire(Box::new(fixture()))))
    }

    pub(super) fn fresh(&self) -> Wire {
        (self.0)()
    }
}

impl fmt::Debug for AnyWire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyWire")
    }
}

/// A [`StoreFixture`] of any kind.
pub(super) struct Namespace(Box<dyn DynStoreFixture>);

impl Namespace {
    pub(super) async fn open(&self, node: &NodeId) -> Result<BoxStore> {
        self.0.open(node).await
    }

    pub(super) fn survives_reopen(&self) -> bool {
        self.0.survives_reopen()
    }

    pub(super) async fn copy(&self) -> Result<Option<Namespace>> {
        self.0.copy().await
    }
}

trait DynStoreFixture: Send + Sync {
    fn open<'a>(&'a self, node: &'a NodeId) -> Boxed<'a, BoxStore>;
    fn survives_reopen(&self) -> bool;
    fn copy(&self) -> Boxed<'_, Option<Namespace>>;
}

impl<F: StoreFixture> DynStoreFixture for F {
    fn open<'a>(&'a self, node: &'a NodeId) -> Boxed<'a, BoxStore> {
        Box::pin(async move { Ok(BoxStore::new(StoreFixture::open(self, node).await?)) })
    }

    fn survives_reopen(&self) -> bool {
        StoreFixture::survives_reopen(self)
    }

    fn copy(&self) -> Boxed<'_, Option<Namespace>> {
        Box::pin(async move {
            let copy = StoreFixture::copy(self).await?;
            Ok(copy.map(|fixture| Namespace(Box::new(fixture))))
        })
    }
}

/// A [`WireFixture`] of any kind.
pub(super) struct Wire(Box<dyn DynWireFixture>);

impl Wire {
    pub(super) async fn serve(&self, hub: BoxTransport) -> Result<Server> {
        self.0.serve(hub).await
    }

    pub(super) async fn connect(&self) -> Result<BoxTransport> {
        self.0.connect().await
    }
}

trait DynWireFixture: Send + Sync {
    fn serve(&self, hub: BoxTransport) -> Boxed<'_, Server>;
    fn connect(&self) -> Boxed<'_, BoxTransport>;
}

impl<F: WireFixture> DynWireFixture for F {
    fn serve(&self, hub: BoxTransport) -> Boxed<'_, Server> {
        Box::pin(WireFixture::serve(self, hub))
    }

    fn connect(&self) -> Boxed<'_, BoxTransport> {
        Box::pin(async move { Ok(BoxTransport::new(WireFixture::connect(self).await?)) })
    }
}
