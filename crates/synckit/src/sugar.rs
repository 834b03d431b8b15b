//! What users of a store want, on top of what its implementor must give.

use std::future::Future;

use synckit_core::notes::{self, Identity, Note};
use synckit_core::plan::{
    Edit, Intent, Outcome, Receive, Received, Record, Recorded, Renew, Renumber, Renumbered,
};
use synckit_core::{
    AggregateId, Cursor, Error, ErrorKind, Event, EventId, EventStore, Facts, History, Needs, NoteQuery,
    Position, Query, Result, StoredEvent,
};

/// Typed calls on top of the [`EventStore`] contract. Every store has them.
pub trait StoreExt: EventStore {
    /// Commits a [`Record`].
    ///
    /// # Errors
    /// As [`EventStore::commit`].
    fn commit_record(&self, record: Record) -> impl Future<Output = Result<Recorded>> + Send {
        async {
            match self.commit(Intent::Record(record)).await? {
                Outcome::Recorded(recorded) => Ok(recorded),
                other => Err(wrong_outcome(&other)),
            }
        }
    }

    /// Commits a [`Receive`].
    ///
    /// # Errors
    /// As [`EventStore::commit`].
    fn commit_receive(&self, receive: Receive) -> impl Future<Output = Result<Received>> + Send {
        async {
            match self.commit(Intent::Receive(receive)).await? {
                Outcome::Received(received) => Ok(received),
                other => Err(wrong_outcome(&other)),
            }
        }
    }

    /// Commits a [`Renew`]; answers who the replica is afterwards.
    ///
    /// # Errors
    /// As [`EventStore::commit`].
    fn commit_renew(&self, renew: Renew) -> impl Future<Output = Result<Identity>> + Send {
        async {
            match self.commit(Intent::Renew(renew)).await? {
                Outcome::Renewed(identity) => Ok(identity),
                other => Err(wrong_outcome(&other)),
            }
        }
    }

    /// Commits a [`Renumber`].
    ///
    /// # Errors
    /// As [`EventStore::commit`].
    fn commit_renumber(&self, renumber: Renumber) -> impl Future<Output = Result<Option<Renumbered>>> + Send {
        async {
            match self.commit(Intent::Renumber(renumber)).await? {
                Outcome::Renumbered(renumbered) => Ok(renumbered),
                other => Err(wrong_outcome(&other)),
            }
        }
    }

    /// Changes notes only.
    ///
    /// # Errors
    /// As [`EventStore::commit`].
    fn edit(&self, put: Vec<Note>, delete: Vec<String>) -> impl Future<Output = Result<()>> + Send {
        async {
            match self.commit(Intent::Edit(Edit { put, delete })).await? {
                Outcome::Edited => Ok(()),
                other => Err(wrong_outcome(&other)),
            }
        }
    }

    /// Asks for facts and changes nothing.
    ///
    /// # Errors
    /// As [`EventStore::commit`].
    fn ask(&self, needs: Needs) -> impl Future<Output = Result<Facts>> + Send {
        async {
            match self.commit(Intent::Ask(needs)).await? {
                Outcome::Facts(facts) => Ok(facts),
                other => Err(wrong_outcome(&other)),
            }
        }
    }

    /// Reads one note.
    ///
    /// # Errors
    /// As [`EventStore::notes`].
    fn note(&self, key: String) -> impl Future<Output = Result<Option<Note>>> + Send {
        async { Ok(self.notes(NoteQuery::Keys(vec![key])).await?.pop()) }
    }

    /// Reads all notes whose keys begin so.
    ///
    /// # Errors
    /// As [`EventStore::notes`].
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

    /// Who the replica is.
    ///
    /// # Errors
    /// As [`EventStore::notes`].
    fn identity(&self) -> impl Future<Output = Result<Identity>> + Send {
        async {
            let note = self.note(notes::NODE.to_owned()).await?;
            note.ok_or_else(|| Error::corrupt("the store does not say which node it belongs to"))?.parse()
        }
    }

    /// The event with this id, if it is held. It is looked for from the beginning of the log, page by page.
    ///
    /// # Errors
    /// As [`EventStore::read`].
    fn find(&self, id: &EventId) -> impl Future<Output = Result<Option<StoredEvent>>> + Send {
        async {
            if !self.not_held(vec![id.clone()]).await?.is_empty() {
                return Ok(None);
            }
            let mut after = 0;
            loop {
                let page = self.read(Query::after(after)).await?;
                after = page.scanned_to;
                if let Some(found) = page.events.into_iter().find(|stored| stored.event.id == *id) {
                    return Ok(Some(found));
                }
                if !page.more {
                    return Ok(None);
                }
            }
        }
    }

    /// The event at a position, if the log is that long.
    ///
    /// # Errors
    /// As [`EventStore::read`].
    fn event_at(&self, position: Position) -> impl Future<Output = Result<Option<Event>>> + Send {
        async move {
            let Some(before) = position.checked_sub(1) else { return Ok(None) };
            let page = self.read(Query::after(before).at_most(1, usize::MAX)).await?;
            Ok(page.events.into_iter().find(|stored| stored.position == position).map(|stored| stored.event))
        }
    }

    /// The cursor that names a place in this log.
    ///
    /// # Errors
    /// As [`EventStore::read`]; `NotFound` beyond the end.
    fn cursor_at(&self, position: Position) -> impl Future<Output = Result<Cursor>> + Send {
        async move {
            let identity = self.identity().await?;
            self.read(Query::after(position).at_most(0, 0)).await?.cursor(&identity.secret)
        }
    }

    /// Whether a cursor names a place in this log under its present id.
    ///
    /// # Errors
    /// As [`EventStore::read`].
    fn knows(&self, cursor: &Cursor) -> impl Future<Output = Result<bool>> + Send {
        async {
            let page = self.read(Query::after(cursor.position()).at_most(0, 0)).await?;
            Ok(cursor.store() == page.store && page.follows(cursor))
        }
    }

    /// Which of these events are not held, in the order asked.
    ///
    /// # Errors
    /// As [`EventStore::commit`].
    fn not_held(&self, ids: Vec<EventId>) -> impl Future<Output = Result<Vec<EventId>>> + Send {
        async {
            let facts = self.ask(Needs { ids: ids.clone(), ..Needs::default() }).await?;
            Ok(ids.into_iter().filter(|id| !facts.held.contains_key(id)).collect())
        }
    }

    /// All events of an aggregate, in log order.
    ///
    /// # Errors
    /// As [`EventStore::read`].
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

    /// The history of an aggregate in canonical order, each event with its standing.
    ///
    /// # Errors
    /// As [`EventStore::read`].
    fn history(&self, aggregate: &AggregateId) -> impl Future<Output = Result<History>> + Send {
        async { History::of(self.events_of(aggregate).await?) }
    }
}

impl<S: EventStore> StoreExt for S {}

fn wrong_outcome(outcome: &Outcome) -> Error {
    Error::new(ErrorKind::Internal, "the store answered another intent")
        .with("outcome", format!("{outcome:?}"))
}
