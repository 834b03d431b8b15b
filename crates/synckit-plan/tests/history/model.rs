//! The rule that says which events stand, applied to one event at a time. Slow, and simple enough to be read.

use std::collections::{BTreeMap, HashSet};

use synckit_core::{Event, EventId, VectorClock};
use synckit_plan::{Decision, Kept, Resolution, Side, Standing};

/// Returns the events with their standing, in canonical order.
pub(crate) fn history(mut events: Vec<Event>) -> Vec<(Event, Standing)> {
    events.sort_by(Event::canonical_cmp);
    let read = |event: &Event| Resolution::read(event).expect("readable");
    let decided = events.iter().filter(|event| event.is_resolution());
    let decided: Vec<(&Event, Resolution)> = decided.map(|event| (event, read(event))).collect();
    let decisions = Decisions {
        by_id: decided.iter().map(|(event, _)| (&event.id, *event)).collect(),
        in_order: &decided,
    };
    let standings: Vec<Standing> = events.iter().map(|event| decisions.standing_of(event)).collect();
    events.into_iter().zip(standings).collect()
}

struct Decisions<'a> {
    in_order: &'a [(&'a Event, Resolution)],
    by_id: BTreeMap<&'a EventId, &'a Event>,
}

impl Decisions<'_> {
    fn standing_of(&self, event: &Event) -> Standing {
        let only_decides = |(decided, resolution): &(&Event, Resolution)| {
            decided.id == event.id && !matches!(resolution.decision, Decision::Merge(_))
        };
        if event.is_resolution() && self.in_order.iter().any(only_decides) {
            return Standing::Resolution;
        }
        match self.superseded_by(event) {
            Some(by) => Standing::Superseded { by: by.clone() },
            None => Standing::Live,
        }
    }

    /// Returns the resolution that supersedes `event`: of those that keep nothing with the event, the last.
    ///
    /// Searches through what the sides of ever earlier resolutions had seen. The event stands if the search reaches a
    /// place where no resolution covers it. Each place is visited once, however the sides overlap.
    fn superseded_by(&self, event: &Event) -> Option<&EventId> {
        let mut open = vec![(self.in_order.len(), Place::Everything)];
        let mut looked_at = HashSet::new();
        let mut lost_at = None;
        while let Some((before, within)) = open.pop() {
            let decides = |(decided, _): &(&Event, Resolution)| {
                decided.has_seen(event) && self.reaches(&within, decided)
            };
            let at = self.in_order[..before].iter().rposition(decides)?;
            let resolution = &self.in_order[at].1;
            let mut kept = false;
            let mut look = |number: usize, place| {
                if self.reaches(&place, event) {
                    kept = true;
                    if looked_at.insert((at, number)) {
                        open.push((at, place));
                    }
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
            if !kept {
                lost_at = lost_at.max(Some(at));
            }
        }
        lost_at.map(|at| &self.in_order[at].0.id)
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
    Everything,
    Side(&'a Side, &'a VectorClock),
    Clock(&'a VectorClock),
    Resolution(&'a EventId, &'a VectorClock),
}
