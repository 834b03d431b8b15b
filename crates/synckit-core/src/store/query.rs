//! Queries of a log, and their results.

use crate::cursor::{Cursor, Mark, Position, Secret};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::ids::{AggregateId, StoreId};
use crate::store::Plan;

/// The id of a log and where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogHead {
    /// The store id.
    pub store: StoreId,
    /// The last position; 0 when the log is empty.
    pub position: Position,
    /// The mark there. `None` when the log is empty, or the mark cannot be read.
    pub mark: Option<Mark>,
}

impl LogHead {
    /// Returns where the log ends once a plan is written. The store id stays.
    pub fn after(self, plan: &Plan) -> Self {
        let is_marked = plan.appends() > 0 || plan.remark.is_some_and(|from| from <= self.position);
        let mark = if is_marked { Some(plan.mark) } else { self.mark };
        LogHead { position: self.position + plan.appends() as Position, mark, ..self }
    }
}

/// A query for events of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Only events after this position.
    pub after: Position,
    /// At most this number of events. With 0, nothing is read: `scanned_to` is `after`.
    pub max_events: usize,
    /// At most this number of bytes by [`Event::size`], but always at least one event.
    pub max_bytes: usize,
    /// Only events of these aggregates. `None` reads all aggregates; an empty list reads none.
    pub aggregates: Option<Vec<AggregateId>>,
    /// Leaves out the events that came from this store.
    pub except_source: Option<StoreId>,
}

impl Query {
    /// Creates a query for the events after a position, at most 1,000 or 2 MiB.
    pub fn after(position: Position) -> Self {
        Query {
            after: position,
            max_events: 1_000,
            max_bytes: 2 << 20,
            aggregates: None,
            except_source: None,
        }
    }

    /// Limits the query to events of this aggregate.
    pub fn of_aggregate(self, aggregate: AggregateId) -> Self {
        self.of_aggregates([aggregate])
    }

    /// Limits the query to events of these aggregates.
    pub fn of_aggregates(mut self, aggregates: impl IntoIterator<Item = AggregateId>) -> Self {
        self.aggregates = Some(aggregates.into_iter().collect());
        self
    }

    /// Leaves out the events that came from this store.
    pub fn except_source(mut self, source: Option<StoreId>) -> Self {
        self.except_source = source;
        self
    }

    /// Limits the number of events and their total bytes.
    pub fn at_most(mut self, events: usize, bytes: usize) -> Self {
        self.max_events = events;
        self.max_bytes = bytes;
        self
    }
}

/// Events in log order, and the range of the log that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The store id.
    pub store: StoreId,
    /// The mark at the query's `after`; `None` at 0 and beyond the end.
    pub from: Option<Mark>,
    /// The events.
    pub events: Vec<StoredEvent>,
    /// The position up to which the log was scanned, even if the page is empty. At least the position of the last event
    /// of the page, and never below the query's `after`.
    pub scanned_to: Position,
    /// The mark at `scanned_to`; `None` at 0 and beyond the end.
    pub upto: Option<Mark>,
    /// Whether the log continues after `scanned_to`, as known when it was read.
    pub more: bool,
}

impl Page {
    /// Creates a page without events: nothing after this position was scanned.
    pub fn empty(store: StoreId, after: Position, from: Option<Mark>, more: bool) -> Self {
        Page { store, upto: from, from, events: Vec::new(), scanned_to: after, more }
    }

    /// Returns whether this cursor names the place the page was read after, in this log or in that of a copy.
    pub fn follows(&self, cursor: &Cursor) -> bool {
        cursor.mark() == self.from
    }

    /// Returns a sealed cursor at the end of the page.
    ///
    /// # Errors
    /// `NotFound` when that is beyond the end of the log.
    pub fn cursor(&self, secret: &Secret) -> Result<Cursor> {
        match self.upto {
            Some(mark) => Ok(secret.cursor(self.store, self.scanned_to, mark)),
            None if self.scanned_to == 0 => Ok(Cursor::start(self.store)),
            None => Err(Error::new(ErrorKind::NotFound, "the log is not that long")),
        }
    }
}

/// An event and its place in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// The position.
    pub position: Position,
    /// The mark at the position.
    pub mark: Mark,
    /// The store it came from; `None` when it was recorded or derived here.
    pub source: Option<StoreId>,
    /// The event.
    pub event: Event,
}

/// A query for notes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoteQuery {
    /// These keys.
    Keys(Vec<String>),
    /// At most `limit` keys with this prefix, after this key.
    Prefix {
        /// The prefix of the keys.
        prefix: String,
        /// Only keys after this one; empty for all keys.
        after: String,
        /// The maximum number of notes; fewer are returned only when there are no more.
        limit: usize,
    },
}
