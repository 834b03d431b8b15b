//! The replicas and what happens to them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use synckit::{Digest, Endpoint, Recovery, RetryPolicy, SyncManager};
use synckit_core::{EventStore, NewEvent, NodeId, StoreId};
use synckit_memory::MemoryStore;

use super::Summary;
use super::environment::SimEnvironment;
use super::resolvers::{SimResolver, Strategy};
use crate::check::{self, Checked, Created};
use crate::{Fault, FaultPlan, FaultyStore, FaultyTransport, Rng};

const HOUR: i64 = 3_600_000;

/// Who syncs with whom: pairs of the calling and the answering side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Topology {
    Hub,
    Chain,
    Ring,
    Mesh,
}

struct Replica {
    name: NodeId,
    store: MemoryStore,
    /// An older copy of the store, to be restored from.
    copy: Option<MemoryStore>,
    skew: Arc<AtomicI64>,
}

/// Where a store dies in the middle of a sync.
#[derive(Clone, Copy)]
struct Crash {
    client: bool,
    /// At this call of the store, counted from 1.
    call: u64,
    /// After the call is done, not before.
    after: bool,
}

type Manager = SyncManager<FaultyStore<MemoryStore>, FaultyTransport<Endpoint<FaultyStore<MemoryStore>>>>;

/// A replica that was restored and has not yet met the one peer that knows best what it had authored.
struct Restored {
    replica: usize,
    peer: usize,
}

pub(super) struct World {
    rng: Rng,
    topology: Topology,
    strategy: Strategy,
    replicas: Vec<Replica>,
    links: Vec<(usize, usize)>,
    cut: BTreeSet<(usize, usize)>,
    restored: Option<Restored>,
    now: Arc<AtomicU64>,
    shared: Arc<Mutex<Rng>>,
    created: Created,
    summary: Summary,
    trace: Vec<String>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let count = 3 + rng.below(6);
        let topology = [Topology::Hub, Topology::Chain, Topology::Ring, Topology::Mesh][rng.below(4)];
        let strategy = Strategy::any(&mut rng);
        let replicas = (0..count).map(|at| replica(at, &mut rng)).collect();
        let links = match topology {
            Topology::Hub => (1..count).map(|spoke| (spoke, 0)).collect(),
            Topology::Chain => (1..count).map(|at| (at, at - 1)).collect(),
            Topology::Ring => (0..count).map(|at| (at, (at + 1) % count)).collect(),
            Topology::Mesh => (0..count)
                .flat_map(|from| (0..count).map(move |to| (from, to)))
                .filter(|(a, b)| a != b)
                .collect(),
        };
        let shared = Arc::new(Mutex::new(Rng::new(rng.next())));
        let trace = vec![format!("{count} replicas, {topology:?}, conflicts settled by {strategy:?}")];
        World {
            rng,
            topology,
            strategy,
            replicas,
            links,
            cut: BTreeSet::new(),
            restored: None,
            now: Arc::new(AtomicU64::new(1_764_000_000_000)),
            shared,
            created: BTreeMap::new(),
            summary: Summary { seed, replicas: count, ..Summary::default() },
            trace,
        }
    }

    pub(super) fn into_trace(self) -> Vec<String> {
        self.trace
    }

    pub(super) async fn run(&mut self) -> Checked<Summary> {
        for _ in 0..20 + self.rng.below(50) {
            self.now.fetch_add(self.rng.below(5_000) as u64, Ordering::Relaxed);
            match self.rng.below(100) {
                0..36 => self.record().await?,
                36..84 => self.sync_somewhere().await?,
                84..89 => self.cut_or_mend(),
                89..93 => self.skew(),
                93..96 => self.copy(),
                _ => self.restore().await?,
            }
        }
        self.heal().await?;
        self.check().await
    }

    async fn record(&mut self) -> Checked {
        // In a hub only the spokes author: the hub never asks anyone what it had authored before a restore.
        let first = usize::from(self.topology == Topology::Hub);
        let at = first + self.rng.below(self.replicas.len() - first);
        let mut events = Vec::new();
        for _ in 0..1 + self.rng.below(4) {
            let aggregate = format!("note-{}", self.rng.below(4));
            events.push(
                NewEvent::new("Edited", aggregate, &self.rng.next()).map_err(|error| error.to_string())?,
            );
        }
        let manager = self.manager(at, at, None, 0);
        let recorded = manager.record(events).await.map_err(|error| format!("a record failed: {error}"))?;
        let name = &self.replicas[at].name;
        let dots: Vec<String> =
            recorded.events.iter().filter_map(|e| e.dot.as_ref()).map(|d| d.to_string()).collect();
        self.trace.push(format!("{name} records {}", dots.join(" ")));
        self.summary.recorded += recorded.events.len();
        self.created.extend(recorded.events.iter().map(|event| (event.id.clone(), event.content_digest())));
        Ok(())
    }

    async fn sync_somewhere(&mut self) -> Checked {
        let link = self.links[self.rng.below(self.links.len())];
        let link = match &self.restored {
            // The first to meet a restored replica is the peer that knows best; others keep away until then.
            Some(restored) if [link.0, link.1].contains(&restored.replica) => {
                (restored.replica, restored.peer)
            }
            _ => link,
        };
        if self.cut.contains(&link) {
            return Ok(());
        }
        let crash = self.rng.chance(30).then(|| Crash {
            client: self.rng.chance(50),
            call: 1 + self.rng.below(25) as u64,
            after: self.rng.chance(50),
        });
        let loss = if self.rng.chance(30) { 6 } else { 0 };
        self.sync(link, crash, loss).await
    }

    /// One sync over a link, on which either side may crash at a store call and messages may be lost.
    async fn sync(&mut self, link: (usize, usize), crash: Option<Crash>, loss: usize) -> Checked {
        let (from, to) = link;
        let before = [self.values(from).await?, self.values(to).await?];
        let manager = self.manager(from, to, crash, loss);
        let result = manager.sync().await;
        let crashed =
            [manager.store(), manager.transport().inner().store()].map(|store| store.plan().is_crashed());
        drop(manager);
        self.summary.crashes += crashed.iter().filter(|crashed| **crashed).count();
        let (client, server) = (&self.replicas[from], &self.replicas[to]);
        let report = match &result {
            Ok(report) => report,
            Err(error) => &error.report,
        };
        let error = result.as_ref().err().map(|error| format!(", then {error}")).unwrap_or_default();
        let recovery = match &report.recovery {
            nothing if *nothing == Recovery::default() => String::new(),
            recovery => format!(", {recovery:?}"),
        };
        let moved = report.pulled + report.pushed + report.conflicts.settled + report.refused_count;
        if moved > 0 || !error.is_empty() || !recovery.is_empty() {
            self.trace.push(format!(
                "{} syncs with {}: pulled {} pushed {} settled {} refused {}{recovery}{error}",
                client.name,
                server.name,
                report.pulled,
                report.pushed,
                report.conflicts.settled,
                report.refused_count,
            ));
        }
        match result {
            Ok(_) => self.summary.syncs.0 += 1,
            Err(_) => self.summary.syncs.1 += 1,
        }
        let recovering = report.recovery.restored_here;
        let healthy = result.is_ok();
        if let Err(error) = &result
            && crash.is_none()
            && loss == 0
        {
            return Err(format!("a sync without faults failed: {error}"));
        }
        if let Some(restored) = &self.restored
            && healthy
            && (from, to) == (restored.replica, restored.peer)
        {
            self.restored = None;
        }
        let client = self.replicas[from].name.to_string();
        check::honest(&client, &self.replicas[from].store, &self.replicas[to].store).await?;
        check::monotonic(&client, &before[0], &self.values(from).await?, recovering)?;
        check::monotonic(self.replicas[to].name.as_str(), &before[1], &self.values(to).await?, false)
    }

    async fn values(&self, at: usize) -> Checked<BTreeMap<String, u64>> {
        check::monotonic_values(&self.replicas[at].store).await
    }

    fn manager(&mut self, from: usize, to: usize, crash: Option<Crash>, loss: usize) -> Manager {
        let store = |at: usize, client: bool| {
            let plan = FaultPlan::new();
            if let Some(crash) = crash.filter(|crash| crash.client == client) {
                plan.nth_of_all(crash.call, if crash.after { Fault::CrashAfter } else { Fault::Crash });
            }
            FaultyStore::new(self.replicas[at].store.clone(), plan)
        };
        let endpoint = Endpoint::new(store(to, false)).with_environment(self.environment(to));
        let own = store(from, true);
        let link =
            [Fault::LOSE_REQUEST, Fault::LOSE_ANSWER, Fault::Duplicate, Fault::Replay(1), Fault::Late(1)]
                .into_iter()
                .fold(FaultPlan::seeded(self.rng.next()), |plan, fault| plan.with_chance(loss, fault));
        let resolver = SimResolver {
            strategy: self.strategy,
            node: self.replicas[from].name.clone(),
            rng: self.shared.clone(),
        };
        SyncManager::builder(own, FaultyTransport::new(endpoint, link))
            .with_environment(self.environment(from))
            .with_batch_size(1 + self.rng.below(7))
            .with_retry(if self.rng.chance(50) { RetryPolicy::never() } else { RetryPolicy::default() })
            .with_resolver(resolver)
            .build()
    }

    fn environment(&self, at: usize) -> SimEnvironment {
        SimEnvironment {
            now: self.now.clone(),
            skew: self.replicas[at].skew.clone(),
            rng: self.shared.clone(),
        }
    }

    fn cut_or_mend(&mut self) {
        let link = self.links[self.rng.below(self.links.len())];
        if !self.cut.remove(&link) {
            self.cut.insert(link);
        }
    }

    fn skew(&mut self) {
        let at = self.rng.below(self.replicas.len());
        let skew = self.rng.below(2 * HOUR as usize) as i64 - HOUR;
        self.replicas[at].skew.store(skew, Ordering::Relaxed);
    }

    fn copy(&mut self) {
        let at = self.rng.below(self.replicas.len());
        self.replicas[at].copy = Some(self.replicas[at].store.copy());
        self.trace.push(format!("{} is copied", self.replicas[at].name));
    }

    /// Restores a replica from an older copy, where that can be recovered from: a peer holds all that anyone holds of
    /// what it had authored, and is the first it meets.
    async fn restore(&mut self) -> Checked {
        let at = self.rng.below(self.replicas.len());
        if self.restored.is_some() || self.replicas[at].copy.is_none() {
            return Ok(());
        }
        let authors = !(self.topology == Topology::Hub && at == 0);
        let peer = if authors { self.best_peer(at).await? } else { None };
        if authors && peer.is_none() {
            return Ok(());
        }
        if let Some(copy) = self.replicas[at].copy.take() {
            self.replicas[at].store = copy;
        }
        self.restored = peer.map(|peer| Restored { replica: at, peer });
        self.summary.restores += 1;
        let mut held = BTreeSet::new();
        for replica in &self.replicas {
            held.extend(check::log(&replica.store).await?.into_iter().map(|stored| stored.event.id));
        }
        let before = self.created.len();
        self.created.retain(|id, _| held.contains(id));
        let lost = before - self.created.len();
        self.summary.lost_with_a_restore += lost;
        self.trace
            .push(format!("{} is restored from its copy; {lost} events are gone", self.replicas[at].name));
        Ok(())
    }

    /// A peer this replica calls that holds as much of what it authored as any other does.
    async fn best_peer(&self, at: usize) -> Checked<Option<usize>> {
        let name = self.replicas[at].name.as_str();
        let mut held = Vec::new();
        for (other, replica) in self.replicas.iter().enumerate() {
            let log = check::log(&replica.store).await?;
            let own = log.iter().filter_map(|stored| stored.event.dot.as_ref());
            let own = own.filter(|dot| dot.node.as_str().split('~').next() == Some(name)).count();
            held.push(if other == at { 0 } else { own });
        }
        let most = held.iter().copied().max().unwrap_or(0);
        let reached = |to: &usize| self.links.contains(&(at, *to)) && held[*to] == most;
        Ok((0..self.replicas.len()).find(reached))
    }

    /// Mends every link and syncs over all of them until nothing moves.
    async fn heal(&mut self) -> Checked {
        self.trace.push("everything heals".to_owned());
        self.cut.clear();
        if let Some(Restored { replica, peer }) = self.restored {
            self.sync((replica, peer), None, 0).await?;
        }
        for round in 1..=4 * self.replicas.len() + 4 {
            let before = self.heads().await?;
            for link in self.links.clone() {
                self.sync(link, None, 0).await?;
            }
            if before == self.heads().await? {
                self.summary.rounds = round;
                return Ok(());
            }
        }
        Err("P3: the replicas never come to rest".to_owned())
    }

    async fn heads(&self) -> Checked<Vec<u64>> {
        let mut heads = Vec::new();
        for replica in &self.replicas {
            heads.push(replica.store.head().await.map_err(|error| error.to_string())?.position);
        }
        Ok(heads)
    }

    async fn check(&mut self) -> Checked<Summary> {
        let mut digests: Vec<Digest> = Vec::new();
        for replica in &self.replicas {
            let name = replica.name.as_str();
            let log = check::log(&replica.store).await?;
            check::exact(name, &log, &self.created)?;
            check::causal(name, &log)?;
            digests.push(check::view(name, &replica.store, &log).await?);
            check::settled(name, &replica.store).await?;
            self.summary.resolutions = log.iter().filter(|stored| stored.event.is_resolution()).count();
        }
        if let Some(other) = digests.iter().find(|digest| **digest != digests[0]) {
            return Err(format!("P3: the replicas differ: {:?} and {other:?}", digests[0]));
        }
        self.summary.digest = format!("{} {}", digests[0].set, digests[0].view);
        Ok(self.summary.clone())
    }
}

fn replica(at: usize, rng: &mut Rng) -> Replica {
    let name = NodeId::new(format!("r{at}")).expect("a short name");
    let mut id = [0; 16];
    id[..8].copy_from_slice(&rng.next().to_be_bytes());
    id[8..].copy_from_slice(&rng.next().to_be_bytes());
    let store = MemoryStore::with_id(name.clone(), StoreId::from_bytes(id)).expect("a short name");
    let skew = rng.below(2 * HOUR as usize) as i64 - HOUR;
    Replica { name, store, copy: None, skew: Arc::new(AtomicI64::new(skew)) }
}
