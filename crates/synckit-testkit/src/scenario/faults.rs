//! Replicas of both stores through random records, losses, crashes and partitions, from one seed.
//!
//! Every replica is served, so each store is used on either side of the transport. The seed decides everything random
//! except how tasks and sockets interleave.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use synckit::{Digest, RetryPolicy, SyncManager};
use synckit_core::{EventStore, Filter, NewEvent};

use super::ground::record;
use super::world::{Hub, Log};
use super::{Cell, Ended, ScenarioResult};
use crate::check::{self, Checked, Created};
use crate::fault::{Fault, FaultPlan, FaultyStore, FaultyTransport};
use crate::rng::Rng;

/// The calling and the serving side: the store of the replicas calls that of the hub and one of its own kind, and is
/// called by that of the hub.
const LINKS: [(usize, usize); 5] = [(1, 0), (2, 0), (3, 0), (3, 1), (2, 1)];

const STEPS: usize = 50;

pub(super) async fn run(cell: &Cell) -> ScenarioResult {
    let mut sites = Vec::new();
    for (name, kind) in [("r0", &cell.hub), ("r1", &cell.replica), ("r2", &cell.hub), ("r3", &cell.replica)] {
        sites.push(Hub::serve(cell, Log::make(kind, name).await?).await?);
    }
    let mut world = World {
        rng: Rng::new(cell.seed),
        sites,
        cut: BTreeSet::new(),
        created: Created::new(),
        trace: Vec::new(),
    };
    if let Err(broken) = world.live().await {
        panic!("seed {}: {broken}\n{}", cell.seed, world.trace.join("\n"));
    }
    Ok(Ended::Well)
}

struct World {
    rng: Rng,
    sites: Vec<Hub>,
    cut: BTreeSet<(usize, usize)>,
    created: Created,
    trace: Vec<String>,
}

fn unexpected(error: impl std::fmt::Display) -> String {
    format!("an error without a fault: {error}")
}

impl World {
    async fn live(&mut self) -> Checked {
        for _ in 0..STEPS {
            match self.rng.below(100) {
                0..40 => self.record().await?,
                40..85 => self.sync_somewhere().await?,
                85..93 => self.cut_or_mend(),
                _ => {
                    let at = self.rng.below(self.sites.len());
                    self.restart(at).await?;
                }
            }
        }
        self.heal().await?;
        self.check().await
    }

    fn name(&self, at: usize) -> String {
        self.sites[at].log.name.to_string()
    }

    async fn record(&mut self) -> Checked {
        let at = self.rng.below(self.sites.len());
        let mut events = Vec::new();
        for _ in 0..1 + self.rng.below(4) {
            let aggregate = format!("note-{}", self.rng.below(4));
            events.push(NewEvent::new("Edited", aggregate, &self.rng.next()).map_err(unexpected)?);
        }
        self.trace.push(format!("{} records {}", self.name(at), events.len()));
        let site = &self.sites[at];
        let manager = site.manager(&site.log).await.map_err(unexpected)?;
        record(&manager, events, &mut self.created).await.map_err(unexpected)?;
        Ok(())
    }

    fn cut_or_mend(&mut self) {
        let link = LINKS[self.rng.below(LINKS.len())];
        let mended = self.cut.remove(&link);
        if !mended {
            self.cut.insert(link);
        }
        let what = if mended { "mended" } else { "cut" };
        self.trace.push(format!("the link from {} to {} is {what}", self.name(link.0), self.name(link.1)));
    }

    async fn restart(&mut self, at: usize) -> Checked {
        self.trace.push(format!("{} starts again", self.name(at)));
        self.sites[at].restart().await.map_err(unexpected)
    }

    async fn sync_somewhere(&mut self) -> Checked {
        let link = LINKS[self.rng.below(LINKS.len())];
        if self.cut.contains(&link) {
            return Ok(());
        }
        let store = FaultPlan::new();
        let mut faulty = false;
        if self.rng.chance(40) {
            let side = if self.rng.chance(50) { &store } else { &self.sites[link.1].plan };
            let after = self.rng.chance(50);
            side.nth_of_all(
                1 + self.rng.below(20) as u64,
                if after { Fault::CrashAfter } else { Fault::Crash },
            );
            faulty = true;
        }
        let loss = if self.rng.chance(50) { 6 } else { 0 };
        faulty |= loss > 0;
        let seed = self.rng.next();
        let wire =
            [Fault::LOSE_REQUEST, Fault::LOSE_ANSWER, Fault::Duplicate, Fault::Replay(1), Fault::Late(1)]
                .into_iter()
                .fold(FaultPlan::seeded(seed), |plan, fault| plan.with_chance(loss, fault));
        self.sync(link, store, wire, faulty).await
    }

    /// Makes one sync over a link, on which either side may crash at a store call and messages may be lost.
    async fn sync(
        &mut self,
        (from, to): (usize, usize),
        store: FaultPlan,
        wire: FaultPlan,
        faulty: bool,
    ) -> Checked {
        let before = [self.values(from).await?, self.values(to).await?];
        let retry = RetryPolicy {
            attempts: 1 + 2 * self.rng.below(2),
            base: Duration::from_millis(1),
            longest: Duration::from_millis(5),
        };
        let own = FaultyStore::new(self.sites[from].log.store.clone(), store.clone());
        let transport = FaultyTransport::new(self.sites[to].connect().await.map_err(unexpected)?, wire);
        let manager = SyncManager::builder(own, transport)
            .with_retry(retry)
            .with_batch_size(1 + self.rng.below(7))
            .build();
        let result = manager.sync().await;
        drop(manager);
        let how = match &result {
            Ok(report) => format!("pulled {} pushed {}", report.pulled, report.pushed),
            Err(error) => format!("failed: {error}"),
        };
        self.trace.push(format!("{} syncs with {}: {how}", self.name(from), self.name(to)));
        if store.is_crashed() {
            self.restart(from).await?;
        }
        let crashed = self.sites[to].plan.is_crashed();
        self.sites[to].plan.heal();
        if crashed {
            self.restart(to).await?;
        }
        let (client, server) = (&self.sites[from].log, &self.sites[to].log);
        check::honest(client.name.as_str(), &client.store, &server.store, &Filter::new()).await?;
        for (at, before) in [from, to].into_iter().zip(&before) {
            check::monotonic(&self.name(at), before, &self.values(at).await?)?;
        }
        match result {
            Err(error) if !faulty => Err(unexpected(error)),
            _ => Ok(()),
        }
    }

    async fn values(&self, at: usize) -> Checked<BTreeMap<String, u64>> {
        check::monotonic_values(&self.sites[at].log.store).await
    }

    /// Repairs every link and syncs over all of them until nothing moves.
    async fn heal(&mut self) -> Checked {
        self.trace.push("everything heals".to_owned());
        for _ in 0..20 {
            let before = self.heads().await?;
            for link in LINKS {
                self.sync(link, FaultPlan::new(), FaultPlan::new(), false).await?;
            }
            if before == self.heads().await? {
                return Ok(());
            }
        }
        Err("P3: the replicas never come to rest".to_owned())
    }

    async fn heads(&self) -> Checked<Vec<u64>> {
        let mut heads = Vec::new();
        for site in &self.sites {
            heads.push(site.log.store.head().await.map_err(unexpected)?.position);
        }
        Ok(heads)
    }

    async fn check(&self) -> Checked {
        let mut digests: Vec<Digest> = Vec::new();
        for site in &self.sites {
            let (name, store) = (site.log.name.as_str(), &site.log.store);
            let log = check::log(store).await?;
            check::exact(name, &log, &self.created)?;
            check::causal(name, &log)?;
            digests.push(check::view(name, store, &log).await?);
            check::settled(name, store).await?;
        }
        match digests.iter().find(|digest| **digest != digests[0]) {
            Some(other) => Err(format!("P3: the replicas differ: {:?} and {other:?}", digests[0])),
            None => Ok(()),
        }
    }
}
