//! Good copies of events whose rows are damaged.

use std::collections::BTreeMap;

use synckit_core::{Event, EventId, Facts, Needs, Note, Plan, Planner, Result, Step};

use crate::Entropy;
use crate::conflict::Resolution;
use crate::ledger::Ledger;
use crate::notes;
use crate::receive::has_plain_type;
use crate::restamp::{self, Restamp};

/// Replaces damaged rows by good copies of their events. Returns how many were replaced.
///
/// A copy is good if it has the stamp that the event has here: the dot names the event, and no restamp in the log gives
/// it a greater stamp. A copy that is not good changes nothing; a later one may be.
///
/// It is a commit of its own: an index that is damaged as well fails it, and nothing else.
///
/// ```
/// use synckit_core::{NodeId, Secret, StoreId};
/// use synckit_plan::{Entropy, Mend};
/// use synckit_store::MemoryLog;
///
/// # fn main() -> synckit_core::Result<()> {
/// let store = StoreId::from_bytes([1; 16]);
/// let mut log = MemoryLog::new(NodeId::new("till-1")?, store, Secret::from_bytes([3; 16]))?;
/// let mend = Mend { copies: Vec::new(), now: 1_000, entropy: Entropy::from_bytes([4; 32]) };
/// assert_eq!(log.commit(mend)?, 0);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Mend {
    /// Copies of events, from a peer.
    pub copies: Vec<Event>,
    /// The wall clock, in Unix milliseconds.
    pub now: u64,
    /// Randomness for this commit.
    pub entropy: Entropy,
}

impl Planner for Mend {
    type Outcome = usize;

    fn needs(&mut self) -> Needs {
        let copies: BTreeMap<EventId, Event> =
            self.copies.drain(..).map(|copy| (copy.id.clone(), copy)).collect();
        self.copies = copies.into_values().collect();
        let mut histories: Vec<_> = self.copies.iter().map(|copy| copy.aggregate_id.clone()).collect();
        histories.sort_unstable();
        histories.dedup();
        let mut notes = vec![Note::NODE.to_owned(), notes::CONFLICT_COUNT.to_owned()];
        notes.extend(histories.iter().map(notes::heads));
        notes.extend(self.copies.iter().filter_map(Event::author).map(notes::origin));
        let ids = self.copies.iter().map(|copy| copy.id.clone()).collect();
        let dots = self.copies.iter().filter_map(|copy| copy.dot.clone()).collect();
        Needs { ids, dots, notes, histories, ..Needs::default() }
    }

    fn plan(&mut self, facts: &Facts, _round: usize) -> Result<Step<usize>> {
        let (mut ledger, mut plan) = (Ledger::open(facts, self.copies.len())?, Plan::default());
        for copy in self.copies.drain(..) {
            let damaged = facts.damaged.get(&copy.id);
            if let Some(position) = damaged.filter(|_| is_good(facts, &copy)) {
                // The heads may have been recomputed without it.
                ledger.add(&copy)?;
                plan.delete.push(notes::damaged(&copy.id));
                plan.replace.push((*position, copy));
            }
        }
        let mended = plan.replace.len();
        if mended == 0 {
            return Ok(Step::Write(Plan::default(), 0));
        }
        Ok(Step::Write(ledger.finish(self.now, &self.entropy, plan, [])?, mended))
    }
}

/// Returns whether a copy has the stamp that the event has in this log.
fn is_good(facts: &Facts, copy: &Event) -> bool {
    let is_known = match &copy.dot {
        Some(dot) => {
            has_plain_type(copy) && facts.dots.get(dot) == Some(&copy.id) && !has_greater_stamp(facts, copy)
        }
        None if copy.is_restamp() => Restamp::check(copy).is_ok(),
        None => Resolution::check(copy).is_ok(),
    };
    is_known && copy.check_stamp().is_ok()
}

/// Returns whether a restamp in the log gives the event a greater stamp than this copy has.
fn has_greater_stamp(facts: &Facts, copy: &Event) -> bool {
    let history = facts.histories.get(&copy.aggregate_id).into_iter().flatten();
    history.filter(|stored| stored.event.is_restamp()).any(|stored| {
        Restamp::read(&stored.event).is_ok_and(|Restamp { event, dot, .. }| {
            event == copy.id
                && restamp::compare(&Event { dot: Some(dot), ..stored.event.clone() }, copy).is_gt()
        })
    })
}
