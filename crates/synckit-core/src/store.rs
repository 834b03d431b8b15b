//! The contract of a store: one durable log and a notebook, committed together.
//!
//! A store knows nothing of causality. It fetches and it persists; the deciding is done by
//! [`Planning`](crate::plan::Planning), pure code that runs *inside the store's transaction*.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Dot;
use crate::cursor::Cursor;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::ids::{AggregateId, EventId, StoreId};
use crate::notes::Note;
use crate::plan::{Intent, Outcome};
use crate::version::Position;

/// One durable, append-only log and a notebook of keys and values.
///
/// # What an implementor must do
///
/// - [`commit`](EventStore::commit) is one transaction: it MUST read its facts, write its plan and be durable
///   as a whole before it answers, and MUST leave nothing when it fails. Commits of one log MUST be
///   serialised: no other commit lies between the facts of one and its plan.
/// - Positions MUST be 1, 2, 3, … in commit order, without gaps, and never move.
/// - A reader that sees a position MUST see every position before it.
/// - Dropping any future at any await MUST leave the store as before or as after the whole call.
/// - Data and metadata MUST come back byte for byte.
///
/// The conformance suite of `synckit-testkit` checks all of it. `docs/writing-an-adapter.md` builds a whole store, step
/// by step, and `synckit-memory` is the shortest one to read.
pub trait EventStore: Send + Sync + 'static {
    /// The only write: fetches what the intent needs to know, plans, persists, and answers when durable.
    ///
    /// # Errors
    /// Those of the plan (`Invalid`, `TooLarge`, `Conflict`) and of the engine. Nothing was written then,
    /// except that after `Unavailable`, `Timeout` and `Internal` the write is either whole or absent.
    fn commit(&self, intent: Intent) -> impl Future<Output = Result<Outcome>> + Send;

    /// Reads events in log order.
    ///
    /// # Errors
    /// Those of the engine, `Corrupt` for a row that cannot be read.
    fn read(&self, query: Query) -> impl Future<Output = Result<Page>> + Send;

    /// Reads the notebook. Keys that are not there are left out; the answer is sorted by key.
    ///
    /// # Errors
    /// Those of the engine.
    fn notes(&self, query: NoteQuery) -> impl Future<Output = Result<Vec<Note>>> + Send;

    /// The store id and the last position.
    ///
    /// # Errors
    /// Those of the engine.
    fn head(&self) -> impl Future<Output = Result<LogHead>> + Send;

    /// Closes the store; every later call answers `Closed`. Closing twice is closing once.
    ///
    /// # Errors
    /// Those of the engine.
    fn close(&self) -> impl Future<Output = Result<()>> + Send;
}

/// A store that can say when its log grows. A hint: whoever is told reads the log to know.
pub trait Watch: Send + Sync + 'static {
    /// Waits until the last position is beyond this one, and returns it. Can be dropped at any time.
    ///
    /// # Errors
    /// `Closed` when the store is closed meanwhile, and those of the engine.
    fn moved(&self, after: Position) -> impl Future<Output = Result<Position>> + Send;
}

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
    /// The event at the query's `after`; `None` at 0 and beyond the end.
    pub from: Option<EventId>,
    /// The events.
    pub events: Vec<StoredEvent>,
    /// Everything up to here was looked at, also where the page is empty. At least the position of the last
    /// event of the page; below the query's `after` never.
    pub scanned_to: Position,
    /// The event at `scanned_to`; `None` at 0 and beyond the end.
    pub upto: Option<EventId>,
    /// Whether the log goes on after `scanned_to`, as far as was known when it was read.
    pub more: bool,
}

impl Page {
    /// A page of the store without events: nothing after this position was looked at.
    pub fn empty(store: StoreId, after: Position, from: Option<EventId>, more: bool) -> Self {
        Page { store, upto: from.clone(), from, events: Vec::new(), scanned_to: after, more }
    }

    /// Whether this cursor is the place the page was read after.
    pub fn follows(&self, cursor: &Cursor) -> bool {
        cursor.store() == self.store && cursor.event() == self.from.as_ref()
    }

    /// The cursor of the place the page ends at.
    ///
    /// # Errors
    /// `NotFound` beyond the end of the log.
    pub fn cursor(&self) -> Result<Cursor> {
        match &self.upto {
            Some(event) => Ok(Cursor::at(self.store, self.scanned_to, event.clone())),
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

/// What a plan needs to know of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Which of these events are held.
    pub ids: Vec<EventId>,
    /// Which event, if any, each of these dots names.
    pub dots: Vec<Dot>,
    /// What stands under these keys of the notebook.
    pub notes: Vec<String>,
    /// What stands under all keys that begin so; only where they are known to be few.
    pub under: Vec<String>,
}

/// What a store knows of what a plan needs, all of one moment. What is absent is not there.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The store id and the last position.
    pub head: LogHead,
    /// The events that are held.
    pub held: HashMap<EventId, Held>,
    /// The events that the dots name.
    pub dots: HashMap<Dot, EventId>,
    /// The notes.
    pub notes: HashMap<String, Vec<u8>>,
}

impl Facts {
    /// Nothing known of a log but that it ends here.
    pub fn at(head: LogHead) -> Self {
        Facts { head, held: HashMap::new(), dots: HashMap::new(), notes: HashMap::new() }
    }

    /// The note under this key.
    pub fn note(&self, key: &str) -> Option<&[u8]> {
        self.notes.get(key).map(Vec::as_slice)
    }

    /// Whether a cursor names a place in this log, if its event was asked for.
    pub fn knows(&self, cursor: &Cursor) -> bool {
        let held = cursor.event().map(|event| self.held.get(event).map(|held| held.position));
        cursor.store() == self.head.store && held.is_none_or(|held| held == Some(cursor.position()))
    }
}

/// What is known of an event that is held: its place, and enough to tell whether another copy is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its position.
    pub position: Position,
    /// [`Event::digest`].
    pub digest: [u8; 32],
    /// [`Event::content_digest`].
    pub content: [u8; 32],
}

impl Held {
    /// What is known of this event at its place.
    pub fn of(position: Position, event: &Event) -> Self {
        Held { position, digest: event.digest(), content: event.content_digest() }
    }
}

/// What a store shall write, all or nothing.
///
/// Its JSON form is for a store that keeps plans as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Plan {
    /// Events for the next positions, in this order.
    pub append: Vec<Event>,
    /// The store they came from; `None` when they were recorded or derived here.
    pub source: Option<StoreId>,
    /// Events that keep their position and get another stamp: dot, clock, time and data are replaced, and the id of
    /// a resolution, which follows from these. Only when a replica that was restored from an older copy authors
    /// again what it had recorded since.
    pub restamp: Vec<(Position, Event)>,
    /// Notes to put, sorted by key, each key once.
    pub put: Vec<Note>,
    /// Notes to delete; none of them is put as well.
    pub delete: Vec<String>,
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// Any [`EventStore`], chosen at run time. Clones share the store.
#[derive(Clone)]
pub struct BoxStore(Arc<dyn DynStore>);

impl BoxStore {
    /// Boxes a store.
    pub fn new(store: impl EventStore) -> Self {
        BoxStore(Arc::new(store))
    }
}

impl fmt::Debug for BoxStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoxStore")
    }
}

trait DynStore: Send + Sync {
    fn commit(&self, intent: Intent) -> Boxed<'_, Outcome>;
    fn read(&self, query: Query) -> Boxed<'_, Page>;
    fn notes(&self, query: NoteQuery) -> Boxed<'_, Vec<Note>>;
    fn head(&self) -> Boxed<'_, LogHead>;
    fn close(&self) -> Boxed<'_, ()>;
}

impl<S: EventStore> DynStore for S {
    fn commit(&self, intent: Intent) -> Boxed<'_, Outcome> {
        Box::pin(EventStore::commit(self, intent))
    }

    fn read(&self, query: Query) -> Boxed<'_, Page> {
        Box::pin(EventStore::read(self, query))
    }

    fn notes(&self, query: NoteQuery) -> Boxed<'_, Vec<Note>> {
        Box::pin(EventStore::notes(self, query))
    }

    fn head(&self) -> Boxed<'_, LogHead> {
        Box::pin(EventStore::head(self))
    }

    fn close(&self) -> Boxed<'_, ()> {
        Box::pin(EventStore::close(self))
    }
}

impl EventStore for BoxStore {
    async fn commit(&self, intent: Intent) -> Result<Outcome> {
        self.0.commit(intent).await
    }

    async fn read(&self, query: Query) -> Result<Page> {
        self.0.read(query).await
    }

    async fn notes(&self, query: NoteQuery) -> Result<Vec<Note>> {
        self.0.notes(query).await
    }

    async fn head(&self) -> Result<LogHead> {
        self.0.head().await
    }

    async fn close(&self) -> Result<()> {
        self.0.close().await
    }
}
