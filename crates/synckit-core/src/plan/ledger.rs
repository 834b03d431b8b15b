//! Heads, counters and time, as they change along a plan.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::conflict::Heads;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::ids::{AggregateId, NodeId, StoreId};
use crate::notes::{self, Identity, Note};
use crate::store::{Facts, NewRow, Plan};
use crate::timestamp::Timestamp;

/// The state of causality that a plan starts from and moves on.
#[derive(Debug)]
pub(super) struct Ledger<'a> {
    facts: &'a Facts,
    pub(super) identity: Identity,
    pub(super) time: Timestamp,
    origins: BTreeMap<NodeId, u64>,
    heads: BTreeMap<AggregateId, (Heads, usize)>,
    plan: Plan,
}

impl<'a> Ledger<'a> {
    pub(super) fn open(facts: &'a Facts) -> Result<Self> {
        Ok(Ledger {
            facts,
            identity: identity(facts)?,
            time: text(facts, notes::TIME)?.unwrap_or_default(),
            origins: BTreeMap::new(),
            heads: BTreeMap::new(),
            plan: Plan::default(),
        })
    }

    /// The highest counter held of a node.
    pub(super) fn counter(&mut self, node: &NodeId) -> Result<u64> {
        if let Some(counter) = self.origins.get(node) {
            return Ok(*counter);
        }
        counter(self.facts, node)
    }

    /// The heads of an aggregate.
    pub(super) fn heads(&mut self, aggregate: &AggregateId) -> Result<&mut Heads> {
        match self.heads.entry(aggregate.clone()) {
            Entry::Occupied(known) => Ok(&mut known.into_mut().0),
            Entry::Vacant(unknown) => {
                let stored = self.facts.notes.get(&notes::heads(aggregate));
                let heads = stored.map_or_else(|| Ok(Heads::default()), |bytes| Heads::decode(bytes))?;
                let before = heads.len();
                Ok(&mut unknown.insert((heads, before)).0)
            }
        }
    }

    /// Appends an event and moves heads, counters and time with it.
    pub(super) fn append(&mut self, event: Event, source: Option<StoreId>) -> Result<()> {
        self.heads(&event.aggregate_id)?.add(&event);
        if let Some(dot) = &event.dot {
            let counter = self.counter(&dot.node)?.max(dot.counter);
            self.origins.insert(dot.node.clone(), counter);
        }
        self.time = self.time.max(event.time);
        self.plan.append.push(NewRow { event, source });
        Ok(())
    }

    /// The events appended so far.
    pub(super) fn appended(&self) -> &[NewRow] {
        &self.plan.append
    }

    /// The aggregates that came into conflict along this plan.
    pub(super) fn new_conflicts(&self) -> Vec<AggregateId> {
        let new = |(_, (heads, before)): &(&AggregateId, &(Heads, usize))| heads.len() > 1 && *before < 2;
        self.heads.iter().filter(new).map(|(aggregate, _)| aggregate.clone()).collect()
    }

    /// The plan, with all notes that follow from it. Of several notes under one key the last counts.
    pub(super) fn finish(self, now: u64, more: impl IntoIterator<Item = Note>) -> Result<Plan> {
        let mut plan = self.plan;
        if !plan.append.is_empty() {
            plan.put.push(put(notes::TIME.to_owned(), self.time.to_string()));
        }
        if identity(self.facts)? != self.identity {
            plan.put.push(Note::json(notes::NODE.to_owned(), &self.identity)?);
        }
        for (node, counter) in &self.origins {
            plan.put.push(put(notes::origin(node), counter.to_string()));
        }
        for (aggregate, (heads, before)) in &self.heads {
            plan.put.push(Note { key: notes::heads(aggregate), value: heads.encode() });
            match heads.len() > 1 {
                true if *before < 2 => plan.put.push(put(notes::conflict(aggregate), now.to_string())),
                false if *before > 1 => plan.delete.push(notes::conflict(aggregate)),
                _ => {}
            }
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
    Ok(text(facts, &notes::origin(node))?.unwrap_or(0))
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
