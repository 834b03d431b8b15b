//! Parts of a history: what an event, or several, had seen.

use synckit_core::{Event, EventId, NodeId, VectorClock};

use crate::conflict::side::Side;

/// A part of the history: an event and what it had seen, or what several had seen.
///
/// Of plain events it has those up to a counter of each author. If it has a resolution, it has all those whose clocks
/// that one covers.
pub(super) enum Place<'a> {
    /// The whole history.
    Everything,
    /// What this event had seen, which has this index in canonical order.
    Past(&'a Event, usize),
    /// This side above this base, and what it had seen.
    Side(&'a Side, &'a VectorClock),
    /// What this clock has seen.
    Clock(&'a VectorClock),
    /// An earlier resolution and what its clock has seen, and the index of that resolution with the event, if it is
    /// held.
    Resolution(&'a EventId, &'a VectorClock, Option<(usize, &'a Event)>),
}

impl Place<'_> {
    /// Returns the counter up to which it has the events of a node.
    pub(super) fn counter(&self, node: &NodeId) -> u64 {
        match self {
            Place::Everything => u64::MAX,
            Place::Past(event, _) => event.clock.counter(node),
            Place::Side(side, base) => side.counter(base, node),
            Place::Clock(clock) | Place::Resolution(_, clock, _) => clock.counter(node),
        }
    }

    /// Returns the index in canonical order from which on it has no plain events.
    pub(super) fn before(&self) -> usize {
        match self {
            Place::Past(_, index) => *index,
            _ => usize::MAX,
        }
    }

    /// Returns whether it has this resolution.
    pub(super) fn has_resolution(&self, event: &Event) -> bool {
        match self {
            Place::Everything => true,
            Place::Past(past, _) => past.has_seen(event),
            Place::Side(side, base) => side.covers(base, &event.clock),
            Place::Clock(clock) => event.clock.is_covered_by(clock),
            Place::Resolution(id, clock, named) if **clock == event.clock => {
                **id == event.id || named.is_none_or(|(_, named)| named.has_seen(event))
            }
            Place::Resolution(_, clock, _) => event.clock.is_covered_by(clock),
        }
    }

    /// Returns the index of the resolution that it has beside what its clock covers: the one it names, if that one has
    /// another clock.
    pub(super) fn beyond(&self) -> Option<usize> {
        let Place::Resolution(_, clock, Some((index, named))) = self else { return None };
        (!named.clock.is_covered_by(clock)).then_some(*index)
    }
}
