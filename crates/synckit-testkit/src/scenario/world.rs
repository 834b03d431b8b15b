//! Logs, and hubs that serve a log.

use synckit::{Endpoint, SyncManager};
use synckit_core::{BoxStore, BoxTransport, EventStore, NodeId, Result};

use super::Cell;
use super::any::{AnyStore, Namespace, Wire};
use crate::fault::{FaultPlan, FaultyStore};
use crate::samples::node;
use crate::wire::Server;

pub(super) type Manager = SyncManager<BoxStore, BoxTransport>;

/// A log, and the handle through which it is open.
pub(super) struct Log {
    pub(super) name: NodeId,
    pub(super) store: BoxStore,
    namespace: Namespace,
}

impl Log {
    pub(super) async fn make(kind: &AnyStore, name: &str) -> Result<Log> {
        let (namespace, name) = (kind.fresh(), node(name));
        let store = namespace.open(&name).await?;
        Ok(Log { name, store, namespace })
    }

    /// Closes the log and opens it again. A log that would be lost by this stays open.
    pub(super) async fn reopen(&mut self) -> Result<()> {
        if self.namespace.survives_reopen() {
            self.store.close().await?;
            self.store = self.namespace.open(&self.name).await?;
        }
        Ok(())
    }

    /// Makes a backup of the log, which is closed meanwhile; returns `None` if there is no way to make one.
    pub(super) async fn back_up(&mut self) -> Result<Option<Backup>> {
        if !self.namespace.survives_reopen() {
            return Ok(None);
        }
        self.store.close().await?;
        let copy = self.namespace.copy().await?;
        self.store = self.namespace.open(&self.name).await?;
        Ok(copy.map(Backup))
    }

    /// Replaces this log by a backup.
    pub(super) async fn restore(&mut self, backup: Backup) -> Result<()> {
        self.store.close().await?;
        self.store = backup.0.open(&self.name).await?;
        self.namespace = backup.0;
        Ok(())
    }
}

/// A copy of a log that was closed.
pub(super) struct Backup(Namespace);

/// A log that is served at a fixed place.
pub(super) struct Hub {
    pub(super) log: Log,
    /// The faults of its store.
    pub(super) plan: FaultPlan,
    wire: Wire,
    server: Option<Server>,
}

impl Hub {
    /// Starts the hub of a cell.
    pub(super) async fn start(cell: &Cell) -> Result<Hub> {
        Hub::serve(cell, Log::make(&cell.hub, "hub").await?).await
    }

    /// Serves this log over the transport of a cell.
    pub(super) async fn serve(cell: &Cell, log: Log) -> Result<Hub> {
        let mut hub = Hub { log, plan: FaultPlan::new(), wire: cell.wire.fresh(), server: None };
        hub.start_again().await?;
        Ok(hub)
    }

    pub(super) async fn stop(&mut self) -> Result<()> {
        match self.server.take() {
            Some(server) => server.stop().await,
            None => Ok(()),
        }
    }

    /// Serves at the same place again, after [`Hub::stop`].
    pub(super) async fn start_again(&mut self) -> Result<()> {
        let endpoint = Endpoint::new(FaultyStore::new(self.log.store.clone(), self.plan.clone()));
        self.server = Some(self.wire.serve(BoxTransport::new(endpoint)).await?);
        Ok(())
    }

    /// Stops, opens the log again, and serves it at the same place.
    pub(super) async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.log.reopen().await?;
        self.start_again().await
    }

    pub(super) async fn connect(&self) -> Result<BoxTransport> {
        self.wire.connect().await
    }

    /// Returns the manager of a replica that syncs with this hub.
    pub(super) async fn manager(&self, replica: &Log) -> Result<Manager> {
        Ok(SyncManager::new(replica.store.clone(), self.connect().await?))
    }
}
