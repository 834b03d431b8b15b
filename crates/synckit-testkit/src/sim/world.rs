//! The replicas and what happens to them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use synckit::{Digest, Direction, Endpoint, Recovery, RetryPolicy, SyncManager};
use synckit_core::{EventStore, Filter, NewEvent, NodeId, StoreId};
use synckit_memory::MemoryStore;

use super::Summary;
use super::environment::SimEnvironment;
use super::resolvers::{SimResolver, Strategy};
use crate::check::{self, Checked, Created, Seen};
use crate::{Fault, FaultPlan, FaultyStore, FaultyTransport, Rng};

const HOUR: i64 = 3_600_000;
const YEAR: i64 = 365 * 24 * HOUR;

/// The maximum number of copies of one store that are in use at once.
const COPIES: usize = 6;

/// Who syncs with whom: pairs of the calling and the serving side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Topology {
    Hub,
    TwoHubs,
    Chain,
    Ring,
    Mesh,
}

/// A store and what the simulator knows of it.
struct Replica {
    /// Its name in the trace: copies of one store have different names here.
    name: String,
    /// The name that its store was made for.
    node: NodeId,
    store: MemoryStore,
    /// Older copies of the store, which can be restored again and again.
    copies: Vec<MemoryStore>,
    skew: Arc<AtomicI64>,
}

/// The point where a store crashes in the middle of a sync.
#[derive(Clone, Copy)]
struct Crash {
    client: bool,
    /// At this call of the store, counted from 1.
    call: u64,
    /// Whether it crashes after the call is done, not before.
    after: bool,
}

/// How a sync is made.
#[derive(Clone)]
struct How {
    crash: Option<Crash>,
    /// The chance in a hundred that a message is lost, repeated or late.
    loss: usize,
    direction: Direction,
    filter: Filter,
}

impl How {
    fn whole() -> Self {
        How { crash: None, loss: 0, direction: Direction::Both, filter: Filter::new() }
    }
}

type Manager = SyncManager<FaultyStore<MemoryStore>, FaultyTransport<Endpoint<FaultyStore<MemoryStore>>>>;

pub(super) struct World {
    rng: Rng,
    strategy: Strategy,
    replicas: Vec<Replica>,
    links: Vec<(usize, usize)>,
    cut: BTreeSet<(usize, usize)>,
    /// The filters that some syncs use; the others sync everything.
    filters: Vec<Filter>,
    /// Whether a filter separates events of one aggregate: what it left out comes later, after its effects.
    splits: bool,
    /// Whether some syncs go only one way.
    one_way: bool,
    now: Arc<AtomicU64>,
    shared: Arc<Mutex<Rng>>,
    created: Created,
    seen: Seen,
    summary: Summary,
    trace: Vec<String>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let count = 3 + rng.below(6);
        let topologies = [Topology::Hub, Topology::TwoHubs, Topology::Chain, Topology::Ring, Topology::Mesh];
        let topology = topologies[rng.below(topologies.len())];
        let strategy = Strategy::any(&mut rng);
        let replicas = (0..count).map(|at| replica(at, &mut rng)).collect();
        let links = match topology {
            Topology::Hub => (1..count).map(|spoke| (spoke, 0)).collect(),
            Topology::TwoHubs => (2..count).flat_map(|spoke| [(spoke, 0), (spoke, 1)]).collect(),
            Topology::Chain => (1..count).map(|at| (at, at - 1)).collect(),
            Topology::Ring => (0..count).map(|at| (at, (at + 1) % count)).collect(),
            Topology::Mesh => (0..count)
                .flat_map(|from| (0..count).map(move |to| (from, to)))
                .filter(|(a, b)| a != b)
                .collect(),
        };
        let splits = rng.chance(30);
        let filters = match rng.below(3) {
            0 => Vec::new(),
            _ if splits => vec![Filter::new().with_type("Edited").expect("a short name")],
            _ => ["note-0", "note-1"]
                .map(|of| Filter::new().with_aggregate(of).expect("a short name"))
                .to_vec(),
        };
        let one_way = rng.chance(50);
        let shared = Arc::new(Mutex::new(Rng::new(rng.next())));
        let trace = vec![format!("{count} replicas, {topology:?}, conflicts settled by {strategy:?}")];
        World {
            rng,
            strategy,
            replicas,
            links,
            cut: BTreeSet::new(),
            splits: splits && !filters.is_empty(),
            filters,
            one_way,
            now: Arc::new(AtomicU64::new(1_764_000_000_000)),
            shared,
            created: BTreeMap::new(),
            seen: BTreeMap::new(),
            summary: Summary { seed, replicas: count, ..Summary::default() },
            trace,
        }
    }

    pub(super) fn into_trace(self) -> Vec<String> {
        self.trace
    }

    pub(super) async fn run(&mut self) -> Checked<Summary> {
        for _ in 0..20 + self.rng.below(60) {
            self.now.fetch_add(self.rng.below(5_000) as u64, Ordering::Relaxed);
            match self.rng.below(100) {
                0..34 => self.record().await?,
                34..79 => self.sync_somewhere().await?,
                79..84 => self.cut_or_mend(),
                84..88 => self.skew(),
                88..92 => self.copy(),
                92..97 => self.restore(),
                _ => self.clone_one(),
            }
        }
        self.heal().await?;
        self.check().await
    }

    async fn record(&mut self) -> Checked {
        let at = self.rng.below(self.replicas.len());
        let mut events = Vec::new();
        for _ in 0..1 + self.rng.below(4) {
            let aggregate = format!("note-{}", self.rng.below(4));
            let kind = if self.rng.chance(70) { "Edited" } else { "Moved" };
            events.push(NewEvent::new(kind, aggregate, &self.rng.next()).map_err(|error| error.to_string())?);
        }
        let mut held: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for stored in check::log(&self.replicas[at].store).await? {
            if !stored.event.is_derived() {
                held.entry(stored.event.aggregate_id).or_default().insert(stored.event.id);
            }
        }
        let manager = self.manager(at, at, &How::whole());
        let recorded =
            manager.replica().record(events).await.map_err(|error| format!("a record failed: {error}"))?;
        for event in &recorded.events {
            let held = held.entry(event.aggregate_id.clone()).or_default();
            self.seen.insert(event.id.clone(), held.clone());
            held.insert(event.id.clone());
        }
        let name = &self.replicas[at].name;
        let dots: Vec<String> = recorded
            .events
            .iter()
            .filter_map(|e| Some(format!("{}={}@{}", short(&e.id), e.dot.as_ref()?, e.aggregate_id)))
            .collect();
        self.trace.push(format!("{name} records {}", dots.join(" ")));
        self.summary.recorded += recorded.events.len();
        self.created.extend(recorded.events.iter().map(|event| (event.id.clone(), event.content_digest())));
        Ok(())
    }

    async fn sync_somewhere(&mut self) -> Checked {
        let link = self.links[self.rng.below(self.links.len())];
        if self.cut.contains(&link) {
            return Ok(());
        }
        let crash = self.rng.chance(30).then(|| Crash {
            client: self.rng.chance(50),
            call: 1 + self.rng.below(25) as u64,
            after: self.rng.chance(50),
        });
        let loss = if self.rng.chance(30) { 6 } else { 0 };
        let direction = match self.rng.below(4) {
            0 if self.one_way => Direction::PushOnly,
            1 if self.one_way => Direction::PullOnly,
            _ => Direction::Both,
        };
        let mut filter = Filter::new();
        if !self.filters.is_empty() && self.rng.chance(50) {
            filter = self.filters[self.rng.below(self.filters.len())].clone();
        }
        self.sync(link, How { crash, loss, direction, filter }).await
    }

    /// Makes one sync over a link, on which either side may crash at a store call and messages may be lost.
    async fn sync(&mut self, link: (usize, usize), how: How) -> Checked {
        let (from, to) = link;
        let before = [self.values(from).await?, self.values(to).await?];
        let manager = self.manager(from, to, &how);
        let result = manager.sync().await;
        let crashed = [manager.replica().store(), manager.transport().inner().store()]
            .map(|store| store.plan().is_crashed());
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
                "{} syncs with {} ({:?}, {}): pulled {} pushed {} settled {} refused {}{recovery}{error}",
                client.name,
                server.name,
                how.direction,
                how.filter.fingerprint(),
                report.pulled,
                report.pushed,
                report.conflicts.settled,
                report.refused_count,
            ));
        }
        let open = report.conflicts.open.iter();
        let left: Vec<_> =
            open.filter_map(|left| Some(format!("{}: {}", left.aggregate, left.reason.as_ref()?))).collect();
        if how.crash.is_none() && how.loss == 0 && !left.is_empty() {
            self.trace.push(format!("  left: {}", left.join("; ")));
        }
        self.summary.renewals += usize::from(report.recovery.renewed.is_some());
        if report.refused_count > 0 {
            return Err(format!("P2: an event was refused: {:?}", report.refused));
        }
        match result {
            Ok(_) => self.summary.syncs.0 += 1,
            Err(_) => self.summary.syncs.1 += 1,
        }
        if let Err(error) = &result
            && how.crash.is_none()
            && how.loss == 0
        {
            return Err(format!("a sync without faults failed: {error}"));
        }
        let client = self.replicas[from].name.clone();
        check::honest(&client, &self.replicas[from].store, &self.replicas[to].store, &how.filter).await?;
        check::monotonic(&client, &before[0], &self.values(from).await?)?;
        check::listed(&client, &self.replicas[from].store).await?;
        check::monotonic(&self.replicas[to].name, &before[1], &self.values(to).await?)
    }

    async fn values(&self, at: usize) -> Checked<BTreeMap<String, u64>> {
        check::monotonic_values(&self.replicas[at].store).await
    }

    fn manager(&mut self, from: usize, to: usize, how: &How) -> Manager {
        let store = |at: usize, client: bool| {
            let plan = FaultPlan::new();
            if let Some(crash) = how.crash.filter(|crash| crash.client == client) {
                plan.nth_of_all(crash.call, if crash.after { Fault::CrashAfter } else { Fault::Crash });
            }
            FaultyStore::new(self.replicas[at].store.clone(), plan)
        };
        let endpoint = Endpoint::new(store(to, false)).with_environment(self.environment(to));
        let own = store(from, true);
        let link =
            [Fault::LOSE_REQUEST, Fault::LOSE_ANSWER, Fault::Duplicate, Fault::Replay(1), Fault::Late(1)]
                .into_iter()
                .fold(FaultPlan::seeded(self.rng.next()), |plan, fault| plan.with_chance(how.loss, fault));
        let resolver = SimResolver {
            strategy: self.strategy,
            node: self.replicas[from].node.clone(),
            rng: self.shared.clone(),
        };
        SyncManager::builder(
            synckit::Replica::builder(own)
                .with_environment(self.environment(from))
                .with_resolver(resolver)
                .build(),
            FaultyTransport::new(endpoint, link),
        )
        .with_batch_size(1 + self.rng.below(7))
        .with_retry(if self.rng.chance(50) { RetryPolicy::never() } else { RetryPolicy::default() })
        .with_direction(how.direction)
        .with_filter(how.filter.clone())
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

    /// Sets a clock wrong: by minutes, by most of a day, to 1970, or to the end of the century.
    fn skew(&mut self) {
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

    fn copy(&mut self) {
        let at = self.rng.below(self.replicas.len());
        let copy = self.replicas[at].store.copy();
        self.replicas[at].copies.push(copy);
        self.trace.push(format!("{} is copied", self.replicas[at].name));
    }

    /// Sets a replica back to one of its older copies, which can be used again.
    fn restore(&mut self) {
        let at = self.rng.below(self.replicas.len());
        let replica = &mut self.replicas[at];
        if replica.copies.is_empty() {
            return;
        }
        let copy = self.rng.below(replica.copies.len());
        replica.store = replica.copies[copy].copy();
        self.summary.restores += 1;
        self.trace.push(format!("{} is set back to its copy {copy}", replica.name));
    }

    /// Starts to use a copy of a store at the same time, with the same links in the network.
    fn clone_one(&mut self) {
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
        self.replicas.push(Replica { name, node, store, copies: Vec::new(), skew });
        let same = |end: usize| if end == at { new } else { end };
        let links: Vec<_> = self.links.iter().filter(|(from, to)| *from == at || *to == at).collect();
        let mut links: Vec<_> = links.into_iter().map(|(from, to)| (same(*from), same(*to))).collect();
        if self.rng.chance(20) {
            links.push((new, at));
        }
        self.links.extend(links);
        self.summary.clones += 1;
    }

    /// Repairs every link, sets every clock right, and syncs over all links until nothing moves.
    async fn heal(&mut self) -> Checked {
        self.trace.push("everything heals".to_owned());
        self.cut.clear();
        self.replicas.iter().for_each(|replica| replica.skew.store(0, Ordering::Relaxed));
        let mut held = BTreeSet::new();
        for replica in &self.replicas {
            held.extend(check::log(&replica.store).await?.into_iter().map(|stored| stored.event.id));
        }
        let before = self.created.len();
        self.created.retain(|id, _| held.contains(id));
        self.summary.lost_with_a_restore = before - self.created.len();
        for round in 1..=4 * self.replicas.len() + 4 {
            let before = self.heads().await?;
            for link in self.links.clone() {
                self.sync(link, How::whole()).await?;
            }
            if before == self.heads().await? {
                self.summary.rounds = round;
                return Ok(());
            }
        }
        Err("P3: the replicas never come to rest".to_owned())
    }

    async fn heads(&self) -> Checked<Vec<(StoreId, u64)>> {
        let mut heads = Vec::new();
        for replica in &self.replicas {
            let head = replica.store.head().await.map_err(|error| error.to_string())?;
            heads.push((head.store, head.position));
        }
        Ok(heads)
    }

    async fn check(&mut self) -> Checked<Summary> {
        let mut digests: Vec<Digest> = Vec::new();
        for replica in &self.replicas {
            let name = &replica.name;
            let log = check::log(&replica.store).await?;
            check::exact(name, &log, &self.created)?;
            if !self.splits {
                check::after_causes(name, &log, &self.seen)?;
            }
            digests.push(check::view(name, &replica.store, &log).await?);
            check::settled(name, &replica.store).await?;
            self.summary.resolutions = log.iter().filter(|stored| stored.event.is_resolution()).count();
            self.summary.restamps = log.iter().filter(|stored| stored.event.is_restamp()).count();
        }
        if let Some(at) = digests.iter().position(|digest| *digest != digests[0]) {
            return Err(self.difference(at).await?);
        }
        self.summary.digest = format!("{} {}", digests[0].set, digests[0].view);
        Ok(self.summary.clone())
    }

    /// Returns the event in which a replica differs from the first.
    async fn difference(&self, at: usize) -> Checked<String> {
        let (first, other) = (&self.replicas[0], &self.replicas[at]);
        let theirs = check::log(&other.store).await?;
        for stored in check::log(&first.store).await? {
            let same = theirs.iter().find(|other| other.event.id == stored.event.id);
            if same.is_none_or(|same| same.event != stored.event) {
                let same = same.map(|same| &same.event);
                return Ok(format!("P3: {} holds {:?}, {} {same:?}", first.name, stored.event, other.name));
            }
        }
        Ok(format!("P3: {} and {} show different views", first.name, other.name))
    }
}

fn short(id: &synckit_core::EventId) -> &str {
    &id.as_str()[id.as_str().len().saturating_sub(6)..]
}

fn replica(at: usize, rng: &mut Rng) -> Replica {
    let node = NodeId::new(format!("r{at}")).expect("a short name");
    let mut id = [0; 16];
    id[..8].copy_from_slice(&rng.next().to_be_bytes());
    id[8..].copy_from_slice(&rng.next().to_be_bytes());
    let store = MemoryStore::with_id(node.clone(), StoreId::from_bytes(id)).expect("a short name");
    let skew = rng.below(2 * HOUR as usize) as i64 - HOUR;
    Replica { name: node.to_string(), node, store, copies: Vec::new(), skew: Arc::new(AtomicI64::new(skew)) }
}
