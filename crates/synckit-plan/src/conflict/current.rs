//! What is true of an aggregate now.

use std::sync::Arc;

use synckit_core::{Event, Result};

use super::events::Events;
use super::heads::tops;
use super::{Conflict, shows};

/// What an application shows of an aggregate, if each of its events replaces what was there before.
///
/// An application whose events add up, such as items sold, folds [`History::live`](crate::History::live) instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Current {
    /// The aggregate has no event here, or a filter left out what stands.
    Nothing,
    /// This event: the latest, or what a resolution on top of all others keeps or merges into. A merged event has the
    /// id, clock and time of its resolution.
    One(Arc<Event>),
    /// These events side by side, in canonical order: the sides of a conflict that was settled by keeping all.
    Several(Vec<Arc<Event>>),
    /// The sides of this conflict, which is not settled.
    InConflict(Box<Conflict>),
}

impl Current {
    /// Finds what is true of the aggregate with these events, which may come in any order.
    ///
    /// **Invariant**: a pure function of the set of events. Replicas with the same events get the same result.
    ///
    /// ```
    /// use synckit_core::{Dot, EventId, NewEvent, NodeId, Timestamp, VectorClock};
    /// use synckit_plan::Current;
    ///
    /// # fn main() -> synckit_core::Result<()> {
    /// assert_eq!(Current::of(Vec::new())?, Current::Nothing);
    /// let event = NewEvent::new("NoteEdited", "note-1", "hello")?;
    /// let (dot, mut clock) = (Dot::new(NodeId::new("a")?, 1), VectorClock::new());
    /// clock.observe(&dot)?;
    /// let event = event.stamped(EventId::new("e-1")?, Some(dot), clock, Timestamp::ZERO);
    /// assert!(matches!(Current::of(vec![event])?, Current::One(_)));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Conflict::in_history`].
    pub fn of(events: Vec<Event>) -> Result<Self> {
        let events = Events::of(events)?;
        if let Some(conflict) = Conflict::among(&events)? {
            return Ok(Current::InConflict(Box::new(conflict)));
        }
        let mut shown = match tops(events.iter()).as_slice() {
            [] => return Ok(Current::Nothing),
            [top, ..] => shows(top, &events)?,
        };
        Ok(match shown.len() {
            0 => Current::Nothing,
            1 => Current::One(shown.remove(0)),
            _ => Current::Several(shown),
        })
    }

    /// Returns the events to show: none, one, several, or what each side of a conflict shows.
    pub fn events(&self) -> Vec<&Event> {
        match self {
            Current::Nothing => Vec::new(),
            Current::One(event) => vec![event],
            Current::Several(events) => events.iter().map(|event| &**event).collect(),
            Current::InConflict(conflict) => {
                conflict.branches.iter().flat_map(|branch| &branch.shows).map(|event| &**event).collect()
            }
        }
    }
}
