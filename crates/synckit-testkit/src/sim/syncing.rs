//! One sync over a link: how it is made, what may happen to it, and what must hold after it.

use std::collections::BTreeMap;

use synckit::{Direction, Endpoint, Recovery, RetryPolicy, SyncError, SyncManager, SyncReport};
use synckit_core::Filter;
use synckit_memory::MemoryStore;

use crate::check::{self, Checked};
use crate::in_process::InProcess;
use crate::sim::environment::SimEnvironment;
use crate::sim::replica::Replica;
use crate::sim::resolvers::SimResolver;
use crate::sim::world::World;
use crate::{Fault, FaultPlan, FaultyStore, FaultyTransport};

pub(super) type Store = FaultyStore<MemoryStore>;
pub(super) type Manager = SyncManager<Store, FaultyTransport<InProcess>>;

/// The calling and the serving side.
pub(super) type Link = (usize, usize);

/// The point where a store crashes in the middle of a sync.
#[derive(Clone, Copy)]
pub(super) struct Crash {
    client: bool,
    /// At this call of the store, counted from 1.
    call: u64,
    /// Whether it crashes after the call is done, not before.
    after: bool,
}

impl Crash {
    /// Adds it to the plan of the store that crashes.
    fn add(self, plan: &FaultPlan) {
        plan.nth_of_all(self.call, if self.after { Fault::CrashAfter } else { Fault::Crash });
    }
}

/// How a sync is made.
#[derive(Clone)]
pub(super) struct How {
    pub(super) crash: Option<Crash>,
    /// The chance in a hundred that a message is lost, repeated or late.
    pub(super) loss: usize,
    pub(super) direction: Direction,
    pub(super) filter: Filter,
}

impl How {
    pub(super) fn whole() -> Self {
        How { crash: None, loss: 0, direction: Direction::Both, filter: Filter::new() }
    }

    /// Returns whether a manager for the one serves for the other.
    pub(super) fn is_like(&self, other: &How) -> bool {
        (self.direction, &self.filter) == (other.direction, &other.filter)
    }
}

impl World {
    pub(super) async fn sync_somewhere(&mut self) -> Checked {
        let link = self.any_link();
        if self.cut.contains(&link) {
            return Ok(());
        }
        let crash = self.rng.chance(30).then(|| Crash {
            client: self.rng.chance(50),
            call: 1 + self.rng.below(25) as u64,
            after: self.rng.chance(50),
        });
        let mut how = How { crash, ..self.any_how() };
        if let Some(How { direction, filter, .. }) = self.running(link) {
            (how.direction, how.filter) = (direction, filter);
        }
        self.sync(link, how).await
    }

    pub(super) fn any_link(&mut self) -> Link {
        self.links[self.rng.below(self.links.len())]
    }

    /// Draws how a sync is made, without a crash.
    pub(super) fn any_how(&mut self) -> How {
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
        How { crash: None, loss, direction, filter }
    }

    /// Makes one sync over a link, on which either side may crash at a store call and messages may be lost.
    pub(super) async fn sync(&mut self, link: Link, how: How) -> Checked {
        let (from, to) = link;
        let before = [self.values(from).await?, self.values(to).await?];
        let served = self.serve(to);
        let program = self.program(link, &how);
        let stores = [program.store().plan().clone(), served];
        stores.iter().chain([program.network()]).for_each(FaultPlan::heal);
        if let Some(crash) = how.crash {
            crash.add(&stores[usize::from(!crash.client)]);
        }
        lossy(program.network().clone(), how.loss);
        let result = program.manager.sync().await;
        let crashed = stores.each_ref().map(FaultPlan::is_crashed);
        self.summary.crashes += crashed.iter().filter(|crashed| **crashed).count();
        if !crashed[0] {
            self.programs.insert(link, program);
        }
        self.tell(link, &how, &result)?;
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
        for at in [from, to] {
            self.note_apart(at).await?;
        }
        check::monotonic(&self.replicas[to].name, &before[1], &self.values(to).await?)
    }

    /// Checks P4 at a replica, except for effects that a filter has brought somewhere without their cause.
    pub(super) async fn in_order(&self, at: usize) -> Checked {
        let Replica { name, store, .. } = &self.replicas[at];
        check::after_causes(name, &check::log(store).await?, &self.seen, &self.apart)
    }

    /// Notes which effects a replica holds without their cause because the filter separates them. Copies have been
    /// noted when they were taken.
    pub(super) async fn note_apart(&mut self, at: usize) -> Checked {
        if self.splits {
            let log = check::log(&self.replicas[at].store).await?;
            self.apart.extend(check::apart(&log, &self.seen, &self.left_out));
        }
        Ok(())
    }

    /// Counts a sync, and adds it to the trace. No event may be refused.
    pub(super) fn tell(
        &mut self,
        (from, to): Link,
        how: &How,
        result: &Result<SyncReport, SyncError>,
    ) -> Checked {
        let (client, server) = (&self.replicas[from], &self.replicas[to]);
        let report = match result {
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
        Ok(())
    }

    pub(super) async fn values(&self, at: usize) -> Checked<BTreeMap<String, u64>> {
        check::monotonic_values(&self.replicas[at].store).await
    }

    /// Creates the plan of a network that loses, repeats and delays messages with this chance.
    pub(super) fn network(&mut self, loss: usize) -> FaultPlan {
        lossy(FaultPlan::seeded(self.rng.next()), loss)
    }

    pub(super) fn replica(&self, at: usize, store: Store) -> synckit::Replica<Store> {
        let resolver = SimResolver {
            strategy: self.strategy,
            node: self.replicas[at].node.clone(),
            rng: self.shared.clone(),
        };
        synckit::Replica::builder(store)
            .with_environment(self.environment(at))
            .with_resolver(resolver)
            .build()
    }

    pub(super) fn endpoint(&self, at: usize, store: Store) -> Endpoint<Store> {
        Endpoint::new(store).with_environment(self.environment(at))
    }

    pub(super) fn manager(
        &mut self,
        replica: synckit::Replica<Store>,
        transport: FaultyTransport<InProcess>,
        how: &How,
    ) -> Manager {
        SyncManager::builder(replica, transport)
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
}

/// Makes a network lose, repeat and delay messages with this chance.
fn lossy(plan: FaultPlan, loss: usize) -> FaultPlan {
    [Fault::LOSE_REQUEST, Fault::LOSE_ANSWER, Fault::Duplicate, Fault::Replay(1), Fault::Late(1)]
        .into_iter()
        .fold(plan, |plan, fault| plan.with_chance(loss, fault))
}
