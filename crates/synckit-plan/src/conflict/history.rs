//! Which events of an aggregate stand.
//!
//! Of the resolutions that cover an event, the last in canonical order decides. If the event is the one it keeps, or
//! the kept event had seen it, then its standing is what it was in the past of the kept event; otherwise it is
//! superseded. *Keep all* means its standing in any branch. A *merge* replaces everything that not all branches had
//! seen.
//!
//! **Invariant**: a pure function of the set of events. Replicas with the same events get the same result.

use std::collections::{BTreeMap, HashSet};

use synckit_core::{Event, EventId, Result, VectorClock};

use crate::conflict::resolution::{Decision, Kept, Resolution};
use crate::conflict::side::Side;

/// Whether an event stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It stands.
    Live,
    /// It lost a conflict, which this resolution settled. It stays in the log.
    Superseded {
        /// The resolution.
        by: EventId,
    },
    /// It is a resolution that is not a merge, and only says which other events stand.
    Resolution,
}

/// An event of an aggregate, and whether it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The event.
    pub event: Event,
    /// The standing of the event.
    pub standing: Standing,
}

/// The history of an aggregate in canonical order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History(Vec<Entry>);

impl History {
    /// Computes the history of these events, which may come in any order.
    ///
    /// # Errors
    /// `Corrupt` when a resolution among them cannot be read.
    pub fn of(mut events: Vec<Event>) -> Result<Self> {
        events.retain(|event| !event.is_restamp());
        events.sort_by(Event::canonical_cmp);
        let mut decided = Vec::new();
        for event in events.iter().filter(|event| event.is_resolution()) {
            decided.push((event, Resolution::read(event)?));
        }
        let only_decide =
            decided.iter().filter(|(_, resolution)| !matches!(resolution.decision, Decision::Merge(_)));
        let decisions = Decisions {
            only_decide: only_decide.map(|(event, _)| &event.id).collect(),
            by_id: decided.iter().map(|(event, _)| (&event.id, *event)).collect(),
            in_order: &decided,
        };
        let standings: Vec<Standing> = events.iter().map(|event| decisions.standing_of(event)).collect();
        let entries = events.into_iter().zip(standings);
        Ok(History(entries.map(|(event, standing)| Entry { event, standing }).collect()))
    }

    /// Returns all events with their standing, in canonical order.
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// Iterates over the events that stand, in canonical order. An application folds them into its view. A merge
    /// appears as the resolution that carries it; see [`History::content`].
    pub fn live(&self) -> impl Iterator<Item = &Event> {
        self.0.iter().filter(|entry| entry.standing == Standing::Live).map(|entry| &entry.event)
    }

    /// Returns what an application sees of an event: the event itself, or for a merge the merged event, with the id,
    /// clock and time of the resolution.
    ///
    /// # Errors
    /// `Corrupt` when the event is a resolution that cannot be read.
    pub fn content(event: &Event) -> Result<Event> {
        if event.is_resolution()
            && let Decision::Merge(content) = Resolution::read(event)?.decision
        {
            return Ok(content.stamped(event.id.clone(), None, event.clock.clone(), event.time));
        }
        Ok(event.clone())
    }
}

struct Decisions<'a> {
    in_order: &'a [(&'a Event, Resolution)],
    by_id: BTreeMap<&'a EventId, &'a Event>,
    /// The resolutions that are not merges.
    only_decide: HashSet<&'a EventId>,
}

impl Decisions<'_> {
    fn standing_of(&self, event: &Event) -> Standing {
        if self.only_decide.contains(&event.id) {
            return Standing::Resolution;
        }
        match self.superseded_by(event) {
            Some(by) => Standing::Superseded { by: by.clone() },
            None => Standing::Live,
        }
    }

    /// Returns the resolution that supersedes `event`.
    ///
    /// Searches through what the sides of ever earlier resolutions had seen. The event stands if the search reaches a
    /// place where no resolution covers it. Each place is visited once, however the sides overlap.
    fn superseded_by(&self, event: &Event) -> Option<&EventId> {
        let mut open = vec![(self.in_order.len(), Place::Everything)];
        let mut looked_at = HashSet::new();
        let mut loser = None;
        while let Some((before, within)) = open.pop() {
            let decides = |(decided, _): &(&Event, Resolution)| {
                decided.has_seen(event) && self.reaches(&within, decided)
            };
            let at = self.in_order[..before].iter().rposition(decides)?;
            let (decided, resolution) = &self.in_order[at];
            loser = Some(&decided.id);
            let mut look = |number: usize, place| {
                if self.reaches(&place, event) && looked_at.insert((at, number)) {
                    open.push((at, place));
                }
            };
            let Resolution { base, sides, decision, .. } = resolution;
            match decision {
                Decision::Keep(Kept::Side(dot)) => {
                    resolution.side(dot).into_iter().for_each(|side| look(0, Place::Side(side, base)));
                }
                Decision::Keep(Kept::Seen(_, clock)) => look(0, Place::Clock(clock)),
                Decision::Keep(Kept::Resolution(id, clock)) => look(0, Place::Resolution(id, clock)),
                Decision::KeepAll => {
                    sides.iter().enumerate().for_each(|(number, side)| look(number, Place::Side(side, base)));
                }
                Decision::Merge(_) => look(0, Place::Clock(base)),
            }
        }
        loser
    }

    /// Returns whether an event is within a place.
    fn reaches(&self, place: &Place<'_>, event: &Event) -> bool {
        match (place, &event.dot) {
            (Place::Everything, _) => true,
            (Place::Side(side, base), Some(dot)) => side.has_seen(base, dot),
            (Place::Side(side, base), None) => side.covers(base, &event.clock),
            (Place::Clock(clock) | Place::Resolution(_, clock), Some(dot)) => clock.has_seen(dot),
            (Place::Resolution(id, _), None) if **id == event.id => true,
            (Place::Resolution(id, clock), None) if **clock == event.clock => {
                self.by_id.get(id).is_none_or(|named| named.has_seen(event))
            }
            (Place::Clock(clock) | Place::Resolution(_, clock), None) => event.clock.is_covered_by(clock),
        }
    }
}

/// A part of the history: an event and what it had seen, or what several had seen.
enum Place<'a> {
    /// The whole history.
    Everything,
    /// What this side had seen, above this base.
    Side(&'a Side, &'a VectorClock),
    /// What this clock has seen.
    Clock(&'a VectorClock),
    /// An earlier resolution, with its clock.
    Resolution(&'a EventId, &'a VectorClock),
}
