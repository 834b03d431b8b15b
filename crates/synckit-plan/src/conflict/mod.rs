//! Concurrent edits: how they are presented to a resolver, and how its answer becomes an event.
//!
//! - this file: [`Conflict`] and [`Branch`]
//! - `resolver.rs`: the [`ConflictResolver`] contract, [`Answer`] and [`Ruling`]
//! - `resolution.rs`: the decision as written into an event; `side.rs`: what it states about each side; `form.rs`: its
//!   JSON form; `check.rs`: the checks of a foreign one
//! - `heads.rs`: the events of an aggregate that no other has seen
//! - `history`: which events stand, given all resolutions
//! - `current.rs`: what is true now

mod check;
mod current;
mod events;
mod form;
mod heads;
mod history;
mod resolution;
mod resolver;
mod side;

pub use current::Current;
pub use heads::{Head, Heads};
pub use history::{Entry, History, Standing};
pub use resolution::{Decision, Kept, RESOLUTION_TYPE, Resolution};
pub use resolver::{Answer, ConflictResolver, Fingerprint, Ruling};
pub use side::Side;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use synckit_core::{AggregateId, Dot, Error, ErrorKind, Event, EventId, Result, Timestamp, VectorClock};

use crate::conflict::events::Events;
use crate::conflict::heads::{fitting, tops};
use crate::conflict::side::{Candidate, factor, unseen};

/// Edits of one aggregate that have not seen each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The aggregate.
    pub aggregate_id: AggregateId,
    /// What the application sees of the latest events that all branches have seen, as in [`Branch::shows`]. Empty when
    /// the aggregate began in several places.
    pub base: Vec<Arc<Event>>,
    /// Whether the log holds the base and everything that the branches show. A filter may have left some of it out. A
    /// resolver that needs it should leave the conflict to a replica that holds it.
    pub whole: bool,
    /// The branches, at least two, in canonical order of their heads, which is the same on every replica.
    pub branches: Vec<Branch>,
    /// The resolution that settled it, if [`Conflict::decided_by`] returned a settled conflict. A new decision goes on
    /// top of it.
    pub settled_by: Option<Arc<Event>>,
}

/// One side of a conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// The event on top of the branch: a plain event, or a resolution of an earlier conflict.
    pub head: Arc<Event>,
    /// The event this branch stands for: the head, or the event that the resolution on top keeps.
    pub stands_for: Arc<Event>,
    /// What the application sees on top of this branch. It is one event, with a merged event in place of its
    /// resolution; several if all sides of an earlier conflict stand; none if a filter left it out.
    pub shows: Vec<Arc<Event>>,
    /// The events of this branch that not all branches have seen, in canonical order, including the head.
    pub events: Vec<Arc<Event>>,
}

const DECIDED_TOO_OFTEN: &str =
    "people have decided here 65,535 times; record an event on top of the decision instead";

impl Conflict {
    /// Returns the conflict in the history of an aggregate, if there is one. The events may come in any order.
    ///
    /// If one clock has no room for what all sides have seen, the conflict is between those that fit together, with the
    /// smallest clocks first.
    ///
    /// # Errors
    /// `Corrupt` when a resolution in the history cannot be read; `TooLarge` when no two sides fit together.
    pub fn in_history(events: impl IntoIterator<Item = Event>) -> Result<Option<Conflict>> {
        Conflict::among(&Events::of(events)?)
    }

    fn among(events: &Events) -> Result<Option<Conflict>> {
        let heads = tops(events.iter());
        if heads.len() < 2 {
            return Ok(None);
        }
        let heads = together(heads)?;
        let [first, others @ ..] = &heads[..] else { return Ok(None) };
        let common = others.iter().fold(first.clock.clone(), |common, head| common.meet(&head.clock));
        let shared = |event: &Event| match &event.dot {
            Some(dot) => common.has_seen(dot),
            None => event.clock.is_covered_by(&common),
        };
        let (mut known, mut base, mut whole) = (VectorClock::new(), Vec::new(), true);
        for head in tops(events.iter().filter(|event| shared(event))) {
            whole &= known.merge(&head.clock).is_ok();
            let shown = shows(head, events)?;
            whole &= !shown.is_empty();
            base.extend(shown);
        }
        base.sort_by(|left, right| left.canonical_cmp(right));
        whole &= common.is_covered_by(&known);
        let head_ids: HashSet<&EventId> = heads.iter().map(|head| &head.id).collect();
        let below = |event: &&Arc<Event>| !head_ids.contains(&event.id) && !shared(event);
        let mut apart: Vec<&Arc<Event>> = events.iter().filter(below).collect();
        apart.sort_by(|left, right| left.canonical_cmp(right));
        let branches: Vec<Branch> =
            heads.iter().map(|head| Branch::of(head, events, &apart)).collect::<Result<_>>()?;
        whole &= branches.iter().all(|branch| !branch.shows.is_empty());
        let aggregate_id = first.aggregate_id.clone();
        Ok(Some(Conflict { aggregate_id, base, whole, branches, settled_by: None }))
    }

    /// Returns the conflict as it was before this resolution, so that it can be decided differently. `None` if the log
    /// does not hold the sides.
    ///
    /// # Errors
    /// `Corrupt` when a resolution in the history cannot be read.
    pub fn decided_by(resolution: &Event, events: &[Event]) -> Result<Option<Conflict>> {
        let before = |event: &&Event| event.clock != resolution.clock && resolution.has_seen(event);
        let before = events.iter().filter(before).cloned();
        let settled_by = Some(Arc::new(resolution.clone()));
        Ok(Conflict::in_history(before)?.map(|conflict| Conflict { settled_by, ..conflict }))
    }

    /// Returns the resolution event that records a ruling; `None` for [`Answer::Review`].
    ///
    /// The event depends only on the plain events on top of the branches, the ruling, and who gave it: replicas that
    /// decide alike write the same event.
    ///
    /// # Errors
    /// `Invalid` when the answer keeps an event that no branch stands for, or merges into another aggregate.
    pub fn settle(&self, ruling: impl Into<Ruling>, by: &str) -> Result<Option<Event>> {
        self.write_down(ruling.into(), by, 0)
    }

    /// Returns the resolution event of a person's decision. It overrides earlier decisions over the same heads, by
    /// resolvers and by people.
    ///
    /// # Errors
    /// Same as [`Conflict::settle`]; `TooLarge` after 65,535 such decisions, each on top of the one before.
    pub fn override_with(&self, ruling: impl Into<Ruling>, by: &str) -> Result<Option<Event>> {
        let decided = self.settled_by.as_deref().map(Resolution::read).transpose()?;
        let round = decided.map_or(0, |decided| decided.round).checked_add(1);
        let round = round.ok_or_else(|| Error::too_large(DECIDED_TOO_OFTEN))?;
        self.write_down(ruling.into(), by, round)
    }

    fn write_down(&self, ruling: Ruling, by: &str, round: u16) -> Result<Option<Event>> {
        let Ruling { answer, rule, reason } = ruling;
        let settled_by = self.settled_by.as_deref();
        let before = settled_by.map(Resolution::read).transpose()?;
        let mut earlier = Vec::new();
        for Branch { head, .. } in &self.branches {
            earlier.push(head.is_resolution().then(|| Resolution::read(head)).transpose()?);
        }
        let (base, sides) = self.sides(before.as_ref(), &earlier)?;
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
                let kept = self.branches.iter().position(|branch| branch.stands_for.id == id);
                let kept = kept.ok_or_else(|| {
                    Error::invalid("a resolver can keep only an event that a branch stands for")
                        .with("event", &id)
                })?;
                Decision::Keep(self.branches[kept].kept(&sides, earlier[kept].as_ref())?)
            }
        };
        // The log may lack some of what was settled. A resolution is one tick later than the plain events it settled,
        // so its time can stand for theirs.
        let times = self.branches.iter().map(|Branch { head, .. }| match head.is_resolution() {
            true => head.time,
            false => head.time.next(),
        });
        let time = times.chain(settled_by.map(|before| before.time)).max().unwrap_or(Timestamp::ZERO);
        let overrides = settled_by.filter(|_| round > 1).map(|before| before.id.clone());
        let resolution =
            Resolution { rule, reason, round, overrides, ..Resolution::new(base, sides, decision, by) };
        let clock = resolution.clock()?;
        let mut heads = self.branches.iter().map(|branch| &*branch.head).chain(settled_by);
        if resolution.sides.len() < 2 || !heads.all(|head| head.clock.is_covered_by(&clock)) {
            let message = "the clocks of these events contradict each other: a dot has named two events; sync again, or \
                           record an event on top of all sides";
            return Err(Error::new(ErrorKind::Conflict, message).with("aggregate", &self.aggregate_id));
        }
        resolution.is_possible(&self.aggregate_id, &clock)?;
        Ok(Some(resolution.into_event(self.aggregate_id.clone(), time)?))
    }

    /// Returns the sides of a resolution of this conflict: the plain events on top of the branches, including those of
    /// earlier resolutions, without those that another has seen.
    fn sides(
        &self,
        before: Option<&Resolution>,
        earlier: &[Option<Resolution>],
    ) -> Result<(VectorClock, Vec<Side>)> {
        let mut candidates = Vec::new();
        for resolution in before.into_iter().chain(earlier.iter().flatten()) {
            candidates.extend(resolution.sides.iter().map(|side| Candidate::Side(side, &resolution.base)));
        }
        for Branch { head, .. } in &self.branches {
            candidates.extend(head.dot.as_ref().map(|dot| Candidate::Head(dot, &head.clock)));
        }
        let sides = unseen(candidates)?;
        let dots: Vec<Dot> = sides.iter().map(|side| side[0].dot().clone()).collect();
        factor(&dots, |at| {
            let mut clock = sides[at][0].clock()?;
            for more in &sides[at][1..] {
                clock.to_mut().merge(&*more.clock()?)?;
            }
            Ok(clock)
        })
    }
}

impl Branch {
    /// Creates the branch below a head. `apart` are the events below the heads that not all branches have seen, in
    /// canonical order.
    fn of(head: &Arc<Event>, events: &Events, apart: &[&Arc<Event>]) -> Result<Branch> {
        // If a filter left out the kept event, the resolution itself takes its place.
        let stands_for = match head.is_resolution().then(|| Resolution::read(head)).transpose()? {
            Some(Resolution { decision: Decision::Keep(kept), .. }) => events.kept(&kept),
            _ => None,
        };
        let own = apart.iter().filter(|event| head.has_seen(event));
        let mut own: Vec<Arc<Event>> = own.map(|event| (*event).clone()).collect();
        let at = own.partition_point(|event| event.canonical_cmp(head).is_lt());
        own.insert(at, head.clone());
        Ok(Branch {
            stands_for: stands_for.unwrap_or(head).clone(),
            shows: shows(head, events)?,
            head: head.clone(),
            events: own,
        })
    }

    /// Returns how a resolution with these sides names what this branch stands for. `earlier` is the decision of the
    /// resolution on top, if there is one; it says what is kept even if a filter left that out.
    fn kept(&self, sides: &[Side], earlier: Option<&Resolution>) -> Result<Kept> {
        let (dot, clock) = match (&self.stands_for.dot, earlier) {
            (Some(dot), _) => (dot, Cow::Borrowed(&self.stands_for.clock)),
            (None, Some(Resolution { base, decision: Decision::Keep(kept), .. }))
                if self.stands_for.id == self.head.id =>
            {
                match kept {
                    Kept::Seen(dot, clock) => (dot, Cow::Borrowed(clock)),
                    Kept::Resolution(..) => return Ok(kept.clone()),
                    Kept::Side(dot) => {
                        let side = earlier.and_then(|earlier| earlier.side(dot));
                        let side =
                            side.ok_or_else(|| Error::corrupt("a resolution keeps what is no side"))?;
                        (dot, Cow::Owned(side.clock(base)?))
                    }
                }
            }
            (None, _) => {
                let (id, clock) = (self.stands_for.id.clone(), self.stands_for.clock.clone());
                return Ok(Kept::Resolution(id, clock));
            }
        };
        let is_side = sides.binary_search_by(|side| side.dot.cmp(dot)).is_ok();
        Ok(if is_side { Kept::Side(dot.clone()) } else { Kept::Seen(dot.clone(), clock.into_owned()) })
    }
}

/// Returns the heads that fit together into one clock, in canonical order.
fn together(heads: Vec<&Arc<Event>>) -> Result<Vec<&Arc<Event>>> {
    let mut order: Vec<usize> = (0..heads.len()).collect();
    order.sort_by_key(|at| heads[*at].clock.len());
    let (_, mut fit) = fitting(VectorClock::new(), order.iter().map(|at| &heads[*at].clock));
    fit.truncate(Heads::MAX);
    if fit.len() < 2 {
        let message = "no two sides of this conflict fit into one clock, so they stand side by side; continue in \
                       another aggregate, and name this one in it";
        return Err(Error::too_large(message).with("aggregate", &heads[0].aggregate_id));
    }
    fit.iter_mut().for_each(|at| *at = order[*at]);
    fit.sort_unstable();
    Ok(fit.into_iter().map(|at| heads[at]).collect())
}

/// Returns what the application sees of an event on top of a branch: for a resolution the event it keeps or merges
/// into, or everything that it keeps, in canonical order. Empty if a filter left that out.
fn shows(event: &Arc<Event>, events: &Events) -> Result<Vec<Arc<Event>>> {
    let (mut open, mut looked_at, mut shown) = (vec![event], BTreeSet::new(), Vec::new());
    while let Some(event) = open.pop() {
        if !event.is_resolution() {
            shown.push(event.clone());
            continue;
        }
        let resolution = Resolution::read(event)?;
        let kept = match resolution.decision {
            Decision::Merge(_) => {
                shown.push(Arc::new(History::content(event)?));
                continue;
            }
            Decision::Keep(kept) => vec![kept],
            Decision::KeepAll => resolution.sides.into_iter().map(|side| Kept::Side(side.dot)).collect(),
        };
        for kept in kept {
            match events.kept(&kept) {
                Some(event) if looked_at.insert(&event.id) => open.push(event),
                Some(_) => {}
                None => return Ok(Vec::new()),
            }
        }
    }
    shown.sort_by(|left, right| left.canonical_cmp(right));
    Ok(shown)
}
