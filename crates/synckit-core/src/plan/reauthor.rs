//! Authoring again, under a fresh name, what a replica recorded under dots that were taken.
//!
//! A replica that was restored from an older copy may have recorded events before it learnt so. Their dots name
//! other events elsewhere. They keep id, position and content, and get the dots of a successor node; the clocks
//! of everything derived from them follow.

use std::collections::BTreeMap;

use crate::clock::{Dot, VectorClock};
use crate::conflict::{Heads, Resolution};
use crate::error::Result;
use crate::event::Event;
use crate::ids::{AggregateId, EventId, NodeId};
use crate::notes::{self, Identity, Latest, Note};
use crate::plan::ledger::{self, put};
use crate::plan::{Outcome, Step};
use crate::store::{Facts, Needs, Plan, StoredEvent};

/// Moves the own events from a counter on to a fresh node id, under which the replica authors from then on. Without
/// events it only takes the fresh id.
#[derive(Clone, Debug)]
pub struct Reauthor {
    /// The name under which they were recorded.
    pub author: NodeId,
    /// The first counter whose dot is taken.
    pub from: u64,
    /// The last counter recorded; the plan does nothing when it has grown since.
    pub last: u64,
    /// Every event of the log, recorded or derived here, whose clock has this author at `from` or above.
    pub events: Vec<StoredEvent>,
    /// For each of their aggregates the author's highest counter below `from`; absent for none.
    pub base: BTreeMap<AggregateId, u64>,
}

impl Reauthor {
    pub(super) fn needs(&self) -> Needs {
        let mut keys = vec![notes::NODE.to_owned(), notes::origin(&self.author)];
        keys.extend(self.events.iter().map(|stored| notes::heads(&stored.event.aggregate_id)));
        keys.sort_unstable();
        keys.dedup();
        let dots = self.last_left().into_iter().collect();
        Needs { notes: keys, dots, ..Needs::default() }
    }

    /// The last dot of the former name that stays.
    fn last_left(&self) -> Option<Dot> {
        (self.from > 1).then(|| Dot::new(self.author.clone(), self.from - 1))
    }

    pub(super) fn plan(&mut self, facts: &Facts, may_ask: bool) -> Result<Step> {
        let identity = ledger::identity(facts)?;
        if may_ask {
            return Ok(Step::Fetch(Needs {
                notes: vec![notes::origin(&identity.author)],
                ..Needs::default()
            }));
        }
        if ledger::counter(facts, &self.author)? != self.last {
            return Ok(Step::Write(Plan::default(), Outcome::Reauthored(None)));
        }
        // A fresh name under which nothing was recorded yet serves; else it takes another.
        let unused = identity.author != self.author && ledger::counter(facts, &identity.author)? == 0;
        let identity = if unused { identity } else { identity.renamed() };
        let mut plan = Plan::default();
        let mut heads: BTreeMap<AggregateId, Heads> = BTreeMap::new();
        let mut ids: BTreeMap<EventId, EventId> = BTreeMap::new();
        for stored in &self.events {
            let aggregate = &stored.event.aggregate_id;
            if !heads.contains_key(aggregate)
                && let Some(bytes) = facts.notes.get(&notes::heads(aggregate))
            {
                heads.insert(aggregate.clone(), Heads::decode(bytes)?);
            }
            let event = self.event(&stored.event, &identity.author, &ids)?;
            if event.id != stored.event.id {
                ids.insert(stored.event.id.clone(), event.id.clone());
            }
            plan.restamp.push((stored.position, event));
        }
        for (aggregate, heads) in heads {
            let moved = heads.iter().map(|head| {
                let mut head = head.clone();
                head.clock = self.clock(&aggregate, &head.clock, &identity.author)?;
                head.dot = head.dot.map(|dot| self.dot(dot, &identity.author));
                head.id = ids.get(&head.id).cloned().unwrap_or(head.id);
                Ok(head)
            });
            let moved = Heads::from_parts(moved.collect::<Result<Vec<_>>>()?);
            plan.put.push(Note { key: notes::heads(&aggregate), value: moved.encode() });
        }
        self.count(&mut plan, facts, &identity)?;
        plan.put.sort_by(|left, right| left.key.cmp(&right.key));
        Ok(Step::Write(plan, Outcome::Reauthored(Some(self.events.len()))))
    }

    fn count(&self, plan: &mut Plan, facts: &Facts, identity: &Identity) -> Result<()> {
        plan.put.push(Note::json(notes::NODE.to_owned(), identity)?);
        let former = notes::origin(&self.author);
        match self.last_left().and_then(|dot| Some((dot.counter, facts.dots.get(&dot)?))) {
            Some((counter, event)) => {
                plan.put.push(put(former, Latest { counter, event: event.clone() }.to_string()));
            }
            None => plan.delete.push(former),
        }
        let moved = plan.restamp.iter().filter_map(|(_, event)| Some((event.dot.as_ref()?, &event.id)));
        let moved = moved.filter(|(dot, _)| dot.node == identity.author);
        if let Some((dot, event)) = moved.max_by_key(|(dot, _)| dot.counter) {
            let latest = Latest { counter: dot.counter, event: event.clone() };
            plan.put.push(put(notes::origin(&identity.author), latest.to_string()));
        }
        Ok(())
    }

    /// The event with its new stamp. The id of a resolution is a hash over that and changes with it.
    fn event(&self, event: &Event, author: &NodeId, ids: &BTreeMap<EventId, EventId>) -> Result<Event> {
        let aggregate = &event.aggregate_id;
        if event.is_resolution() {
            let moved = Resolution::read(event)?.map_dots(
                |dot| self.dot(dot.clone(), author),
                |clock| self.clock(aggregate, clock, author),
                |id| ids.get(id).unwrap_or(id).clone(),
            )?;
            return moved.into_event(aggregate.clone(), event.time);
        }
        let mut event = event.clone();
        event.clock = self.clock(&event.aggregate_id, &event.clock, author)?;
        event.dot = event.dot.map(|dot| self.dot(dot, author));
        Ok(event)
    }

    fn dot(&self, dot: Dot, author: &NodeId) -> Dot {
        if dot.node != self.author || dot.counter < self.from {
            return dot;
        }
        Dot::new(author.clone(), dot.counter - self.from + 1)
    }

    fn clock(&self, aggregate: &AggregateId, clock: &VectorClock, author: &NodeId) -> Result<VectorClock> {
        let counter = clock.counter(&self.author);
        if counter < self.from {
            return Ok(clock.clone());
        }
        let base = self.base.get(aggregate).copied().unwrap_or(0);
        let others = clock.iter().filter(|(node, _)| **node != self.author);
        let moved = [(self.author.clone(), base), (author.clone(), counter - self.from + 1)];
        VectorClock::from_entries(others.map(|(node, counter)| (node.clone(), counter)).chain(moved))
    }
}
