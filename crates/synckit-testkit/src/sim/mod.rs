//! A deterministic simulator: replicas that record, sync, crash, are cut off, copied and set back, all from one seed.
//!
//! A run builds 3 to 8 replicas in a topology, runs them through some dozens of random steps, heals everything, syncs
//! until nothing moves, and checks the promises P2, P3, P4, P5 and P6 against a plain reference model. The same seed
//! is the same run, step by step.
//!
//! It includes everything that people do: the same backup is restored again and again, hubs that author are restored,
//! copies of one store are in use at the same time, some syncs have filters or go one way, and clocks show 1970 or
//! 2099. Several syncs of one replica, and of others, run at the same moment, call by call. Servers and programs go on from
//! sync to sync, and are started again. What any store still holds when everything heals must be everywhere in the end.
//!
//! - `world.rs`: the replicas, and the steps of a run; `topology.rs`: who syncs with whom
//! - `syncing.rs`: one sync; `together.rs`: several at the same moment; `processes.rs`: what goes on in between
//! - `replica.rs`: wrong clocks, copies, and restored copies
//! - `healing.rs`: everything heals, and what must hold then
//! - `environment.rs`: skewed clocks and seeded randomness
//! - `resolvers.rs`: resolvers, well-behaved and not

mod environment;
mod healing;
mod processes;
mod replica;
mod resolvers;
mod syncing;
mod together;
mod topology;
mod world;

use std::fmt;

use world::World;

/// What happened in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The seed.
    pub seed: u64,
    /// The number of replicas.
    pub replicas: usize,
    /// The number of events recorded.
    pub recorded: usize,
    /// Events that no store held any more when everything healed.
    pub lost_with_a_restore: usize,
    /// The number of syncs that succeeded, and that failed.
    pub syncs: (usize, usize),
    /// How often several syncs ran at the same moment.
    pub together: usize,
    /// Stores that crashed in the middle of a sync.
    pub crashes: usize,
    /// Replicas restored from an older copy.
    pub restores: usize,
    /// Copies of a store that were used at the same time as the store.
    pub clones: usize,
    /// Fresh ids and names that syncs gave.
    pub renewals: usize,
    /// Resolutions in the final log.
    pub resolutions: usize,
    /// Restamps in the final log.
    pub restamps: usize,
    /// Rounds of syncs until nothing moved.
    pub rounds: usize,
    /// A hash over the final events, to distinguish two runs.
    pub digest: String,
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The seed that shows it.
    pub seed: u64,
    /// What was broken.
    pub message: String,
    /// What happened, step by step.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.seed, self.message)?;
        for (number, step) in self.trace.iter().enumerate() {
            writeln!(f, "  {number:>3} {step}")?;
        }
        write!(f, "replay it with: cargo xtask simulate --seed {}", self.seed)
    }
}

impl std::error::Error for Failure {}

/// Runs one seed.
///
/// # Errors
/// The promise that was broken, with the trace.
///
/// # Panics
/// If no runtime can be created.
pub fn run(seed: u64) -> Result<Summary, Box<Failure>> {
    replay(seed).map(|(summary, _)| summary)
}

/// Runs one seed, and returns what happened even if nothing was broken.
///
/// # Errors
/// The same as [`run`].
///
/// # Panics
/// The same as [`run`].
pub fn replay(seed: u64) -> Result<(Summary, Vec<String>), Box<Failure>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O can always be made");
    runtime.block_on(async {
        let mut world = World::new(seed);
        match world.run().await {
            Ok(summary) => Ok((summary, world.into_trace())),
            Err(message) => Err(Box::new(Failure { seed, message, trace: world.into_trace() })),
        }
    })
}
