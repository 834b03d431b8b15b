//! What a resolver that was asked about listed conflicts leaves behind.

use std::collections::BTreeSet;

use synckit_core::{AggregateId, Cursor, Facts, Needs, Note, Plan, Planner, Result, Step};

use crate::Entropy;
use crate::ledger;
use crate::notes;

/// Takes conflicts that a resolver left for a person off the list of those that wait, and puts those back on which it
/// failed to decide. Returns the number of unsettled conflicts.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The conflicts that it left, each with the value of its note [`notes::waiting`] before the history was read. If
    /// that has changed since, the conflict has, and still waits.
    pub left: Vec<(AggregateId, Option<Vec<u8>>)>,
    /// The conflicts that it failed to decide.
    pub failed: BTreeSet<AggregateId>,
    /// The resolver, as in the note [`notes::ASKED`], if it has now been asked about every conflict that does not wait,
    /// and the value that the note had before the first was read. If that has changed since, another resolver was
    /// asked, and the note stays.
    pub resolver: Option<(String, Option<Vec<u8>>)>,
    /// The value of the note [`notes::WAITING`] before the first conflict was read, if none of them waits any more: the
    /// note is deleted unless it has changed since.
    pub waiting: Option<Vec<u8>>,
    /// The end of the log when these notes were read, or after a commit since. A log that does not hold this place was
    /// restored and may list conflicts that nobody was asked about, so both notes stay.
    pub since: Cursor,
    /// Randomness for this commit.
    pub entropy: Entropy,
}

impl Planner for Asked {
    type Outcome = u64;

    fn needs(&mut self) -> Needs {
        let fixed = [notes::CONFLICT_COUNT, notes::WAITING, notes::ASKED].map(str::to_owned);
        let mut notes: Vec<String> = fixed.into();
        notes.extend(self.left.iter().map(|(aggregate, _)| notes::waiting(aggregate)));
        for aggregate in &self.failed {
            notes.extend([notes::conflict(aggregate), notes::waiting(aggregate)]);
        }
        Needs { notes, places: vec![self.since.position()], ..Needs::default() }
    }

    fn plan(&mut self, facts: &Facts, _round: usize) -> Result<Step<u64>> {
        let mut plan = Plan::default();
        for (aggregate, before) in &self.left {
            let key = notes::waiting(aggregate);
            let now = facts.note(&key);
            if now.is_some() && now == before.as_deref() {
                plan.delete.push(key);
            }
        }
        for aggregate in &self.failed {
            let key = notes::waiting(aggregate);
            if facts.note(&notes::conflict(aggregate)).is_some() && facts.note(&key).is_none() {
                plan.put.push(self.entropy.note(key));
            }
        }
        let is_same = facts.holds(&self.since);
        let now = facts.note(notes::WAITING);
        if !plan.put.is_empty() {
            plan.put.push(self.entropy.note(notes::WAITING.to_owned()));
        } else if is_same && now.is_some() && now == self.waiting.as_deref() {
            plan.delete.push(notes::WAITING.to_owned());
        }
        if let Some((resolver, before)) = self.resolver.take() {
            let (now, value) = (facts.note(notes::ASKED), resolver.into_bytes());
            if is_same && now == before.as_deref() && now != Some(value.as_slice()) {
                plan.put.push(Note { key: notes::ASKED.to_owned(), value });
            }
        }
        plan.put.sort_unstable_by(|left, right| left.key.cmp(&right.key));
        Ok(Step::Write(plan, ledger::conflict_count(facts)?))
    }
}
