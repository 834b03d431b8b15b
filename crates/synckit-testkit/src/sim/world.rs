//! The replicas, and the steps of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use synckit_core::{EventId, Filter, NewEvent};

use super::Summary;
use super::processes::Program;
use super::replica::Replica;
use super::resolvers::Strategy;
use super::syncing::Link;
use super::topology::Topology;
use crate::check::{self, Apart, Checked, Created, Seen};
use crate::views::Trail;
use crate::{Fault, FaultPlan, FaultyStore, Rng};

pub(super) struct World {
    pub(super) rng: Rng,
    pub(super) strategy: Strategy,
    pub(super) replicas: Vec<Replica>,
    pub(super) links: Vec<Link>,
    pub(super) cut: BTreeSet<Link>,
    /// The programs that go on from sync to sync.
    pub(super) programs: BTreeMap<Link, Program>,
    /// The filters that some syncs use; the others sync everything.
    pub(super) filters: Vec<Filter>,
    /// Whether the filter separates events of one aggregate.
    pub(super) splits: bool,
    /// The events that it leaves out, although it passes others of their aggregates.
    pub(super) left_out: BTreeSet<EventId>,
    /// The effects that were held without their cause because the filter left it out, each with that cause.
    pub(super) apart: Apart,
    /// Whether some syncs go only one way.
    pub(super) one_way: bool,
    pub(super) now: Arc<AtomicU64>,
    pub(super) shared: Arc<Mutex<Rng>>,
    pub(super) created: Created,
    /// The events that some store still holds when everything heals.
    pub(super) kept: BTreeSet<EventId>,
    pub(super) seen: Seen,
    pub(super) summary: Summary,
    pub(super) trace: Vec<String>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let count = 3 + rng.below(6);
        let topology = Topology::any(&mut rng);
        let strategy = Strategy::any(&mut rng);
        let replicas = (0..count).map(|at| Replica::new(at, &mut rng)).collect();
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
            links: topology.links(count),
            cut: BTreeSet::new(),
            programs: BTreeMap::new(),
            splits: splits && !filters.is_empty(),
            left_out: BTreeSet::new(),
            apart: BTreeSet::new(),
            filters,
            one_way,
            now: Arc::new(AtomicU64::new(1_764_000_000_000)),
            shared,
            created: BTreeMap::new(),
            kept: BTreeSet::new(),
            seen: BTreeMap::new(),
            summary: Summary { seed, replicas: count, ..Summary::default() },
            trace,
        }
    }

    pub(super) fn into_trace(self) -> Vec<String> {
        self.trace
    }

    pub(super) async fn run(&mut self) -> Checked<Summary> {
        for step in 0..20 + self.rng.below(60) {
            self.now.fetch_add(self.rng.below(5_000) as u64, Ordering::Relaxed);
            match self.rng.below(100) {
                0..34 => self.record().await?,
                34..67 => self.sync_somewhere().await?,
                67..79 => self.sync_together().await?,
                79..84 => self.cut_or_mend(),
                84..88 => self.skew(),
                88..92 => self.copy(),
                92..97 => self.restore(),
                _ => self.clone_one(),
            }
            self.look_at_a_view(step).await?;
        }
        self.heal().await?;
        self.check().await
    }

    /// Looks at the view of one replica after the other. Every third time it dies before it has caught up.
    async fn look_at_a_view(&self, step: usize) -> Checked {
        let Replica { name, store, .. } = &self.replicas[step % self.replicas.len()];
        if step.is_multiple_of(3) {
            let plan = FaultPlan::new();
            plan.nth_of_all(
                1 + (step % 7) as u64,
                if step.is_multiple_of(2) { Fault::Crash } else { Fault::CrashAfter },
            );
            // It need not have got so far.
            let dying = synckit::Replica::new(FaultyStore::new(store.clone(), plan));
            let view = dying.with_view(Trail { version: 1 }).map_err(|error| error.to_string())?;
            let _ = view.catch_up(|_, _| {}).await;
            return Ok(());
        }
        check::shown(name, &synckit::Replica::new(store.clone())).await
    }

    async fn record(&mut self) -> Checked {
        let at = self.rng.below(self.replicas.len());
        self.record_at(at).await
    }

    pub(super) async fn record_at(&mut self, at: usize) -> Checked {
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
        let replica = self.replica(at, FaultyStore::new(self.replicas[at].store.clone(), FaultPlan::new()));
        let recorded = replica.record(events).await.map_err(|error| format!("a record failed: {error}"))?;
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
        if self.splits {
            let left_out = recorded.events.iter().filter(|event| !self.filters[0].matches(event));
            self.left_out.extend(left_out.map(|event| event.id.clone()));
        }
        self.created.extend(recorded.events.iter().map(|event| (event.id.clone(), event.content_digest())));
        Ok(())
    }

    fn cut_or_mend(&mut self) {
        let link = self.any_link();
        if !self.cut.remove(&link) {
            self.cut.insert(link);
        }
    }
}

fn short(id: &synckit_core::EventId) -> &str {
    &id.as_str()[id.as_str().len().saturating_sub(6)..]
}
