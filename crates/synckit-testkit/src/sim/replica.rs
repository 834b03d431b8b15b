//! What happens to a replica besides recording and syncing: wrong clocks, copies, restored copies, copies in use.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use synckit_core::{NodeId, StoreId};
use synckit_memory::MemoryStore;

use crate::Rng;
use crate::sim::processes::Server;
use crate::sim::world::World;

const HOUR: i64 = 3_600_000;
const YEAR: i64 = 365 * 24 * HOUR;

/// The maximum number of copies of one store that are in use at once.
const COPIES: usize = 6;

/// A store and what the simulator knows of it.
pub(super) struct Replica {
    /// Its name in the trace: copies of one store have different names here.
    pub(super) name: String,
    /// The name that its store was made for.
    pub(super) node: NodeId,
    pub(super) store: MemoryStore,
    /// Older copies of the store, which can be restored again and again.
    copies: Vec<MemoryStore>,
    pub(super) skew: Arc<AtomicI64>,
    pub(super) server: Server,
}

impl Replica {
    pub(super) fn new(at: usize, rng: &mut Rng) -> Self {
        let node = NodeId::new(format!("r{at}")).expect("a short name");
        let mut id = [0; 16];
        id[..8].copy_from_slice(&rng.next().to_be_bytes());
        id[8..].copy_from_slice(&rng.next().to_be_bytes());
        let store = MemoryStore::with_id(node.clone(), StoreId::from_bytes(id)).expect("a short name");
        let skew = rng.below(2 * HOUR as usize) as i64 - HOUR;
        let skew = Arc::new(AtomicI64::new(skew));
        Replica { name: node.to_string(), node, store, copies: Vec::new(), skew, server: Server::default() }
    }
}

impl World {
    /// Sets a clock wrong: by minutes, by most of a day, to 1970, or to the end of the century.
    pub(super) fn skew(&mut self) {
        let at = self.rng.below(self.replicas.len());
        let skew = match self.rng.below(6) {
            0 => -60 * YEAR,
            1 => 73 * YEAR,
            2 => 23 * HOUR + 59 * HOUR / 60,
            3 => -23 * HOUR,
            _ => self.rng.below(2 * HOUR as usize) as i64 - HOUR,
        };
        self.replicas[at].skew.store(skew, Ordering::Relaxed);
        self.trace.push(format!("the clock of {} is set {} h ahead", self.replicas[at].name, skew / HOUR));
    }

    pub(super) fn copy(&mut self) {
        let at = self.rng.below(self.replicas.len());
        self.copy_one(at);
    }

    pub(super) fn copy_one(&mut self, at: usize) {
        let copy = self.replicas[at].store.copy();
        self.replicas[at].copies.push(copy);
        self.trace.push(format!("{} is copied", self.replicas[at].name));
    }

    /// Sets a replica back to one of its older copies, which can be used again.
    pub(super) fn restore(&mut self) {
        let at = self.rng.below(self.replicas.len());
        self.restore_one(at);
    }

    pub(super) fn restore_one(&mut self, at: usize) {
        if let Some(copy) = self.older_copy(at) {
            self.stop_all(at);
            self.replicas[at].store = copy;
        }
    }

    /// Sets a replica back while it is in use: whoever has its store goes on with what is there now.
    pub(super) fn restore_in_use(&mut self, at: usize) {
        if let Some(copy) = self.older_copy(at) {
            self.replicas[at].store.restore(&copy);
            self.trace.push("while it is in use".to_owned());
        }
    }

    /// Draws one of the older copies of a replica.
    fn older_copy(&mut self, at: usize) -> Option<MemoryStore> {
        let replica = &self.replicas[at];
        let copy = self.rng.below(replica.copies.len().max(1));
        let store = replica.copies.get(copy)?.copy();
        self.summary.restores += 1;
        self.trace.push(format!("{} is set back to its copy {copy}", replica.name));
        Some(store)
    }

    /// Starts to use a copy of a store at the same time, with the same links in the network.
    pub(super) fn clone_one(&mut self) {
        let at = self.rng.below(self.replicas.len());
        let node = self.replicas[at].node.clone();
        let in_use = self.replicas.iter().filter(|replica| replica.node == node).count();
        if in_use >= COPIES || self.replicas.len() >= 14 {
            return;
        }
        let new = self.replicas.len();
        let name = format!("{node}/{in_use}");
        let store = self.replicas[at].store.copy();
        self.trace.push(format!("{name} is a copy of {} in use", self.replicas[at].name));
        let skew = Arc::new(AtomicI64::new(self.replicas[at].skew.load(Ordering::Relaxed)));
        self.replicas.push(Replica {
            name,
            node,
            store,
            copies: Vec::new(),
            skew,
            server: Server::default(),
        });
        let same = |end: usize| if end == at { new } else { end };
        let links: Vec<_> = self.links.iter().filter(|(from, to)| *from == at || *to == at).collect();
        let mut links: Vec<_> = links.into_iter().map(|(from, to)| (same(*from), same(*to))).collect();
        if self.rng.chance(20) {
            links.push((new, at));
        }
        self.links.extend(links);
        self.summary.clones += 1;
    }
}
