//! Resolvers for the simulator: one per run, well-behaved or not.

use std::sync::{Arc, Mutex, PoisonError};

use synckit::LastWriteWins;
use synckit_core::{Data, NewEvent, NodeId, Result};
use synckit_plan::{Answer, Conflict, ConflictResolver, Ruling};

use crate::Rng;

/// How conflicts are settled in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strategy {
    LastWriteWins,
    KeepAll,
    Merge,
    /// Each replica prefers its own side: not symmetric.
    OwnSide,
    /// Not even the same ruling twice.
    Random,
}

impl Strategy {
    pub(super) fn any(rng: &mut Rng) -> Self {
        match rng.below(10) {
            0..5 => Strategy::LastWriteWins,
            5 => Strategy::KeepAll,
            6 => Strategy::Merge,
            7 => Strategy::OwnSide,
            _ => Strategy::Random,
        }
    }
}

/// The resolver of one replica.
#[derive(Clone, Debug)]
pub(super) struct SimResolver {
    pub(super) strategy: Strategy,
    pub(super) node: NodeId,
    pub(super) rng: Arc<Mutex<Rng>>,
}

impl ConflictResolver for SimResolver {
    fn name(&self) -> &str {
        "simulated"
    }

    fn resolve(&self, conflict: &Conflict) -> Result<Ruling> {
        let mut strategy = self.strategy;
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        if strategy == Strategy::Random {
            let any = [Strategy::KeepAll, Strategy::Merge, Strategy::Random, Strategy::Random];
            strategy = any[rng.below(any.len())];
        }
        let own = |node: &NodeId| node.as_str().split('~').next() == Some(self.node.as_str());
        let keep = |at: usize| Ok(Answer::Keep(conflict.branches[at].stands_for.id.clone()).into());
        match strategy {
            Strategy::LastWriteWins => LastWriteWins.resolve(conflict),
            Strategy::KeepAll => Ok(Answer::KeepAll.into()),
            Strategy::Merge => {
                let ids: Vec<&str> =
                    conflict.branches.iter().map(|branch| branch.stands_for.id.as_str()).collect();
                let merged = NewEvent::with_data("Merged", &conflict.aggregate_id, Data::of(&ids)?)?;
                Ok(Answer::Merge(merged).into())
            }
            Strategy::OwnSide => {
                let mine = conflict
                    .branches
                    .iter()
                    .position(|branch| branch.stands_for.dot.as_ref().is_some_and(|dot| own(&dot.node)));
                keep(mine.unwrap_or(0))
            }
            Strategy::Random => keep(rng.below(conflict.branches.len())),
        }
    }
}
