//! Processes that go on from one sync to the next: servers, and programs that sync over one link.
//!
//! They know what they have seen before, also of a store that was set back under them, or of a peer that was started
//! again in the meantime.

use synckit::Endpoint;
use synckit_core::BoxTransport;

use crate::in_process::InProcess;
use crate::sim::syncing::{How, Link, Manager, Store};
use crate::sim::world::World;
use crate::{FaultPlan, FaultyStore, FaultyTransport};

/// Where a replica is served, by one process after the other.
#[derive(Default)]
pub(super) struct Server {
    wire: InProcess,
    /// The plan of the store that is served; `None` while nothing is.
    plan: Option<FaultPlan>,
}

impl Server {
    fn start(&mut self, endpoint: Endpoint<Store>) {
        self.plan = Some(endpoint.store().plan().clone());
        self.wire.put(Some(BoxTransport::new(endpoint)));
    }

    /// Ends the process.
    pub(super) fn stop(&mut self) {
        self.plan = None;
        self.wire.put(None);
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
    /// Serves a replica, most often with the process that is running. Returns the plan of its store.
    pub(super) fn serve(&mut self, at: usize) -> FaultPlan {
        let running = self.replicas[at].server.plan.clone().filter(|plan| !plan.is_crashed());
        match running.filter(|_| !self.rng.chance(30)) {
            Some(plan) => plan,
            None => {
                let plan = FaultPlan::new();
                let store = FaultyStore::new(self.replicas[at].store.clone(), plan.clone());
                let endpoint = self.endpoint(at, store);
                self.replicas[at].server.start(endpoint);
                plan
            }
        }
    }

    /// Returns a program that syncs like this: the one that is running, if it does, or a new one.
    pub(super) fn program(&mut self, link: Link, how: &How) -> Program {
        let running = self.programs.remove(&link).filter(|program| program.how.is_like(how));
        if let Some(program) = running {
            return program;
        }
        let own = FaultyStore::new(self.replicas[link.0].store.clone(), FaultPlan::new());
        let network = FaultPlan::seeded(self.rng.next());
        let transport = FaultyTransport::new(self.replicas[link.1].server.wire.clone(), network);
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
