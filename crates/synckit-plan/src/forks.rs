//! Two events under one dot, and one event under two stamps.
//!
//! Such forks come from copies of a store that were used without knowing of each other. None of the events is refused:
//! see [`Restamp`]. This code works on the whole histories of the affected aggregates, which are requested only when
//! there is a fork.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use synckit_core::{AggregateId, Dot, Event, EventId, Facts, NodeId, Plan, Position, Result};

use crate::conflict::Heads;
use crate::ledger::Ledger;
use crate::restamp::{self, Restamp};

/// The events of the affected aggregates, as the plan leaves them.
#[derive(Debug, Default)]
pub(super) struct Forks {
    events: BTreeMap<EventId, (Option<Position>, Event)>,
    /// The events that have a dot: most often one, and two until one of them has given way.
    by_dot: HashMap<Dot, BTreeSet<EventId>>,
    /// The dots of events whose rows are damaged. Whoever else has one gives way: such an event cannot get another stamp.
    taken: BTreeSet<Dot>,
    /// The restamps of each event.
    restamps: HashMap<EventId, Vec<EventId>>,
    /// The events of each affected aggregate.
    aggregates: BTreeMap<AggregateId, BTreeSet<EventId>>,
    /// The events whose stamp has changed.
    changed: BTreeSet<EventId>,
    derived: Vec<Event>,
}

impl Forks {
    /// Reads the affected events from the facts.
    pub(super) fn of(facts: &Facts) -> Result<Self> {
        let mut forks = Forks::default();
        let taken = facts.dots.iter().filter(|(_, id)| facts.damaged.contains_key(*id));
        forks.taken.extend(taken.map(|(dot, _)| dot.clone()));
        forks.aggregates.extend(facts.histories.keys().map(|aggregate| (aggregate.clone(), BTreeSet::new())));
        for stored in facts.histories.values().flatten() {
            forks.put(Some(stored.position), &stored.event)?;
        }
        Ok(forks)
    }

    fn put(&mut self, position: Option<Position>, event: &Event) -> Result<()> {
        if event.is_restamp() {
            let of = Restamp::read(event)?.event;
            self.restamps.entry(of).or_default().push(event.id.clone());
        }
        if let Some(dot) = &event.dot {
            self.by_dot.entry(dot.clone()).or_default().insert(event.id.clone());
        }
        self.aggregates.entry(event.aggregate_id.clone()).or_default().insert(event.id.clone());
        self.events.insert(event.id.clone(), (position, event.clone()));
        Ok(())
    }

    /// Adds a new event.
    pub(super) fn add(&mut self, event: &Event) -> Result<()> {
        if !self.aggregates.contains_key(&event.aggregate_id) {
            return Ok(());
        }
        let twin = event.dot.as_ref().and_then(|dot| self.twin(dot, &event.id));
        self.put(None, event)?;
        if let Some(twin) = twin {
            let greater = twin.max(event.id.clone());
            self.alias(&greater)?;
        }
        if event.dot.as_ref().is_some_and(|dot| self.taken.contains(dot)) {
            self.alias(&event.id)?;
        }
        for restamp in self.restamps.get(&event.id).cloned().unwrap_or_default() {
            self.apply(&restamp)?;
        }
        if event.is_restamp() { self.apply(&event.id) } else { Ok(()) }
    }

    /// Gives the restamped event the stamp that this restamp carries, if that one is greater.
    fn apply(&mut self, restamp: &EventId) -> Result<()> {
        let Some((_, event)) = self.events.get(restamp) else { return Ok(()) };
        let Restamp { event: of, dot, .. } = Restamp::read(event)?;
        let stamp = Event { dot: Some(dot), ..event.clone() };
        self.meet(&of, &stamp)
    }

    /// Handles another stamp for an event that is held or new. The greater stamp stands, and is recorded.
    pub(super) fn meet(&mut self, id: &EventId, stamp: &Event) -> Result<()> {
        let Some((_, event)) = self.events.get(id) else { return Ok(()) };
        let (Some(before), Some(dot)) = (event.dot.clone(), stamp.dot.clone()) else { return Ok(()) };
        match restamp::compare(stamp, event) {
            Ordering::Equal => return Ok(()),
            Ordering::Less => return self.write_down(id, &dot),
            Ordering::Greater => {}
        }
        let twin = self.twin(&dot, id);
        self.change(id, stamp.clone());
        if let Some(twin) = twin {
            // The greater id gives way.
            self.alias(&twin.max(id.clone()))?;
        }
        if self.taken.contains(&dot) {
            self.alias(id)?;
        }
        self.write_down(id, &before)
    }

    /// Gives an alias to heads that another head claims to have seen but cannot have, because it is earlier. No
    /// resolution could name them.
    pub(super) fn alias_contradictions(&mut self) -> Result<()> {
        let aggregates: Vec<AggregateId> = self.aggregates.keys().cloned().collect();
        for aggregate in aggregates {
            let heads = Heads::among(self.of_aggregate(&aggregate));
            let says = |dot: &Dot| {
                heads.iter().any(|head| head.dot.as_ref() != Some(dot) && head.clock.has_seen(dot))
            };
            let doubtful = heads.iter().filter(|head| head.dot.as_ref().is_some_and(says));
            let doubtful: Vec<EventId> = doubtful.map(|head| head.id.clone()).collect();
            doubtful.iter().try_for_each(|id| self.alias(id))?;
        }
        Ok(())
    }

    fn of_aggregate(&self, aggregate: &AggregateId) -> impl Iterator<Item = &Event> + Clone {
        let ids = self.aggregates.get(aggregate).into_iter().flatten();
        ids.filter_map(|id| self.events.get(id)).map(|(_, event)| event)
    }

    /// Returns another event that has this dot.
    fn twin(&self, dot: &Dot, id: &EventId) -> Option<EventId> {
        self.by_dot.get(dot)?.iter().find(|twin| *twin != id).cloned()
    }

    fn alias(&mut self, id: &EventId) -> Result<()> {
        let Some((_, event)) = self.events.get(id) else { return Ok(()) };
        if event.dot.as_ref().is_some_and(|dot| dot.node.is_alias()) {
            return Ok(());
        }
        let Some(was) = event.dot.clone() else { return Ok(()) };
        let alias = NodeId::alias(id);
        let clock = restamp::aliased(event, &alias)?;
        let stamp = Event { dot: Some(Dot::new(alias, 1)), clock, ..event.clone() };
        self.change(id, stamp);
        self.write_down(id, &was)
    }

    /// Sets another stamp on an event.
    fn change(&mut self, id: &EventId, stamp: Event) {
        let Some((_, event)) = self.events.get_mut(id) else { return };
        if let Some(having) = event.dot.as_ref().and_then(|dot| self.by_dot.get_mut(dot)) {
            having.remove(id);
        }
        event.time = stamp.time;
        event.clock = stamp.clock;
        event.dot = stamp.dot;
        if let Some(dot) = &event.dot {
            self.by_dot.entry(dot.clone()).or_default().insert(id.clone());
        }
        self.changed.insert(id.clone());
    }

    /// Records the stamp of an event that a dot named before.
    fn write_down(&mut self, id: &EventId, was: &Dot) -> Result<()> {
        let Some((_, event)) = self.events.get(id) else { return Ok(()) };
        let restamp = Restamp::event_of(event, was)?;
        if !self.events.contains_key(&restamp.id) {
            self.put(None, &restamp)?;
            self.derived.push(restamp);
        }
        Ok(())
    }

    /// Adds the changes to a plan.
    pub(super) fn settle(self, ledger: &mut Ledger<'_>, plan: &mut Plan) -> Result<()> {
        if self.aggregates.is_empty() {
            return Ok(());
        }
        for event in plan.append.iter_mut().filter(|event| self.changed.contains(&event.id)) {
            if let Some((_, changed)) = self.events.get(&event.id) {
                event.clone_from(changed);
            }
        }
        let changed = self.changed.iter().filter_map(|id| self.events.get(id));
        plan.replace.extend(changed.filter_map(|(position, event)| Some(((*position)?, event.clone()))));
        for aggregate in self.aggregates.keys() {
            let of = self.of_aggregate(aggregate);
            let mut heads = Heads::among(of.clone());
            let mut restamps = of.filter(|event| event.is_restamp()).map(Restamp::read);
            heads.set_awaits(restamps.any(|one| one.is_ok_and(|one| !self.events.contains_key(&one.event))));
            ledger.set_heads(aggregate, heads)?;
        }
        // A restamp that was recorded may also have arrived in the same batch.
        let come: BTreeSet<&EventId> = plan.append.iter().map(|event| &event.id).collect();
        plan.derived = self.derived.into_iter().filter(|event| !come.contains(&event.id)).collect();
        Ok(())
    }
}
