//! The heads of aggregates, recomputed from all of their events.
//!
//! Normally heads are updated with each event. If dots named two events, the updated heads may be too many: one may
//! have been seen by an event that is no longer a head. Clocks may also contradict each other, so that no resolution
//! can name all heads; such heads get dots of their own.

use std::collections::BTreeSet;

use synckit_core::{AggregateId, Facts, Needs, Note, Plan, Planner, Result, Step};

use crate::Entropy;
use crate::forks::Forks;
use crate::ledger::Ledger;
use crate::notes;

/// Recomputes the heads of these aggregates, and whether they are in conflict. Heads whose clocks contradict each other
/// get an alias.
#[derive(Clone, Debug)]
pub struct Recount {
    /// The aggregates.
    pub aggregates: BTreeSet<AggregateId>,
    /// The wall clock, in Unix milliseconds.
    pub now: u64,
    /// Randomness for this commit.
    pub entropy: Entropy,
}

impl Planner for Recount {
    type Outcome = ();

    fn needs(&mut self) -> Needs {
        let mut notes = vec![Note::NODE.to_owned(), notes::CONFLICT_COUNT.to_owned()];
        notes.extend(self.aggregates.iter().map(notes::heads));
        Needs { notes, histories: self.aggregates.iter().cloned().collect(), ..Needs::default() }
    }

    fn plan(&mut self, facts: &Facts, _round: usize) -> Result<Step<()>> {
        let mut ledger = Ledger::open(facts, self.aggregates.len())?;
        let (mut forks, mut plan) = (Forks::of(facts)?, Plan::default());
        forks.alias_contradictions()?;
        forks.settle(&mut ledger, &mut plan)?;
        Ok(Step::Write(ledger.finish(self.now, &self.entropy, plan, [])?, ()))
    }
}
