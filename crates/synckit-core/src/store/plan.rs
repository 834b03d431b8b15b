//! What passes between a store and the code that plans a commit: what the planner needs, what the store knows, and what
//! the store writes.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::clock::Dot;
use crate::cursor::{Cursor, Mark, Position};
use crate::event::Event;
use crate::ids::{AggregateId, EventId, StoreId};
use crate::store::{LogHead, Note, StoredEvent};

/// What a planner needs to know from the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The ids to look up.
    pub ids: Vec<EventId>,
    /// The dots to look up.
    pub dots: Vec<Dot>,
    /// The keys to read from the notebook.
    pub notes: Vec<String>,
    /// Prefixes: all keys with one of them are read. Only for prefixes that are known to have few keys.
    pub under: Vec<String>,
    /// The positions whose marks to read.
    pub places: Vec<Position>,
    /// The aggregates whose events to read, all of them. Requested only when something went wrong.
    pub histories: Vec<AggregateId>,
}

/// What a store knows of what a planner needs, all from one snapshot. Whatever is not in the store is absent.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The store id, the last position and the mark there.
    pub head: LogHead,
    /// The events that the store holds, by id.
    pub held: HashMap<EventId, Held>,
    /// The positions of events that the store holds, but cannot read because their rows are damaged, by id.
    pub damaged: HashMap<EventId, Position>,
    /// The ids of the events that the dots name, also of those whose rows are damaged.
    pub dots: HashMap<Dot, EventId>,
    /// The values in the notebook, by key.
    pub notes: HashMap<String, Vec<u8>>,
    /// The marks, by position.
    pub places: HashMap<Position, Mark>,
    /// The events of aggregates, in log order, without those whose rows are damaged; one entry for each requested
    /// aggregate.
    pub histories: HashMap<AggregateId, Vec<StoredEvent>>,
}

impl Facts {
    /// Creates facts that state nothing but where the log ends.
    pub fn at(head: LogHead) -> Self {
        Facts {
            head,
            held: HashMap::new(),
            damaged: HashMap::new(),
            dots: HashMap::new(),
            notes: HashMap::new(),
            places: HashMap::new(),
            histories: HashMap::new(),
        }
    }

    /// Returns the value of the note with this key.
    pub fn note(&self, key: &str) -> Option<&[u8]> {
        self.notes.get(key).map(Vec::as_slice)
    }

    /// Returns whether a cursor names a place in this log, or in that of a copy. False unless its position was
    /// requested.
    pub fn holds(&self, cursor: &Cursor) -> bool {
        cursor.mark() == self.places.get(&cursor.position()).copied()
    }

    /// Returns the position of the event with this id, readable or not.
    pub fn position(&self, id: &EventId) -> Option<Position> {
        self.held.get(id).map(|held| held.position).or_else(|| self.damaged.get(id).copied())
    }

    /// Adds the facts that were requested later.
    pub(crate) fn extend(&mut self, more: Facts) {
        self.held.extend(more.held);
        self.damaged.extend(more.damaged);
        self.dots.extend(more.dots);
        self.notes.extend(more.notes);
        self.places.extend(more.places);
        self.histories.extend(more.histories);
    }
}

/// What is known of an event that the store holds: its place, and enough to tell whether another copy is the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its position.
    pub position: Position,
    /// Its aggregate.
    pub aggregate: AggregateId,
    /// The [`Event::digest`].
    pub digest: [u8; 32],
    /// The [`Event::content_digest`].
    pub content: [u8; 32],
}

impl Held {
    /// Returns what is known of this event at this position.
    pub fn of(position: Position, event: &Event) -> Self {
        let aggregate = event.aggregate_id.clone();
        Held { position, aggregate, digest: event.digest(), content: event.content_digest() }
    }
}

/// What a commit writes, all or nothing.
///
/// The JSON form is for a store that keeps plans as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Plan {
    /// Events for the next positions, in this order.
    pub append: Vec<Event>,
    /// The store they came from; `None` when they were recorded or derived here.
    pub source: Option<StoreId>,
    /// Events derived here, for the positions after those of `append`.
    pub derived: Vec<Event>,
    /// The mark beside each appended event.
    pub mark: Mark,
    /// Events that take the place of those at these positions: another stamp, or a good copy of a damaged row. Position,
    /// mark and source stay. All give up their ids and dots before any takes a new one. Rarely used.
    pub replace: Vec<(Position, Event)>,
    /// From this position to the end of the log before this commit, events get the mark of this commit: the log is no
    /// longer the one that cursors there were issued for. Comes only with `replace`.
    pub remark: Option<Position>,
    /// Notes to put, sorted by key, each key once.
    pub put: Vec<Note>,
    /// Keys to delete; none of them is in `put`.
    pub delete: Vec<String>,
}

impl Plan {
    /// Returns how many events it appends.
    pub fn appends(&self) -> usize {
        self.append.len() + self.derived.len()
    }

    /// Iterates over the appended events in order, each with the store it came from.
    pub fn rows(&self) -> impl Iterator<Item = (&Event, Option<StoreId>)> {
        let appended = self.append.iter().map(|event| (event, self.source));
        appended.chain(self.derived.iter().map(|event| (event, None)))
    }
}
