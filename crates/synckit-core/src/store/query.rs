//! What is read from a log.

use crate::cursor::{Cursor, Mark, Position, Secret};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::ids::{AggregateId, StoreId};

/// The identity of a log and its last position; 0 when it is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogHead {
    /// The store.
    pub store: StoreId,
    /// The last position.
    pub position: Position,
}

/// Which events to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Events after this position.
    pub after: Position,
    /// At most so many events. With 0 nothing is read: `scanned_to` is `after`.
    pub max_events: usize,
    /// At most so many bytes by [`Event::size`], but always one event.
    pub max_bytes: usize,
    /// Only events of these aggregates; of none of them where there are none.
    pub aggregates: Option<Vec<AggregateId>>,
    /// Without the events that came from this store.
    pub except_source: Option<StoreId>,
}

impl Query {
    /// The events after a position, up to 1,000 or 2 MiB.
    pub fn after(position: Position) -> Self {
        Query {
            after: position,
            max_events: 1_000,
            max_bytes: 2 << 20,
            aggregates: None,
            except_source: None,
        }
    }

    /// Only events of this aggregate.
    pub fn of_aggregate(self, aggregate: AggregateId) -> Self {
        self.of_aggregates([aggregate])
    }

    /// Only events of these aggregates.
    pub fn of_aggregates(mut self, aggregates: impl IntoIterator<Item = AggregateId>) -> Self {
        self.aggregates = Some(aggregates.into_iter().collect());
        self
    }

    /// Without the events that came from this store.
    pub fn except_source(mut self, source: Option<StoreId>) -> Self {
        self.except_source = source;
        self
    }

    /// At most so many events and bytes.
    pub fn at_most(mut self, events: usize, bytes: usize) -> Self {
        self.max_events = events;
        self.max_bytes = bytes;
        self
    }
}

/// Events in log order, and between which places of the log they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The store.
    pub store: StoreId,
    /// The mark at the query's `after`; `None` at 0 and beyond the end.
    pub from: Option<Mark>,
    /// The events.
    pub events: Vec<StoredEvent>,
    /// Everything up to here was looked at, also where the page is empty. At least the position of the last
    /// event of the page; below the query's `after` never.
    pub scanned_to: Position,
    /// The mark at `scanned_to`; `None` at 0 and beyond the end.
    pub upto: Option<Mark>,
    /// Whether the log goes on after `scanned_to`, as far as was known when it was read.
    pub more: bool,
}

impl Page {
    /// A page of the store without events: nothing after this position was looked at.
    pub fn empty(store: StoreId, after: Position, from: Option<Mark>, more: bool) -> Self {
        Page { store, upto: from, from, events: Vec::new(), scanned_to: after, more }
    }

    /// Whether this cursor names the place the page was read after, in this log or in that of a copy.
    pub fn follows(&self, cursor: &Cursor) -> bool {
        cursor.mark() == self.from
    }

    /// The cursor of the place the page ends at, sealed.
    ///
    /// # Errors
    /// `NotFound` beyond the end of the log.
    pub fn cursor(&self, secret: &Secret) -> Result<Cursor> {
        match self.upto {
            Some(mark) => Ok(secret.cursor(self.store, self.scanned_to, mark)),
            None if self.scanned_to == 0 => Ok(Cursor::start(self.store)),
            None => Err(Error::new(ErrorKind::NotFound, "the log is not that long")),
        }
    }
}

/// An event in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its place.
    pub position: Position,
    /// The mark there.
    pub mark: Mark,
    /// The store it came from; `None` when it was recorded or derived here.
    pub source: Option<StoreId>,
    /// The event.
    pub event: Event,
}

/// Which notes to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoteQuery {
    /// These keys.
    Keys(Vec<String>),
    /// The keys that begin so, after this key, at most so many.
    Prefix {
        /// How the keys begin.
        prefix: String,
        /// Only keys after this one; empty for all.
        after: String,
        /// At most so many; fewer only where there are no more.
        limit: usize,
    },
}
