//! The heads of aggregates, counted again from all of their events.
//!
//! Heads follow along with each event. Where dots have named two events, what follows may be more than there is: an event
//! that was seen by one that is no head any more. And clocks may contradict each other, so that no resolution can name all
//! heads: those get dots of their own.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::ids::AggregateId;
use crate::notes;
use crate::plan::forks::Forks;
use crate::plan::ledger::Ledger;
use crate::plan::{Entropy, Outcome, Step};
use crate::store::{Facts, Needs, Plan};

/// Counts the heads of these aggregates again, and with them whether they are in conflict. Heads whose clocks contradict each
/// other get an alias.
#[derive(Clone, Debug)]
pub struct Recount {
    /// The aggregates.
    pub aggregates: BTreeSet<AggregateId>,
    /// The wall clock, in Unix milliseconds.
    pub now: u64,
    /// Randomness for this commit.
    pub entropy: Entropy,
}

impl Recount {
    pub(super) fn needs(&self) -> Needs {
        let mut notes = vec![notes::NODE.to_owned()];
        notes.extend(self.aggregates.iter().map(notes::heads));
        Needs { notes, histories: self.aggregates.iter().cloned().collect(), ..Needs::default() }
    }

    pub(super) fn plan(&self, facts: &Facts) -> Result<Step> {
        let mut ledger = Ledger::open(facts, self.aggregates.len())?;
        let (mut forks, mut plan) = (Forks::of(facts)?, Plan::default());
        forks.alias_contradictions()?;
        forks.settle(&mut ledger, &mut plan)?;
        Ok(Step::Write(ledger.finish(self.now, &self.entropy, plan, [])?, Outcome::Edited))
    }
}
