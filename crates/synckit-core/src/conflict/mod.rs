//! Concurrent edits: how they are shown to a resolver, and how its answer becomes an event.
//!
//! - this file: [`Conflict`], [`Branch`], [`Answer`] and the [`ConflictResolver`] contract
//! - `resolution.rs`: the decision as it is written into an event
//! - `heads.rs`: which events of an aggregate no other has seen
//! - `history.rs`: which events stand, given all resolutions

mod heads;
mod history;
mod resolution;

pub use heads::{Head, Heads};
pub use history::{Entry, History, Standing};
pub use resolution::{Decision, RESOLUTION_TYPE, Resolution, Settled};

use crate::clock::VectorClock;
use crate::error::{Error, Result};
use crate::event::{Event, NewEvent};
use crate::ids::{AggregateId, EventId};
use crate::timestamp::Timestamp;

/// Edits of one aggregate that have not seen each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The aggregate.
    pub aggregate_id: AggregateId,
    /// The latest events that all branches have seen; empty when the aggregate began in several places.
    pub base: Vec<Event>,
    /// The branches, at least two, in canonical order of their heads: the same order on every replica.
    pub branches: Vec<Branch>,
}

/// One side of a conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// The event at its top: a plain event, or a resolution of an earlier conflict.
    pub head: Event,
    /// The event this branch stands for: the head, or the event that the resolution at its top keeps.
    pub stands_for: Event,
    /// The events of this branch that not all branches have seen, in canonical order, the head included.
    pub events: Vec<Event>,
}

/// What a resolver says of a conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This event stands, with all it had seen. It is one that a branch stands for.
    Keep(EventId),
    /// All branches stand side by side.
    KeepAll,
    /// This event takes the place of all branches.
    Merge(NewEvent),
    /// A person shall decide; the conflict stays listed.
    Review,
}

/// Settles conflicts.
///
/// A resolver MUST be pure: the same conflict gives the same answer on every replica, whoever asks. Look
/// at timestamps, ids and content, never at who is local. One that is not so still converges, by the
/// canonical order of the differing answers, but at the price of extra events.
pub trait ConflictResolver: Send + Sync {
    /// The name under which the decision is recorded.
    fn name(&self) -> &str;

    /// Decides.
    ///
    /// # Errors
    /// An error leaves the conflict listed and stops nothing else.
    fn resolve(&self, conflict: &Conflict) -> Result<Answer>;
}

impl Conflict {
    /// The conflict in the history of an aggregate, if there is one. The events may come in any order.
    ///
    /// # Errors
    /// `Corrupt` when a resolution in the history cannot be read.
    pub fn in_history(events: &[Event]) -> Result<Option<Conflict>> {
        let mut heads = Heads::default();
        events.iter().for_each(|event| heads.add(event));
        if heads.len() < 2 {
            return Ok(None);
        }
        let mut common: Option<VectorClock> = None;
        for head in heads.iter() {
            common = Some(common.map_or_else(|| head.clock.clone(), |clock| clock.meet(&head.clock)));
        }
        let common = common.unwrap_or_default();
        let shared = |event: &Event| match &event.dot {
            Some(dot) => common.has_seen(dot),
            None => event.clock.is_covered_by(&common),
        };
        let mut base = Heads::default();
        events.iter().filter(|event| shared(event)).for_each(|event| base.add(event));
        let mut branches = Vec::with_capacity(heads.len());
        for head in heads.iter() {
            branches.push(Branch::of(&head.id, events, shared)?);
        }
        branches.sort_by(|left, right| left.head.canonical_cmp(&right.head));
        let aggregate_id = branches[0].head.aggregate_id.clone();
        let base = events.iter().filter(|event| base.contains(&event.id)).cloned().collect();
        Ok(Some(Conflict { aggregate_id, base, branches }))
    }

    /// The resolution event that writes down an answer; `None` for [`Answer::Review`].
    ///
    /// The event is a function of the plain events on top of the branches, the decision and the name of the
    /// resolver alone: replicas that decide alike write the same event.
    ///
    /// # Errors
    /// `Invalid` when the answer keeps an event that no branch stands for, or merges into another aggregate.
    pub fn settle(&self, answer: Answer, resolver: &str) -> Result<Option<Event>> {
        let decision = match answer {
            Answer::Review => return Ok(None),
            Answer::KeepAll => Decision::KeepAll,
            Answer::Merge(content) if content.aggregate_id != self.aggregate_id => {
                return Err(Error::invalid("a merge must be an event of the aggregate in conflict")
                    .with("aggregate", &self.aggregate_id)
                    .with("merged into", &content.aggregate_id));
            }
            Answer::Merge(content) => Decision::Merge(content),
            Answer::Keep(id) => {
                let kept = self.branches.iter().find(|branch| branch.stands_for.id == id);
                let kept = kept.ok_or_else(|| {
                    Error::invalid("a resolver can keep only an event that a branch stands for")
                        .with("event", &id)
                })?;
                Decision::Keep(Settled::of(&kept.stands_for))
            }
        };
        let (mut settles, mut time) = (Vec::new(), Timestamp::ZERO);
        let mut clock = VectorClock::new();
        for Branch { head, .. } in &self.branches {
            clock.merge(&head.clock)?;
            if head.is_resolution() {
                // A resolution is one tick later than the plain events it settled: its time stands for theirs.
                time = time.max(head.time);
                settles.extend(Resolution::read(head)?.settles);
            } else {
                time = time.max(head.time.next());
                settles.push(Settled::of(head));
            }
        }
        let resolution = Resolution::new(settles, decision, resolver);
        Ok(Some(resolution.into_event(self.aggregate_id.clone(), clock, time)?))
    }
}

impl Branch {
    fn of(head: &EventId, events: &[Event], shared: impl Fn(&Event) -> bool) -> Result<Branch> {
        let find = |id: &EventId| events.iter().find(|event| event.id == *id).cloned();
        let head = find(head).ok_or_else(|| Error::corrupt("a head is missing in its own history"))?;
        // Where a filter left the kept event out, the resolution itself stands for it.
        let stands_for = match head.is_resolution().then(|| Resolution::read(&head)).transpose()? {
            Some(Resolution { decision: Decision::Keep(kept), .. }) => find(&kept.id),
            _ => None,
        };
        let own = |event: &&Event| !shared(event) && (event.id == head.id || head.has_seen(event));
        let mut own: Vec<Event> = events.iter().filter(own).cloned().collect();
        own.sort_by(Event::canonical_cmp);
        Ok(Branch { stands_for: stands_for.unwrap_or_else(|| head.clone()), head, events: own })
    }
}
