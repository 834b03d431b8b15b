//! Live replicas on a bad network, as a seed says: nobody says "up to date" who is not, and all agree soon after.

use std::time::Duration;

use synckit::stay::{Live, LiveStatus};
use synckit::store::{Query, StoreExt};
use synckit::{EventId, EventStore, Position};
use synckit_memory::MemoryStore;
use synckit_testkit::Rng;
use tokio::time::{Instant, sleep};

use super::wire::{Is, Wire};
use super::{Manager, manager, note, same, store};

/// The number of seeds.
const SEEDS: u64 = 1_000;

/// The longest wait before a peer is called again, a call that finds out that nothing answers, and a little more.
const SOON: Duration = Duration::from_secs(30 + 60 + 15 + 5);

const NAMES: [&str; 3] = ["a", "b", "c"];

struct World {
    seed: u64,
    rng: Rng,
    hub: MemoryStore,
    stores: [MemoryStore; 3],
    wires: [Wire; 3],
    managers: [Manager; 3],
    lives: [Option<Live>; 3],
}

/// Returns the ids of the events up to a position.
async fn ids(store: &MemoryStore, upto: Position) -> Vec<EventId> {
    let page = store.read(Query::after(0).at_most(100_000, usize::MAX)).await.expect("reads");
    page.events.into_iter().filter(|stored| stored.position <= upto).map(|stored| stored.event.id).collect()
}

impl World {
    fn new(seed: u64) -> Self {
        let (hub, stores) = (store("hub"), NAMES.map(store));
        let wires = NAMES.map(|_| Wire::to(&hub));
        let managers = [0, 1, 2].map(|at| manager(&stores[at], &wires[at]));
        let lives = managers.each_ref().map(|manager| Some(manager.live().expect("it is not live")));
        World { seed, rng: Rng::new(seed), hub, stores, wires, managers, lives }
    }

    async fn step(&mut self) {
        let at = self.rng.below(3);
        match self.rng.below(16) {
            0 => self.wires[at].set(Is::Cut),
            1 => self.wires[at].set(Is::HalfOpen),
            2 => self.wires[at].lose_answers(1 + self.rng.below(3)),
            3..6 => {
                self.wires[at].set(Is::Good);
                if let Some(live) = self.lives[at].as_ref().filter(|_| self.rng.chance(30)) {
                    live.nudge();
                }
            }
            6 => sleep(Duration::from_millis(self.rng.below(70_000) as u64)).await,
            7 => match self.lives[at].take() {
                Some(live) if self.rng.chance(50) => live.stop().await,
                Some(live) => drop(live),
                None => self.lives[at] = Some(self.managers[at].live().expect("it is not live")),
            },
            8 => {
                // Whether that gets through does not matter.
                drop(self.managers[at].sync().await);
            }
            9 => drop(self.managers[at].replica().reidentify(None).await.expect("renews")),
            _ => {
                let (count, mark) = (1 + self.rng.below(20), self.rng.below(1 << 30));
                let events = (0..count).map(|number| note(&format!("{mark} {number}"), number % 5));
                self.managers[at].replica().record(events).await.expect("records");
                sleep(Duration::from_millis(self.rng.below(30) as u64)).await;
            }
        }
    }

    /// Checks that what counts as pushed is at the hub.
    async fn honest(&self) {
        for (live, store) in self.lives.iter().zip(&self.stores) {
            let status = live.as_ref().map(Live::status);
            if let Some(status) = status.filter(LiveStatus::is_up_to_date) {
                let missing = self.hub.not_held(ids(store, status.counted_to).await).await.expect("looks up");
                assert!(
                    missing.is_empty(),
                    "seed {}: {} are not there: {status:?}",
                    self.seed,
                    missing.len()
                );
            }
        }
    }

    async fn agree(&self) -> bool {
        for store in &self.stores {
            if !same(store, &self.hub).await {
                return false;
            }
        }
        true
    }
}

/// Runs one seed.
async fn run(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..40 {
        world.step().await;
        world.honest().await;
    }
    for at in 0..3 {
        world.wires[at].set(Is::Good);
        if world.lives[at].is_none() {
            world.lives[at] = Some(world.managers[at].live().expect("it is not live"));
        }
    }
    // By itself: nobody says that the network is back.
    let healed = Instant::now();
    while !world.agree().await {
        assert!(healed.elapsed() < SOON, "seed {seed}: {:?}", world.lives);
        sleep(Duration::from_secs(1)).await;
        world.honest().await;
    }
    for (live, store) in world.lives.iter().flatten().zip(&world.stores) {
        let (here, there) = (ids(store, Position::MAX).await, ids(&world.hub, Position::MAX).await);
        let status = live.synced().await.expect("it is live");
        assert!(status.is_up_to_date(), "seed {seed}: {status:?}");
        assert!(world.hub.not_held(here).await.expect("looks up").is_empty(), "seed {seed}");
        assert!(store.not_held(there).await.expect("looks up").is_empty(), "seed {seed}");
    }
    for live in world.lives.into_iter().flatten() {
        live.stop().await;
    }
}

/// Runs these seeds, or the one that `SYNCKIT_SEED` names.
async fn run_all(seeds: impl Iterator<Item = u64>) {
    let named = std::env::var("SYNCKIT_SEED").ok().and_then(|seed| seed.parse().ok());
    match named {
        Some(seed) => run(seed).await,
        None => {
            for seed in seeds {
                run(seed).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_even_seed_is_honest_and_ends_in_agreement() {
    run_all((0..SEEDS).step_by(2)).await;
}

#[tokio::test(start_paused = true)]
async fn every_odd_seed_is_honest_and_ends_in_agreement() {
    run_all((1..SEEDS).step_by(2)).await;
}

/// `synced` returns only when it is so, whatever the network does meanwhile.
#[tokio::test(start_paused = true)]
async fn synced_returns_only_when_it_is_so() {
    for seed in 0..100 {
        let mut world = World::new(seed);
        for _ in 0..10 {
            for _ in 0..4 {
                world.step().await;
            }
            let at = world.rng.below(3);
            let Some(live) = world.lives[at].as_ref() else { continue };
            let (here, there) =
                (ids(&world.stores[at], Position::MAX).await, ids(&world.hub, Position::MAX).await);
            if live.synced_within(Duration::from_millis(world.rng.below(40_000) as u64)).await.is_ok() {
                assert!(world.hub.not_held(here).await.expect("looks up").is_empty(), "seed {seed}");
                assert!(world.stores[at].not_held(there).await.expect("looks up").is_empty(), "seed {seed}");
            }
        }
    }
}
