//! Heads, counters and time, as they change along a plan.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use crate::clock::Dot;
use crate::conflict::Heads;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::ids::{AggregateId, NodeId, StoreId};
use crate::notes::{self, Identity, Latest, Note};
use crate::store::{Facts, NewRow, Plan};
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
    plan: Plan,
}

/// An aggregate that the plan is about.
#[derive(Debug)]
struct Branches {
    aggregate: AggregateId,
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
            plan: Plan { append: Vec::with_capacity(events), ..Plan::default() },
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
    pub(super) fn heads(&mut self, aggregate: &AggregateId) -> Result<&mut Heads> {
        let at = match self.places.entry(aggregate.clone()) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(unknown) => {
                let stored = self.facts.notes.get(&notes::heads(aggregate));
                let heads = stored.map_or_else(|| Ok(Heads::default()), |bytes| Heads::decode(bytes))?;
                let before = heads.len();
                self.branches.push(Branches { aggregate: aggregate.clone(), heads, before });
                *unknown.insert(self.branches.len() - 1)
            }
        };
        Ok(&mut self.branches[at].heads)
    }

    /// Appends an event and moves heads, counters and time with it.
    pub(super) fn append(&mut self, event: Event, source: Option<StoreId>) -> Result<()> {
        self.heads(&event.aggregate_id)?.add(&event);
        if let Some(Dot { node, counter }) = &event.dot
            && self.counter(node)? < *counter
        {
            let latest = Latest { counter: *counter, event: event.id.clone() };
            match self.origins.get_mut(node) {
                Some(before) => *before = latest,
                None => drop(self.origins.insert(node.clone(), latest)),
            }
        }
        self.time = self.time.max(event.time);
        self.plan.append.push(NewRow { event, source });
        Ok(())
    }

    /// The events appended so far.
    pub(super) fn appended(&self) -> &[NewRow] {
        &self.plan.append
    }

    /// The aggregates that came into conflict along this plan, sorted.
    pub(super) fn new_conflicts(&self) -> Vec<AggregateId> {
        let new = self.branches.iter().filter(|branches| branches.came_into_conflict());
        let mut aggregates: Vec<_> = new.map(|branches| branches.aggregate.clone()).collect();
        aggregates.sort_unstable();
        aggregates
    }

    /// The plan, with all notes that follow from it. Of several notes under one key the last counts.
    pub(super) fn finish(mut self, now: u64, more: impl IntoIterator<Item = Note>) -> Result<Plan> {
        let mut plan = self.plan;
        // Sorted, and kind by kind: the notes are then nearly in the order of their keys.
        self.branches.sort_unstable_by(|left, right| left.aggregate.cmp(&right.aggregate));
        plan.put.reserve(self.branches.len() + 16);
        for Branches { aggregate, heads, .. } in &self.branches {
            plan.put.push(Note { key: notes::heads(aggregate), value: heads.encode() });
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
