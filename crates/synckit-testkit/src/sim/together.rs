//! Several syncs at the same moment: their calls of stores and transports interleave as the seed says.
//!
//! Only one call goes on at a time, when nothing else can run, so the same seed gives the same order. In between, the
//! replicas record, are copied, take another name, are killed in the middle of a sync, and are set back, also while they
//! are in use.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use synckit::{SyncError, SyncReport};
use synckit_core::{BoxTransport, ErrorKind};
use tokio::task::JoinHandle;

use crate::check::{self, Checked};
use crate::in_process::InProcess;
use crate::sim::syncing::{How, Link};
use crate::sim::world::World;
use crate::{Fault, FaultPlan, FaultyStore, FaultyTransport, Turns};

/// The maximum number of syncs at the same moment.
const AT_ONCE: usize = 5;

/// The maximum number of turns: a sync that takes more waits for itself or for another.
const TURNS: usize = 200_000;

/// A sync that is under way.
struct Running {
    link: Link,
    how: How,
    task: JoinHandle<Result<SyncReport, SyncError>>,
}

/// The replicas that take part.
struct Taking {
    turns: Turns,
    /// The plan of each store. Everybody who uses the store shares it, so that a process dies as a whole.
    plans: BTreeMap<usize, FaultPlan>,
    /// Those that were set back, which may have less than before.
    set_back: BTreeSet<usize>,
}

impl World {
    /// Makes several syncs at the same moment: of one replica with several peers, or with one in several ways, and of
    /// others with any of them.
    pub(super) async fn sync_together(&mut self) -> Checked {
        let links = self.links_of_one();
        if links.is_empty() {
            return Ok(());
        }
        let all: BTreeSet<usize> = links.iter().flat_map(|(from, to)| [*from, *to]).collect();
        let mut before = BTreeMap::new();
        for at in &all {
            before.insert(*at, self.values(*at).await?);
        }
        let turns = Turns::default();
        let plan = |at: &usize| (*at, FaultPlan::new().with_turns(turns.clone()));
        let plans = all.iter().map(plan).collect();
        let mut taking = Taking { turns, plans, set_back: BTreeSet::new() };
        self.trace.push(format!("{} syncs at the same moment:", links.len()));
        let mut running = self.start(&links, &taking);
        self.interleave(&mut running, &mut taking).await?;
        self.summary.together += 1;
        for Running { link, how, task } in running {
            let Ok(result) = task.await else {
                self.trace.push(format!("a sync of {} was killed", self.replicas[link.0].name));
                continue;
            };
            self.tell(link, &how, &result)?;
            if let Err(SyncError { error, .. }) = &result
                && matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Internal | ErrorKind::Invalid)
            {
                return Err(format!("a sync at the same moment as others failed: {error}"));
            }
            let (client, server) = (&self.replicas[link.0], &self.replicas[link.1]);
            check::honest(&client.name, &client.store, &server.store, &how.filter).await?;
            check::listed(&client.name, &client.store).await?;
        }
        for at in &all {
            // What the last calls did has not been noted yet.
            self.note_apart(*at).await?;
            self.in_order(*at).await?;
        }
        for at in all.difference(&taking.set_back) {
            check::monotonic(&self.replicas[*at].name, &before[at], &self.values(*at).await?)?;
        }
        Ok(())
    }

    /// Draws links, most of them of one calling replica. A link may be there twice.
    fn links_of_one(&mut self) -> Vec<Link> {
        let (from, _) = self.any_link();
        let own: Vec<Link> = self.links.iter().filter(|link| link.0 == from).copied().collect();
        let count = 2 + self.rng.below(AT_ONCE - 1);
        let mut links = Vec::new();
        for number in 0..count {
            let link = match number < 2 || self.rng.chance(50) {
                true => own[self.rng.below(own.len())],
                false => self.any_link(),
            };
            links.push(link);
        }
        links.retain(|link| !self.cut.contains(link));
        links
    }

    fn start(&mut self, links: &[Link], taking: &Taking) -> Vec<Running> {
        let mut replicas: BTreeMap<usize, synckit::Replica<_>> = BTreeMap::new();
        let mut servers = BTreeMap::new();
        let store = |world: &World, at: usize| {
            FaultyStore::new(world.replicas[at].store.clone(), taking.plans[&at].clone())
        };
        let mut running = Vec::new();
        for (from, to) in links {
            let how = self.any_how();
            let other_process = self.rng.chance(25);
            let replica = || self.replica(*from, store(self, *from));
            // Some syncs are those of other processes that use the same stores.
            let replica = match other_process {
                true => replica(),
                false => replicas.entry(*from).or_insert_with(replica).clone(),
            };
            let network = self.network(how.loss).with_turns(taking.turns.clone());
            let server = || {
                let wire = InProcess::default();
                wire.put(Some(BoxTransport::new(self.endpoint(*to, store(self, *to)))));
                wire
            };
            let server = match other_process {
                true => server(),
                false => servers.entry(*to).or_insert_with(server).clone(),
            };
            let transport = FaultyTransport::new(server, network);
            let manager = self.manager(replica, transport, &how);
            let task = tokio::spawn(async move { manager.sync().await });
            running.push(Running { link: (*from, *to), how, task });
        }
        running
    }

    /// Lets the calls go on one at a time until all syncs have ended.
    async fn interleave(&mut self, running: &mut [Running], taking: &mut Taking) -> Checked {
        let mut steps = 0;
        while running.iter().any(|sync| !sync.task.is_finished()) {
            // With the clock paused, time passes only when nothing else can run.
            tokio::time::sleep(Duration::from_millis(1)).await;
            let rng = &mut self.rng;
            if taking.turns.pass(|waiting| rng.below(waiting)) {
                for at in taking.plans.keys() {
                    self.note_apart(*at).await?;
                }
                if self.rng.chance(3) {
                    self.meanwhile(running, taking).await?;
                }
            }
            steps += 1;
            if steps > TURNS {
                return Err("syncs at the same moment never end".to_owned());
            }
        }
        Ok(())
    }

    /// Does something to one of the replicas that take part.
    async fn meanwhile(&mut self, running: &mut [Running], taking: &mut Taking) -> Checked {
        let at = *taking.plans.keys().nth(self.rng.below(taking.plans.len())).expect("one takes part");
        let name = self.replicas[at].name.clone();
        match self.rng.below(10) {
            0..4 if !taking.plans[&at].is_crashed() => self.record_at(at).await,
            4 if !taking.plans[&at].is_crashed() => {
                self.trace.push(format!("{name} takes another name"));
                let store = FaultyStore::new(self.replicas[at].store.clone(), FaultPlan::new());
                let renewed = self.replica(at, store).reidentify(None).await;
                renewed.map(drop).map_err(|error| format!("a renewal failed: {error}"))
            }
            5 => {
                self.copy_one(at);
                Ok(())
            }
            6 => {
                let sync = self.rng.below(running.len());
                running[sync].task.abort();
                Ok(())
            }
            7 => {
                self.trace.push(format!("{name} dies"));
                taking.plans[&at].nth_of_all(1, Fault::Crash);
                self.summary.crashes += 1;
                Ok(())
            }
            8 => {
                // The process is gone before its file is replaced.
                taking.plans[&at].nth_of_all(1, Fault::Crash);
                taking.set_back.insert(at);
                self.restore_one(at);
                Ok(())
            }
            9 => {
                taking.set_back.insert(at);
                self.restore_in_use(at);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
