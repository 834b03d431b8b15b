//! Heads, counters and time, as they change along a plan.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use crate::clock::Dot;
use crate::conflict::Heads;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::ids::{AggregateId, NodeId, StoreId};
use crate::notes::{self, Identity, Latest, Note};
use crate::store::{Facts, Plan};
use crate::timestamp::Timestamp;

/// The state of causality that a plan starts from and moves on.
#[derive(Debug)]
pub(super) struct Ledger<'a> {
    facts: &'a Facts,
    pub(super) identity: Identity,
    pub(super) time: Timestamp,
    origins: BTreeMap<NodeId, Latest>,
    /// Where in `branches` an aggregate stands.
    places: HashMap<AggregateId, usize>,
    branches: Vec<Branches>,
}

/// An aggregate that the plan is about.
#[derive(Debug)]
struct Branches {
    aggregate: AggregateId,
    /// The key of the note of its heads.
    key: String,
    heads: Heads,
    /// How many heads there were before the plan.
    before: usize,
}

impl Branches {
    fn came_into_conflict(&self) -> bool {
        self.heads.len() > 1 && self.before < 2
    }

    fn was_settled(&self) -> bool {
        self.heads.len() < 2 && self.before > 1
    }
}

impl<'a> Ledger<'a> {
    /// The state before a plan of at most so many events.
    pub(super) fn open(facts: &'a Facts, events: usize) -> Result<Self> {
        Ok(Ledger {
            facts,
            identity: identity(facts)?,
            time: text(facts, notes::TIME)?.unwrap_or_default(),
            origins: BTreeMap::new(),
            places: HashMap::with_capacity(events),
            branches: Vec::with_capacity(events),
        })
    }

    /// The highest counter held of a node.
    pub(super) fn counter(&mut self, node: &NodeId) -> Result<u64> {
        match self.origins.get(node) {
            Some(latest) => Ok(latest.counter),
            None => counter(self.facts, node),
        }
    }

    /// The heads of an aggregate.
    pub(super) fn heads(&mut self, aggregate: &AggregateId) -> Result<&Heads> {
        let place = self.place(aggregate)?;
        Ok(self.heads_at(place))
    }

    /// The heads at a place, which is that of an aggregate.
    pub(super) fn heads_at(&self, place: usize) -> &Heads {
        &self.branches[place].heads
    }

    /// The place of an aggregate in this plan.
    pub(super) fn place(&mut self, aggregate: &AggregateId) -> Result<usize> {
        match self.places.entry(aggregate.clone()) {
            Entry::Occupied(known) => Ok(*known.get()),
            Entry::Vacant(unknown) => {
                let key = notes::heads(aggregate);
                let stored = self.facts.notes.get(&key);
                let heads = stored.map_or_else(|| Ok(Heads::default()), |bytes| Heads::decode(bytes))?;
                let before = heads.len();
                self.branches.push(Branches { aggregate: aggregate.clone(), key, heads, before });
                Ok(*unknown.insert(self.branches.len() - 1))
            }
        }
    }

    /// Moves heads, counters and time with an event that is to be appended.
    pub(super) fn add(&mut self, event: &Event) -> Result<()> {
        let place = self.place(&event.aggregate_id)?;
        self.add_at(place, event)
    }

    /// The same for an event of the aggregate that has this place.
    pub(super) fn add_at(&mut self, place: usize, event: &Event) -> Result<()> {
        self.branches[place].heads.add(event);
        if let Some(Dot { node, counter }) = &event.dot {
            let latest = || Latest { counter: *counter, event: event.id.clone() };
            match self.origins.get_mut(node) {
                Some(before) if before.counter < *counter => *before = latest(),
                None if self::counter(self.facts, node)? < *counter => {
                    self.origins.insert(node.clone(), latest());
                }
                _ => {}
            }
        }
        self.time = self.time.max(event.time);
        Ok(())
    }

    /// The aggregates that came into conflict along this plan, sorted.
    pub(super) fn new_conflicts(&self) -> Vec<AggregateId> {
        let new = self.branches.iter().filter(|branches| branches.came_into_conflict());
        let mut aggregates: Vec<_> = new.map(|branches| branches.aggregate.clone()).collect();
        aggregates.sort_unstable();
        aggregates
    }

    /// The plan that appends the events that were added, with all notes that follow from it. Of several notes under one
    /// key the last counts.
    pub(super) fn finish(
        mut self,
        now: u64,
        append: Vec<Event>,
        source: Option<StoreId>,
        more: impl IntoIterator<Item = Note>,
    ) -> Result<Plan> {
        let mut plan = Plan { append, source, ..Plan::default() };
        // Sorted, and kind by kind: the notes are then nearly in the order of their keys.
        self.branches.sort_unstable_by(|left, right| left.aggregate.cmp(&right.aggregate));
        plan.put.reserve(self.branches.len() + 16);
        for Branches { key, heads, .. } in &mut self.branches {
            plan.put.push(Note { key: std::mem::take(key), value: heads.encode() });
        }
        for branches in &self.branches {
            let aggregate = &branches.aggregate;
            if branches.came_into_conflict() {
                plan.put.push(put(notes::conflict(aggregate), now.to_string()));
            } else if branches.was_settled() {
                plan.delete.push(notes::conflict(aggregate));
            }
        }
        if identity(self.facts)? != self.identity {
            plan.put.push(Note::json(notes::NODE.to_owned(), &self.identity)?);
        }
        for (node, latest) in &self.origins {
            plan.put.push(put(notes::origin(node), latest.to_string()));
        }
        if !plan.append.is_empty() {
            plan.put.push(put(notes::TIME.to_owned(), self.time.to_string()));
        }
        plan.put.extend(more);
        plan.put.reverse();
        plan.put.sort_by(|left, right| left.key.cmp(&right.key));
        plan.put.dedup_by(|later, first| later.key == first.key);
        Ok(plan)
    }
}

/// Who the replica is.
pub(super) fn identity(facts: &Facts) -> Result<Identity> {
    notes::identity(facts.notes.get(notes::NODE).map(Vec::as_slice))
}

/// The highest counter held of a node, by the facts.
pub(super) fn counter(facts: &Facts, node: &NodeId) -> Result<u64> {
    let latest: Option<Latest> = text(facts, &notes::origin(node))?;
    Ok(latest.map_or(0, |latest| latest.counter))
}

pub(super) fn put(key: String, value: String) -> Note {
    Note { key, value: value.into_bytes() }
}

fn text<T: std::str::FromStr>(facts: &Facts, key: &str) -> Result<Option<T>> {
    let Some(value) = facts.notes.get(key) else {
        return Ok(None);
    };
    let parsed = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    parsed.map(Some).ok_or_else(|| Error::corrupt("a note cannot be read").with("key", key))
}
