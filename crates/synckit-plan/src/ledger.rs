//! Identity, heads and counters, as they change during a plan.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use synckit_core::{
    AggregateId, Dot, Error, Event, Facts, Identity, Mark, NodeId, Note, Plan, Renewal, Result, StoreId,
};

use crate::Entropy;
use crate::conflict::Heads;
use crate::notes::{self, Latest};

/// The causal state that a plan starts from and advances.
#[derive(Debug)]
pub(super) struct Ledger<'a> {
    facts: &'a Facts,
    pub(super) identity: Identity,
    /// The fresh id of the store, if it takes one.
    store: Option<StoreId>,
    origins: BTreeMap<NodeId, Latest>,
    /// The index of each aggregate in `branches`.
    places: HashMap<AggregateId, usize>,
    branches: Vec<Branches>,
}

/// An aggregate that the plan touches.
#[derive(Debug)]
struct Branches {
    aggregate: AggregateId,
    /// The key of the note with its heads.
    key: String,
    heads: Heads,
    /// Whether it was in conflict before the plan.
    before: bool,
    /// Whether the plan has added an event, or replaced the heads.
    changed: bool,
}

impl Branches {
    fn came_into_conflict(&self) -> bool {
        self.heads.in_conflict() && !self.before
    }

    fn was_settled(&self) -> bool {
        !self.heads.in_conflict() && self.before
    }

    /// Returns whether a resolver must look: at a new conflict, or at one that has changed.
    fn waits(&self) -> bool {
        self.heads.in_conflict() && self.changed
    }
}

impl<'a> Ledger<'a> {
    /// Creates the state before a plan of at most `events` events.
    pub(super) fn open(facts: &'a Facts, events: usize) -> Result<Self> {
        Ok(Ledger {
            facts,
            identity: identity(facts)?,
            store: None,
            origins: BTreeMap::new(),
            places: HashMap::with_capacity(events),
            branches: Vec::with_capacity(events),
        })
    }

    /// Returns the highest counter held of a node.
    pub(super) fn counter(&mut self, node: &NodeId) -> Result<u64> {
        match self.origins.get(node) {
            Some(latest) => Ok(latest.counter),
            None => counter(self.facts, node),
        }
    }

    /// Returns the heads of an aggregate.
    pub(super) fn heads(&mut self, aggregate: &AggregateId) -> Result<&Heads> {
        let place = self.place(aggregate)?;
        Ok(self.heads_at(place))
    }

    /// Returns the heads of the aggregate with this index.
    pub(super) fn heads_at(&self, place: usize) -> &Heads {
        &self.branches[place].heads
    }

    /// Returns the index of an aggregate in this plan.
    pub(super) fn place(&mut self, aggregate: &AggregateId) -> Result<usize> {
        match self.places.entry(aggregate.clone()) {
            Entry::Occupied(known) => Ok(*known.get()),
            Entry::Vacant(unknown) => {
                let key = notes::heads(aggregate);
                let heads = self::heads(self.facts, &key)?;
                let before = heads.in_conflict();
                let aggregate = aggregate.clone();
                self.branches.push(Branches { aggregate, key, heads, before, changed: false });
                Ok(*unknown.insert(self.branches.len() - 1))
            }
        }
    }

    /// Advances heads, counters and time by an event that is to be appended.
    pub(super) fn add(&mut self, event: &Event) -> Result<()> {
        let place = self.place(&event.aggregate_id)?;
        self.add_at(place, event)
    }

    /// Does the same for an event of the aggregate with this index.
    pub(super) fn add_at(&mut self, place: usize, event: &Event) -> Result<()> {
        self.branches[place].heads.add(event);
        self.branches[place].changed = true;
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
        Ok(())
    }

    /// Takes a fresh id and a fresh name, at most once per plan.
    pub(super) fn renew(&mut self, why: Renewal, now: u64, entropy: &Entropy) {
        if self.store.is_none() {
            self.identity = self.identity.renewed(self.facts.head.store, why, now, entropy.suffix());
            self.store = Some(entropy.store());
        }
    }

    /// Returns the id of the store after the plan.
    pub(super) fn store(&self) -> StoreId {
        self.store.unwrap_or(self.facts.head.store)
    }

    /// Returns whether this counter is that of an event under the local name that is not in the log.
    pub(super) fn lacks_own(&mut self, counter: u64) -> Result<bool> {
        Ok(counter > 0 && counter > self.counter(&self.identity.author.clone())?)
    }

    /// Replaces the heads of an aggregate.
    pub(super) fn set_heads(&mut self, aggregate: &AggregateId, heads: Heads) -> Result<()> {
        let place = self.place(aggregate)?;
        self.branches[place].heads = heads;
        self.branches[place].changed = true;
        Ok(())
    }

    /// Returns the aggregates that came into conflict during this plan, sorted.
    pub(super) fn new_conflicts(&self) -> Vec<AggregateId> {
        self.aggregates(Branches::came_into_conflict)
    }

    /// Returns the aggregates whose conflict was settled during this plan, sorted.
    pub(super) fn settled(&self) -> Vec<AggregateId> {
        self.aggregates(Branches::was_settled)
    }

    fn aggregates(&self, which: fn(&Branches) -> bool) -> Vec<AggregateId> {
        let found = self.branches.iter().filter(|branches| which(branches));
        let mut aggregates: Vec<_> = found.map(|branches| branches.aggregate.clone()).collect();
        aggregates.sort_unstable();
        aggregates
    }

    /// Completes the plan with all notes that follow from the added events. Of several notes under one key the last one
    /// counts.
    pub(super) fn finish(
        mut self,
        now: u64,
        entropy: &Entropy,
        mut plan: Plan,
        more: impl IntoIterator<Item = Note>,
    ) -> Result<Plan> {
        // A plan that appends nothing draws no mark: one that changes nothing is the default.
        plan.mark =
            if plan.appends() > 0 || plan.remark.is_some() { entropy.mark() } else { Mark::default() };
        // Sorted, and kind by kind: the notes are then nearly in the order of their keys.
        self.branches.sort_unstable_by(|left, right| left.aggregate.cmp(&right.aggregate));
        plan.put.reserve(self.branches.len() + 16);
        for Branches { key, heads, .. } in &mut self.branches {
            plan.put.push(Note { key: std::mem::take(key), value: heads.encode() });
        }
        self.list_conflicts(now, entropy, &mut plan)?;
        let full = self.branches.iter().filter(|branches| branches.heads.nodes() >= Heads::MANY);
        plan.put.extend(
            full.map(|branches| put(notes::full(&branches.aggregate), branches.heads.nodes().to_string())),
        );
        if identity(self.facts)? != self.identity {
            plan.put.push(Note::json(Note::NODE.to_owned(), &self.identity)?);
        }
        for (node, latest) in &self.origins {
            plan.put.push(put(notes::origin(node), latest.to_string()));
        }
        plan.put.extend(self.store.map(Note::of_store_id));
        plan.put.extend(more);
        plan.put.reverse();
        plan.put.sort_by(|left, right| left.key.cmp(&right.key));
        plan.put.dedup_by(|later, first| later.key == first.key);
        Ok(plan)
    }

    /// Lists new conflicts and those that wait for a resolver, and takes settled ones off the lists.
    fn list_conflicts(&self, now: u64, entropy: &Entropy, plan: &mut Plan) -> Result<()> {
        let before = conflict_count(self.facts)?;
        let mut count = before;
        for branches in &self.branches {
            let aggregate = &branches.aggregate;
            if branches.came_into_conflict() {
                count += 1;
                plan.put.push(put(notes::conflict(aggregate), now.to_string()));
            } else if branches.was_settled() {
                count = count.saturating_sub(1);
                plan.delete.extend([notes::conflict(aggregate), notes::waiting(aggregate)]);
            }
        }
        let waiting = self.branches.iter().filter(|branches| branches.waits());
        let before_waiting = plan.put.len();
        plan.put.extend(waiting.map(|branches| entropy.note(notes::waiting(&branches.aggregate))));
        if plan.put.len() > before_waiting {
            plan.put.push(entropy.note(notes::WAITING.to_owned()));
        }
        if count != before {
            plan.put.push(put(notes::CONFLICT_COUNT.to_owned(), count.to_string()));
        }
        Ok(())
    }
}

/// Returns the number of unsettled conflicts, according to the facts.
pub(super) fn conflict_count(facts: &Facts) -> Result<u64> {
    Ok(text(facts, notes::CONFLICT_COUNT)?.unwrap_or(0))
}

/// Returns the identity of the replica.
pub(super) fn identity(facts: &Facts) -> Result<Identity> {
    Note::read_identity(facts.note(Note::NODE))
}

/// Returns the highest counter held of a node, according to the facts.
pub(super) fn counter(facts: &Facts, node: &NodeId) -> Result<u64> {
    let latest: Option<Latest> = text(facts, &notes::origin(node))?;
    Ok(latest.map_or(0, |latest| latest.counter))
}

/// Returns the heads under this key, according to the facts.
pub(super) fn heads(facts: &Facts, key: &str) -> Result<Heads> {
    facts.notes.get(key).map_or_else(|| Ok(Heads::default()), |bytes| Heads::decode(bytes))
}

pub(super) fn put(key: String, value: String) -> Note {
    Note { key, value: value.into_bytes() }
}

pub(super) fn text<T: std::str::FromStr>(facts: &Facts, key: &str) -> Result<Option<T>> {
    let Some(value) = facts.notes.get(key) else {
        return Ok(None);
    };
    let parsed = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    parsed.map(Some).ok_or_else(|| Error::corrupt("a note cannot be read").with("key", key))
}
