//! What passes between a store and the code that plans a commit: what it needs to know, what the store knows, and what
//! the store is to write.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::clock::Dot;
use crate::cursor::{Cursor, Mark, Position};
use crate::event::Event;
use crate::ids::{AggregateId, EventId, StoreId};
use crate::store::note::Note;
use crate::store::query::{LogHead, StoredEvent};

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
    /// The marks at these positions.
    pub places: Vec<Position>,
    /// All events of these aggregates. Asked for only where something went wrong.
    pub histories: Vec<AggregateId>,
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
    /// The marks.
    pub places: HashMap<Position, Mark>,
    /// The events of aggregates, in log order; an entry for each that was asked for.
    pub histories: HashMap<AggregateId, Vec<StoredEvent>>,
}

impl Facts {
    /// Nothing known of a log but that it ends here.
    pub fn at(head: LogHead) -> Self {
        Facts {
            head,
            held: HashMap::new(),
            dots: HashMap::new(),
            notes: HashMap::new(),
            places: HashMap::new(),
            histories: HashMap::new(),
        }
    }

    /// The note under this key.
    pub fn note(&self, key: &str) -> Option<&[u8]> {
        self.notes.get(key).map(Vec::as_slice)
    }

    /// Whether a cursor names a place in this log, or in that of a copy, if its position was asked for.
    pub fn holds(&self, cursor: &Cursor) -> bool {
        cursor.mark() == self.places.get(&cursor.position()).copied()
    }

    /// Takes in what was asked for later.
    pub(crate) fn extend(&mut self, more: Facts) {
        self.held.extend(more.held);
        self.dots.extend(more.dots);
        self.notes.extend(more.notes);
        self.places.extend(more.places);
        self.histories.extend(more.histories);
    }
}

/// What is known of an event that is held: its place, and enough to tell whether another copy is the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its position.
    pub position: Position,
    /// Its aggregate.
    pub aggregate: AggregateId,
    /// [`Event::digest`].
    pub digest: [u8; 32],
    /// [`Event::content_digest`].
    pub content: [u8; 32],
}

impl Held {
    /// What is known of this event at its place.
    pub fn of(position: Position, event: &Event) -> Self {
        let aggregate = event.aggregate_id.clone();
        Held { position, aggregate, digest: event.digest(), content: event.content_digest() }
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
    /// Events derived here, for the positions after those.
    pub derived: Vec<Event>,
    /// The mark beside each of them.
    pub mark: Mark,
    /// Events that keep position, mark and source and get another stamp: id, dot, clock, time and data are replaced. All
    /// give up their ids and dots before any takes a new one. Only where dots turned out to be taken.
    pub restamp: Vec<(Position, Event)>,
    /// Notes to put, sorted by key, each key once.
    pub put: Vec<Note>,
    /// Notes to delete; none of them is put as well.
    pub delete: Vec<String>,
}

impl Plan {
    /// How many events it appends.
    pub fn appends(&self) -> usize {
        self.append.len() + self.derived.len()
    }

    /// The events it appends, in order, with where each came from.
    pub fn rows(&self) -> impl Iterator<Item = (&Event, Option<StoreId>)> {
        let appended = self.append.iter().map(|event| (event, self.source));
        appended.chain(self.derived.iter().map(|event| (event, None)))
    }
}
