//! More calls for users of a store, on top of what its implementor provides.

use std::future::Future;

use synckit_core::{
    AggregateId, Cursor, Edit, Event, EventId, EventStore, Identity, Needs, Note, NoteQuery, Position, Query,
    Result, StoredEvent,
};

use crate::conflict::History;

/// More calls on top of the [`EventStore`] contract. Every store has them. Each fails as the calls it makes do.
///
/// ```
/// use synckit_core::{EventStore, Note, Result};
/// use synckit_plan::StoreExt;
///
/// /// Keeps a word in the notebook of a store, and reads it back.
/// async fn remember(store: &impl EventStore, word: &str) -> Result<Option<Note>> {
///     store.edit(vec![Note::json("app/word".to_owned(), &word)?], Vec::new()).await?;
///     store.note("app/word".to_owned()).await
/// }
/// ```
pub trait StoreExt: EventStore {
    /// Changes notes only.
    fn edit(&self, put: Vec<Note>, delete: Vec<String>) -> impl Future<Output = Result<()>> + Send {
        self.commit(Edit { put, delete })
    }

    /// Reads one note.
    fn note(&self, key: String) -> impl Future<Output = Result<Option<Note>>> + Send {
        async { Ok(self.notes(NoteQuery::Keys(vec![key])).await?.pop()) }
    }

    /// Reads all notes whose key has this prefix.
    fn notes_under(&self, prefix: &str) -> impl Future<Output = Result<Vec<Note>>> + Send {
        async {
            const LIMIT: usize = 1_000;
            let (mut all, mut after) = (Vec::new(), String::new());
            loop {
                let query = NoteQuery::Prefix { prefix: prefix.to_owned(), after, limit: LIMIT };
                let page = self.notes(query).await?;
                let last = page.last().filter(|_| page.len() == LIMIT).map(|last| last.key.clone());
                all.extend(page);
                match last {
                    Some(last) => after = last,
                    None => return Ok(all),
                }
            }
        }
    }

    /// Reads the identity of the replica.
    fn identity(&self) -> impl Future<Output = Result<Identity>> + Send {
        async {
            let note = self.note(Note::NODE.to_owned()).await?;
            Note::read_identity(note.as_ref().map(|note| note.value.as_slice()))
        }
    }

    /// Reads the event with this id, by looking up its position.
    fn find(&self, id: &EventId) -> impl Future<Output = Result<Option<StoredEvent>>> + Send {
        async {
            let facts = self.facts(Needs { ids: vec![id.clone()], ..Needs::default() }).await?;
            let Some(held) = facts.held.get(id) else { return Ok(None) };
            self.stored_at(held.position).await
        }
    }

    /// Reads the event at a position; `None` beyond the end and at 0.
    fn stored_at(&self, position: Position) -> impl Future<Output = Result<Option<StoredEvent>>> + Send {
        async move {
            let Some(before) = position.checked_sub(1) else { return Ok(None) };
            let page = self.read(Query::after(before).at_most(1, usize::MAX)).await?;
            Ok(page.events.into_iter().find(|stored| stored.position == position))
        }
    }

    /// Returns a cursor for a place in this log; `NotFound` beyond the end.
    fn cursor_at(&self, position: Position) -> impl Future<Output = Result<Cursor>> + Send {
        async move {
            let identity = self.identity().await?;
            self.read(Query::after(position).at_most(0, 0)).await?.cursor(&identity.secret)
        }
    }

    /// Returns whether a cursor names a place in this log under its present id.
    fn knows(&self, cursor: &Cursor) -> impl Future<Output = Result<bool>> + Send {
        async {
            let page = self.read(Query::after(cursor.position()).at_most(0, 0)).await?;
            Ok(cursor.store() == page.store && page.follows(cursor))
        }
    }

    /// Returns which of these events are not held, in the order given.
    fn not_held(&self, ids: Vec<EventId>) -> impl Future<Output = Result<Vec<EventId>>> + Send {
        async {
            let facts = self.facts(Needs { ids: ids.clone(), ..Needs::default() }).await?;
            Ok(ids.into_iter().filter(|id| facts.position(id).is_none()).collect())
        }
    }

    /// Reads all events of an aggregate, in log order.
    fn events_of(&self, aggregate: &AggregateId) -> impl Future<Output = Result<Vec<Event>>> + Send {
        async {
            let (mut events, mut after) = (Vec::new(), 0);
            loop {
                let page = self.read(Query::after(after).of_aggregate(aggregate.clone())).await?;
                after = page.scanned_to;
                events.extend(page.events.into_iter().map(|stored| stored.event));
                if !page.more {
                    return Ok(events);
                }
            }
        }
    }

    /// Reads the history of an aggregate in canonical order, each event with its standing. It is computed by the
    /// calling thread; [`History::of`] says what it costs.
    fn history(&self, aggregate: &AggregateId) -> impl Future<Output = Result<History>> + Send {
        async { History::of(self.events_of(aggregate).await?) }
    }
}

impl<S: EventStore> StoreExt for S {}
