//! The notes, as the log tells them.
//!
//! The events of one aggregate are the edits of one note. An edit is made on top of those that its author had seen. The
//! text of a note is the edit on top. Edits that have not seen each other are in conflict, and all are on top.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use synckit::conflict::{Answer, Conflict, Ruling};
use synckit::store::Query;
use synckit::{
    AggregateId, Environment, Error, ErrorKind, Event, EventId, EventStore, Expect, History, ManualReview,
    NewEvent, NodeId, Position, Replica, Result, SystemEnvironment,
};
use synckit_sqlite::SqliteStore;

const EDITED: &str = "NoteEdited";

/// The data of an event: the whole text of the note from now on.
#[derive(Debug, Serialize, Deserialize)]
struct NoteEdited {
    text: String,
}

/// All notes of one file. A note keeps its number in this file: they are counted as they arrive.
#[derive(Debug)]
pub(crate) struct Notes {
    replica: Replica<SqliteStore>,
    name: NodeId,
    notes: Vec<Note>,
    numbers: HashMap<AggregateId, usize>,
    read_to: Position,
    /// What was written here and is still to be read.
    written: HashSet<EventId>,
}

/// A note as it was last read.
#[derive(Debug)]
pub(crate) struct Note {
    id: AggregateId,
    /// The texts on top: one, or several in conflict.
    pub(crate) sides: Vec<Side>,
    /// The open conflict. Kept as the person saw it, so that they decide about nothing else.
    conflict: Option<Conflict>,
    heads: Vec<EventId>,
}

/// A text of a note.
#[derive(Debug)]
pub(crate) struct Side {
    event: EventId,
    pub(crate) author: String,
    pub(crate) text: String,
}

/// What others did to a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Edited,
    Settled,
}

impl Notes {
    /// Opens the file, and reads all notes.
    pub(crate) async fn open(db: PathBuf, name: NodeId) -> Result<Notes> {
        let store = SqliteStore::open_as(db, name.clone()).await?;
        // Nobody but a person knows which of two texts is right.
        let replica = Replica::builder(store).with_resolver(ManualReview).build();
        let (all, numbers, written) = Default::default();
        let mut notes = Notes { replica, name, notes: all, numbers, read_to: 0, written };
        notes.refresh().await?;
        Ok(notes)
    }

    pub(crate) fn replica(&self) -> &Replica<SqliteStore> {
        &self.replica
    }

    /// Iterates over the notes with their numbers.
    pub(crate) fn all(&self) -> impl Iterator<Item = (usize, &Note)> {
        (1..).zip(&self.notes)
    }

    /// Returns the note with this number.
    pub(crate) fn note(&self, number: usize) -> Result<&Note> {
        let note = number.checked_sub(1).and_then(|index| self.notes.get(index));
        note.ok_or_else(|| {
            let message = format!("there is no note {number}; type `list` to see the numbers");
            Error::new(ErrorKind::NotFound, message)
        })
    }

    /// Returns the number of the note with this id, once it was read.
    pub(crate) fn number(&self, id: &AggregateId) -> Option<usize> {
        self.numbers.get(id).copied()
    }

    /// Waits until the log has grown beyond what was read.
    pub(crate) async fn moved(&self) -> Result<()> {
        self.replica.store().moved(self.read_to).await.map(drop)
    }

    /// Reads what the log has got since the last time. Returns the numbers of the notes that were changed elsewhere: by
    /// others, or by another program with this file.
    pub(crate) async fn refresh(&mut self) -> Result<BTreeMap<usize, Change>> {
        let (mut touched, mut by_others) = (BTreeSet::new(), BTreeSet::new());
        loop {
            let page = self.replica.store().read(Query::after(self.read_to)).await?;
            for stored in page.events {
                let id = stored.event.aggregate_id;
                if !self.numbers.contains_key(&id) {
                    // Other programs may keep other things at the same hub.
                    if stored.event.event_type.as_str() != EDITED {
                        continue;
                    }
                    self.notes.push(Note::unread(id.clone()));
                    self.numbers.insert(id.clone(), self.notes.len());
                }
                let number = self.numbers[&id];
                touched.insert(number);
                if !self.written.remove(&stored.event.id) {
                    by_others.insert(number);
                }
            }
            self.read_to = page.scanned_to;
            if !page.more {
                break;
            }
        }
        let mut changes = BTreeMap::new();
        for number in touched {
            let note = &mut self.notes[number - 1];
            let was_open = note.in_conflict();
            *note = Note::read(&self.replica, note.id.clone()).await?;
            if by_others.contains(&number) {
                let is_settled = was_open && !note.in_conflict();
                changes.insert(number, if is_settled { Change::Settled } else { Change::Edited });
            }
        }
        Ok(changes)
    }

    /// Writes a new note, and returns its id.
    pub(crate) async fn add(&mut self, text: String) -> Result<AggregateId> {
        // Two people may add notes at the same time, so each note has an id that nobody else draws.
        let mut random = [0; 10];
        SystemEnvironment.fill_random(&mut random)?;
        let unique = EventId::uuid_v7(SystemEnvironment.now(), &random);
        let id = AggregateId::new(format!("note-{unique}"))?;
        let event = NewEvent::new(EDITED, &id, &NoteEdited { text })?;
        let recorded = self.replica.record([event]).await?;
        self.wrote(recorded.events);
        Ok(id)
    }

    /// Gives a note another text. It goes on top of all texts that were read, which settles a conflict.
    pub(crate) async fn edit(&mut self, number: usize, text: String) -> Result<AggregateId> {
        let note = self.note(number)?;
        let id = note.id.clone();
        let event = NewEvent::new(EDITED, &note.id, &NoteEdited { text })?;
        // A text that has arrived since then was not seen, and must not be overwritten.
        let unchanged = Expect::Heads(note.id.clone(), note.heads.clone());
        match self.replica.record_if([event], vec![unchanged]).await {
            Err(error) if error.kind() == ErrorKind::Conflict => {
                let message = format!("note {number} has just changed; look at it and try again");
                Err(Error::new(ErrorKind::Conflict, message))
            }
            recorded => {
                self.wrote(recorded?.events);
                Ok(id)
            }
        }
    }

    /// Settles the conflict of a note: of its texts, this one stays.
    pub(crate) async fn keep(&mut self, number: usize, which: &str) -> Result<AggregateId> {
        let note = self.note(number)?;
        let Some(conflict) = &note.conflict else {
            return Err(Error::invalid(format!(
                "note {number} is not in conflict; type `edit {number} TEXT` to change it"
            )));
        };
        let side = note.lettered().find(|(letter, _)| letter == which).map(|(_, side)| &side.event);
        let shows = |event: &EventId| {
            let mut branches = conflict.branches.iter();
            branches.find(|branch| branch.shows.iter().any(|shown| shown.id == *event))
        };
        let Some(branch) = side.and_then(shows) else {
            let letters: Vec<String> = note.lettered().map(|(letter, _)| letter).collect();
            let message =
                format!("note {number} has no text `{which}`; choose one of {}", letters.join(", "));
            return Err(Error::invalid(message));
        };
        let ruling = Ruling::from(Answer::Keep(branch.stands_for.id.clone()));
        let id = note.id.clone();
        let resolution = self.replica.settle(conflict, ruling, self.name.as_str()).await?;
        self.wrote([resolution]);
        Ok(id)
    }

    fn wrote(&mut self, events: impl IntoIterator<Item = Event>) {
        self.written.extend(events.into_iter().map(|event| event.id));
    }
}

impl Note {
    fn unread(id: AggregateId) -> Note {
        Note { id, sides: Vec::new(), conflict: None, heads: Vec::new() }
    }

    async fn read(replica: &Replica<SqliteStore>, id: AggregateId) -> Result<Note> {
        // The heads first: if something arrives meanwhile, an edit is refused, not made on top of what was not seen.
        let heads = replica.heads(&id).await?;
        let conflict = replica.conflict(&id).await?;
        let history = replica.history(&id).await?;
        let mut on_top: Vec<&Event> = Vec::new();
        // In canonical order an event comes after all that it has seen.
        let edits: Vec<Event> = history.live().map(History::content).collect::<Result<_>>()?;
        for edit in edits.iter().rev().filter(|edit| edit.event_type.as_str() == EDITED) {
            if !on_top.iter().any(|top| top.has_seen(edit)) {
                on_top.push(edit);
            }
        }
        let sides = on_top.into_iter().rev().map(Side::of).collect();
        Ok(Note { id, sides, conflict, heads })
    }

    pub(crate) fn in_conflict(&self) -> bool {
        self.conflict.is_some()
    }

    /// Iterates over the texts with the letters by which a person chooses one: `a` to `z`, then `aa`, `bb`.
    pub(crate) fn lettered(&self) -> impl Iterator<Item = (String, &Side)> {
        let letter = |index: usize| {
            let letter = ('a'..='z').nth(index % 26).unwrap_or_default();
            letter.to_string().repeat(index / 26 + 1)
        };
        self.sides.iter().enumerate().map(move |(index, side)| (letter(index), side))
    }
}

impl Side {
    fn of(edit: &Event) -> Side {
        let text = match edit.data_as::<NoteEdited>() {
            Ok(edited) => edited.text,
            Err(_) => "(not a text that this program can read)".to_owned(),
        };
        // A copied file goes on under a name with a suffix; people know the part before.
        let author = edit.author().map_or("all", NodeId::chosen).to_owned();
        Side { event: edit.id.clone(), author, text }
    }
}
