//! What receiving has to know beyond ids and heads. Stages after the first request something only when something went
//! wrong: a dot or an id meets another event or stamp.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use synckit_core::{
    AggregateId, Dot, Event, EventId, Facts, Held, Identity, Needs, NodeId, Position, Result,
};

use crate::conflict::{Heads, Resolution};
use crate::ledger;
use crate::notes;
use crate::on_record::OnRecord;
use crate::receive::Receive;
use crate::restamp::Restamp;

/// What the planning has requested so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    #[default]
    Ids,
    Dots,
    Twins,
    Histories,
}

impl Receive {
    /// Returns what to request next, which may be nothing; `None` when everything is known. Stages after the first
    /// request something only when something went wrong: a dot or an id meets another event or stamp.
    pub(super) fn next_needs(&mut self, facts: &Facts) -> Result<Option<Needs>> {
        let (next, needs) = match self.stage {
            Stage::Ids => {
                self.doubtful = self.doubtful_dots(facts)?;
                let identity = ledger::identity(facts)?;
                self.returned = self.returned(facts, &identity);
                let mut notes: Vec<String> = self.own_origin(&identity.author).into_iter().collect();
                notes.extend(self.returned.map(|_| notes::HANDED.to_owned()));
                notes.extend(self.on_record.as_ref().and_then(|record| record.count(facts)));
                (Stage::Dots, Needs { dots: self.doubtful.clone(), notes, ..Needs::default() })
            }
            Stage::Dots => {
                let twins = self.twins(facts).map(|(_, twin)| twin.clone());
                let sample = |record: &OnRecord| record.sample(facts, &self.entropy).transpose();
                let under = self.on_record.as_ref().and_then(sample).transpose()?;
                let under = under.into_iter().collect();
                (Stage::Twins, Needs { ids: twins.collect(), under, ..Needs::default() })
            }
            Stage::Twins => {
                let histories: Vec<AggregateId> = self.concerned(facts)?.into_iter().collect();
                let unknown = |key: &String| !facts.notes.contains_key(key);
                let notes = histories.iter().map(notes::heads).filter(unknown).collect();
                (Stage::Histories, Needs { histories, notes, ..Needs::default() })
            }
            Stage::Histories => return Ok(None),
        };
        self.stage = next;
        Ok(Some(needs))
    }

    /// Returns the key of what is known of the local name, if a clock contains that name and it was not requested yet.
    fn own_origin(&self, own: &NodeId) -> Option<String> {
        let asked =
            self.author.as_ref() == Some(own) || self.events.iter().any(|event| event.author() == Some(own));
        let needed = !asked && self.events.iter().any(|event| event.clock.counter(own) > 0);
        needed.then(|| notes::origin(own))
    }

    /// Returns the position of the last local event that comes back, or of a resolution that has seen local events. It
    /// was handed out, and so was the log up to it: if not by this log, then by a copy of it.
    fn returned(&self, facts: &Facts, identity: &Identity) -> Option<Position> {
        let local = |event: &&Event| match event.author() {
            Some(author) => identity.is_own(author),
            None => event.clock.iter().any(|(node, _)| identity.is_own(node)),
        };
        self.events.iter().filter(local).filter_map(|event| facts.position(&event.id)).max()
    }

    /// Returns the dots that may already name another event: those not beyond the highest counter of their node that is
    /// held or came before them, and those of events that are held under another stamp.
    fn doubtful_dots(&self, facts: &Facts) -> Result<Vec<Dot>> {
        let mut highest: BTreeMap<NodeId, u64> = BTreeMap::new();
        let mut dots = Vec::new();
        for event in &self.events {
            let restamp = event.is_restamp().then(|| Restamp::read(event).ok()).flatten();
            let Some(dot) = restamp.as_ref().map(|restamp| &restamp.dot).or(event.dot.as_ref()) else {
                continue;
            };
            let known = match highest.entry(dot.node.clone()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => unknown.insert(ledger::counter(facts, &dot.node)?),
            };
            let is_same = |held: &Held| held.digest == event.digest();
            if facts.damaged.contains_key(&event.id) || facts.held.get(&event.id).is_some_and(is_same) {
                continue;
            }
            if restamp.is_some() || dot.counter <= *known || facts.held.contains_key(&event.id) {
                dots.push(dot.clone());
            }
            *known = dot.counter.max(*known);
        }
        dots.sort_unstable();
        dots.dedup();
        Ok(dots)
    }

    /// Iterates over the events whose dot names another event that is held, each with that event.
    fn twins<'a>(&'a self, facts: &'a Facts) -> impl Iterator<Item = (&'a Event, &'a EventId)> {
        self.events.iter().filter_map(|event| {
            let named = match &event.dot {
                Some(dot) => facts.dots.get(dot)?,
                None if event.is_restamp() => facts.dots.get(&Restamp::read(event).ok()?.dot)?,
                None => return None,
            };
            (*named != event.id).then_some((event, named))
        })
    }

    /// Returns the aggregates in which a dot names two events, or an event has two stamps, as far as can be determined,
    /// and those in which a decision overrides another.
    fn concerned(&self, facts: &Facts) -> Result<BTreeSet<AggregateId>> {
        let mut concerned = BTreeSet::new();
        for (event, twin) in self.twins(facts) {
            concerned.insert(event.aggregate_id.clone());
            concerned.extend(facts.held.get(twin).map(|held| held.aggregate.clone()));
        }
        let mut named: HashMap<&Dot, &Event> = HashMap::new();
        // Most often there is no such note, and no key has to be built.
        let awaits = facts.notes.values().any(|note| Heads::awaits_in(note));
        for event in &self.events {
            let dot = event.dot.as_ref().filter(|dot| self.doubtful.binary_search(dot).is_ok());
            let twin = dot.and_then(|dot| named.insert(dot, event));
            if let Some(twin) = twin.filter(|twin| twin.id != event.id) {
                concerned.extend([twin.aggregate_id.clone(), event.aggregate_id.clone()]);
            }
            let awaited =
                || awaits && facts.note(&notes::heads(&event.aggregate_id)).is_some_and(Heads::awaits_in);
            if match facts.held.get(&event.id) {
                Some(held) => held.digest != event.digest(),
                None if facts.damaged.contains_key(&event.id) => false,
                None => event.is_restamp() || awaited() || overrides_held(facts, event),
            } {
                concerned.insert(event.aggregate_id.clone());
            }
        }
        Ok(concerned)
    }
}

/// Returns whether an event overrides an event of its aggregate that is held.
fn overrides_held(facts: &Facts, event: &Event) -> bool {
    let held = Resolution::overridden(event).and_then(|id| facts.held.get(&id));
    held.is_some_and(|held| held.aggregate == event.aggregate_id)
}
