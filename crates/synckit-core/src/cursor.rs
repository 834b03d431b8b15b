//! A reader's place in someone else's log.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::ids::{EventId, StoreId};
use crate::text::serde_as_text;
use crate::version::Position;

/// A place in a log: store id, position, and the id of the event there.
///
/// Because it names the event, a log that was wiped or restored from an older copy is recognised by one
/// look-up. A cursor at position 0 is the beginning of a known log and names no event. Its text form is
/// opaque to everyone but the crate that made it; today it is `store.position.event id`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    store: StoreId,
    position: Position,
    event: Option<EventId>,
}

impl Cursor {
    /// The beginning of a log.
    pub fn start(store: StoreId) -> Self {
        Cursor { store, position: 0, event: None }
    }

    /// The place of this event in a log. `position` is at least 1.
    pub fn at(store: StoreId, position: Position, event: EventId) -> Self {
        Cursor { store, position, event: Some(event) }
    }

    /// The log this is a place in.
    pub fn store(&self) -> StoreId {
        self.store
    }

    /// The position: everything up to and including it has been read.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The event at the position; `None` at the beginning.
    pub fn event(&self) -> Option<&EventId> {
        self.event.as_ref()
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event = self.event.as_ref().map_or("", EventId::as_str);
        write!(f, "{}.{}.{event}", self.store, self.position)
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad =
            || Error::invalid("this is not a cursor; use one that a synckit endpoint gave out, or none");
        let mut parts = text.splitn(3, '.');
        let mut part = || parts.next().ok_or_else(bad);
        let store = part()?.parse().map_err(|_| bad())?;
        let position = part()?.parse().map_err(|_| bad())?;
        match (position, part()?) {
            (0, "") => Ok(Cursor::start(store)),
            (1.., event) => Ok(Cursor::at(store, position, EventId::new(event).map_err(|_| bad())?)),
            _ => Err(bad()),
        }
    }
}

serde_as_text!(Cursor);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_whatever_the_event_id() {
        let store = StoreId::from_bytes([7; 16]);
        for id in ["x", "a.b.c", "…", "0190a"] {
            let cursor = Cursor::at(store, 42, EventId::new(id).expect("valid"));
            assert_eq!(cursor.to_string().parse::<Cursor>().expect("parses"), cursor);
        }
        let start = Cursor::start(store);
        assert_eq!(start.to_string().parse::<Cursor>().expect("parses"), start);
    }

    #[test]
    fn anything_else_is_refused() {
        let store = StoreId::from_bytes([7; 16]);
        for bad in
            ["", "1", "x.1.e", &format!("{store}.0.e"), &format!("{store}.3."), &format!("{store}.-1.e")]
        {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
    }
}
