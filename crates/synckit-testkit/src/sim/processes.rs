//! Processes that go on from one sync to the next: servers, and programs that sync over one link.
//!
//! They know what they have seen before, also of a store that was set back under them, or of a peer that was started
//! again in the meantime.

use std::sync::{Arc, Mutex, PoisonError};

use synckit::Endpoint;
use synckit_core::{
    Error, ErrorKind, HelloRequest, HelloResponse, MissingRequest, MissingResponse, PageStream, PullRequest,
    PullResponse, PushRequest, PushResponse, Result, Traffic, Transport,
};

use crate::sim::syncing::{How, Link, Manager, Store};
use crate::sim::world::World;
use crate::{FaultPlan, FaultyStore, FaultyTransport};

/// Where a replica is served, by one process after the other.
#[derive(Clone, Default)]
pub(super) struct Server(Arc<Mutex<Option<Endpoint<Store>>>>);

impl Server {
    pub(super) fn of(endpoint: Endpoint<Store>) -> Self {
        Server(Arc::new(Mutex::new(Some(endpoint))))
    }

    /// Returns what serves now, unless it has crashed.
    fn up(&self) -> Option<Endpoint<Store>> {
        let running = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        running.filter(|endpoint| !endpoint.store().plan().is_crashed())
    }

    fn start(&self, endpoint: Endpoint<Store>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(endpoint);
    }

    /// Ends the process.
    pub(super) fn stop(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Returns the plan of the store that is served.
    pub(super) fn plan(&self) -> FaultPlan {
        self.up().map(|endpoint| endpoint.store().plan().clone()).unwrap_or_default()
    }

    fn running(&self) -> Result<Endpoint<Store>> {
        let running = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        running.ok_or_else(|| Error::new(ErrorKind::Unavailable, "nobody serves this replica"))
    }
}

impl Transport for Server {
    async fn hello(&self, request: HelloRequest) -> Result<HelloResponse> {
        self.running()?.hello(request).await
    }

    async fn pull(&self, request: PullRequest) -> Result<PullResponse> {
        self.running()?.pull(request).await
    }

    async fn push(&self, request: PushRequest) -> Result<PushResponse> {
        self.running()?.push(request).await
    }

    async fn missing(&self, request: MissingRequest) -> Result<MissingResponse> {
        self.running()?.missing(request).await
    }

    async fn subscribe(&self, request: PullRequest) -> Result<PageStream> {
        self.running()?.subscribe(request).await
    }

    fn traffic(&self) -> Traffic {
        Traffic::default()
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// A program that syncs over one link.
pub(super) struct Program {
    pub(super) manager: Manager,
    pub(super) how: How,
}

impl Program {
    pub(super) fn store(&self) -> &Store {
        self.manager.replica().store()
    }

    pub(super) fn network(&self) -> &FaultPlan {
        self.manager.transport().plan()
    }
}

impl World {
    /// Returns a server of a replica: most often the one that is running.
    pub(super) fn serve(&mut self, at: usize) -> Server {
        let server = self.replicas[at].server.clone();
        if server.up().is_none() || self.rng.chance(30) {
            let store = FaultyStore::new(self.replicas[at].store.clone(), FaultPlan::new());
            server.start(self.endpoint(at, store));
        }
        server
    }

    /// Returns a program that syncs like this: the one that is running, if it does, or a new one.
    pub(super) fn program(&mut self, link: Link, how: &How) -> Program {
        let running = self.programs.remove(&link).filter(|program| program.how.is_like(how));
        if let Some(program) = running {
            return program;
        }
        let own = FaultyStore::new(self.replicas[link.0].store.clone(), FaultPlan::new());
        let network = FaultPlan::seeded(self.rng.next());
        let transport = FaultyTransport::new(self.replicas[link.1].server.clone(), network);
        let manager = self.manager(self.replica(link.0, own), transport, how);
        Program { manager, how: how.clone() }
    }

    /// Ends all processes that use the store of a replica, before another takes its place.
    pub(super) fn stop_all(&mut self, at: usize) {
        self.replicas[at].server.stop();
        self.programs.retain(|(from, _), _| *from != at);
    }

    /// Returns how the program that runs over this link syncs.
    pub(super) fn running(&mut self, link: Link) -> Option<How> {
        let running = self.programs.get(&link).map(|program| program.how.clone());
        running.filter(|_| self.rng.chance(60))
    }
}
