//! Reading the log from a snapshot.

use std::collections::BTreeMap;
use std::ops::Range;

use synckit_core::{
    AggregateId, Error, EventId, Facts, Held, Identity, LogHead, Mark, Needs, Note, NoteQuery, Page,
    Position, Query, Result, StoredEvent,
};

use super::engine::{Snapshot, Tree};
use super::keys;
use crate::{Found, Opening, PageBuilder, row};

type Entry<S> = Result<(<S as Snapshot>::Bytes, <S as Snapshot>::Bytes)>;

/// The log as a snapshot has it.
pub(crate) struct Log<'s, S>(pub(crate) &'s S);

impl<S: Snapshot> Log<'_, S> {
    /// What stands in the engine.
    pub(crate) fn found(&self) -> Result<Found> {
        if let Some(format) = self.0.get(Tree::Notes, keys::FORMAT)? {
            return Ok(Found::Store(keys::position(format.as_ref()).unwrap_or(0)));
        }
        for tree in Tree::ALL {
            // No key of a log begins with two bytes FF.
            if self.0.scan(tree, Vec::new()..vec![0xff; 2])?.next().transpose()?.is_some() {
                return Ok(Found::Foreign);
            }
        }
        Ok(Found::Nothing)
    }

    /// The identity, checked against how the store is opened.
    pub(crate) fn identity(&self, opening: &Opening) -> Result<Identity> {
        let note = self.0.get(Tree::Notes, &keys::note(Note::NODE))?;
        opening.identity(note.as_ref().map(AsRef::as_ref))
    }

    /// The values that [`Opening::arrive`] takes.
    pub(crate) fn arrival(&self) -> Result<[Option<Vec<u8>>; 3]> {
        let mut found = [const { None }; 3];
        for (value, key) in found.iter_mut().zip(Opening::ARRIVAL) {
            *value = self.0.get(Tree::Notes, &keys::note(key))?.map(|value| value.as_ref().to_vec());
        }
        Ok(found)
    }

    pub(crate) fn last(&self) -> Result<Position> {
        self.0.get(Tree::Notes, keys::LAST)?.map_or(Ok(0), |last| keys::position(last.as_ref()))
    }

    /// The store id, which a commit may change, and where the log ends.
    pub(crate) fn head(&self) -> Result<LogHead> {
        let id = self.0.get(Tree::Notes, &keys::note(Note::STORE))?;
        let store = Note::read_store_id(id.as_ref().map(AsRef::as_ref))?;
        let position = self.last()?;
        Ok(LogHead { store, position, mark: self.mark_at(position)? })
    }

    pub(crate) fn read(&self, query: &Query) -> Result<Page> {
        let head = self.head()?;
        let mut page = PageBuilder::new(query, head, self.mark_at(query.after)?);
        if page.has_room() {
            // A page with room starts before the end of the log.
            let within = query.after + 1..head.position + 1;
            match &query.aggregates {
                None => {
                    for entry in self.0.scan(Tree::Events, keys::events(within))? {
                        let (key, row) = entry?;
                        let position = keys::position(key.as_ref())?;
                        if !page
                            .take(position, |except| row::decode_except(position, row.as_ref(), except))?
                        {
                            break;
                        }
                    }
                }
                Some(aggregates) => {
                    let mut places = Places::of(aggregates, within, self.0)?;
                    while let Some(position) = places.next()? {
                        let read =
                            |except| row::decode_except(position, self.row(position)?.as_ref(), except);
                        if !page.take(position, read)? {
                            break;
                        }
                    }
                }
            }
        }
        page.looked_up_to(head.position);
        page.finish(|position| self.mark_at(position))
    }

    /// The mark at a position, if there is one. A damaged row has none; the reads on either side of it go on.
    fn mark_at(&self, position: Position) -> Result<Option<Mark>> {
        let row = self.0.get(Tree::Events, &keys::event(position))?;
        Ok(row.and_then(|row| Some(row::beside(position, row.as_ref()).ok()?.mark)))
    }

    pub(crate) fn row(&self, position: Position) -> Result<S::Bytes> {
        let row = self.0.get(Tree::Events, &keys::event(position))?;
        row.ok_or_else(|| Error::corrupt("the log has a gap").with("position", position))
    }

    /// The event at a position; `None` if its row is damaged.
    fn unless_damaged(&self, position: Position) -> Result<Option<StoredEvent>> {
        Ok(row::decode(position, self.row(position)?.as_ref()).ok())
    }

    /// The id of the event at a position whose row is damaged: all ids are looked through.
    fn id_at(&self, position: Position) -> Result<Option<EventId>> {
        for entry in self.0.scan(Tree::Ids, Vec::new()..vec![0xff; 2])? {
            let (id, at) = entry?;
            if keys::position(at.as_ref())? == position {
                return Ok(std::str::from_utf8(id.as_ref()).ok().and_then(|id| id.parse().ok()));
            }
        }
        Ok(None)
    }

    pub(crate) fn notes(&self, query: NoteQuery) -> Result<Vec<Note>> {
        match query {
            NoteQuery::Keys(mut keys) => {
                keys.sort_unstable();
                keys.dedup();
                let note = |key: String| Ok(self.note(&key)?.map(|value| Note { key, value }));
                keys.into_iter().filter_map(|key| note(key).transpose()).collect()
            }
            NoteQuery::Prefix { prefix, after, limit } => {
                let entries = self.0.scan(Tree::Notes, keys::notes(&prefix, &after))?;
                let note = |entry: Entry<S>| {
                    let (key, value) = entry?;
                    let key = keys::note_key(key.as_ref())?.to_owned();
                    Ok(Note { key, value: value.as_ref().to_vec() })
                };
                entries.take(limit).map(note).collect()
            }
        }
    }

    fn note(&self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.0.get(Tree::Notes, &keys::note(key))?.map(|value| value.as_ref().to_vec()))
    }

    /// What a plan needs to know. One row is in memory at a time: of the events held, only the digests are kept.
    /// Histories, asked for rarely, are kept whole.
    pub(crate) fn facts(&self, needs: Needs) -> Result<Facts> {
        let mut facts = Facts::at(self.head()?);
        for id in needs.ids {
            if let Some(position) = self.0.get(Tree::Ids, &keys::id(&id))? {
                let position = keys::position(position.as_ref())?;
                match self.unless_damaged(position)? {
                    Some(stored) => drop(facts.held.insert(id, Held::of(position, &stored.event))),
                    None => drop(facts.damaged.insert(id, position)),
                }
            }
        }
        for dot in needs.dots {
            if let Some(position) = self.0.get(Tree::Dots, &keys::dot(&dot))? {
                let position = keys::position(position.as_ref())?;
                let id = match self.unless_damaged(position)? {
                    Some(stored) => Some(stored.event.id),
                    None => self.id_at(position)?,
                };
                facts.dots.extend(id.map(|id| (dot, id)));
            }
        }
        for key in needs.notes {
            if let Some(value) = self.note(&key)? {
                facts.notes.insert(key, value);
            }
        }
        for position in needs.places {
            facts.places.extend(self.mark_at(position)?.map(|mark| (position, mark)));
        }
        for aggregate in needs.histories {
            let mut history = Vec::new();
            for entry in self.0.scan(Tree::Aggregates, keys::places(&aggregate, 0..Position::MAX))? {
                history.extend(self.unless_damaged(keys::position(entry?.0.as_ref())?)?);
            }
            facts.histories.insert(aggregate, history);
        }
        for prefix in needs.under {
            let under = self.notes(NoteQuery::Prefix { prefix, after: String::new(), limit: usize::MAX })?;
            facts.notes.extend(under.into_iter().map(|note| (note.key, note.value)));
        }
        Ok(facts)
    }
}

/// Where the events of some aggregates stand, in log order, of each as far as it was looked.
struct Places<I> {
    of: Vec<I>,
    /// The next place of each aggregate, which is counted from the first. One that is named twice has one place.
    next: BTreeMap<Position, usize>,
}

impl Places<()> {
    fn of<'s, S: Snapshot>(
        aggregates: &[AggregateId],
        within: Range<Position>,
        snapshot: &'s S,
    ) -> Result<Places<impl Iterator<Item = Entry<S>> + use<'s, S>>> {
        let scan = |of: &AggregateId| snapshot.scan(Tree::Aggregates, keys::places(of, within.clone()));
        let of = aggregates.iter().map(scan).collect::<Result<Vec<_>>>()?;
        let mut places = Places { of, next: BTreeMap::new() };
        (0..aggregates.len()).try_for_each(|of| places.look(of))?;
        Ok(places)
    }
}

impl<I: Iterator<Item = Result<(B, B)>>, B: AsRef<[u8]>> Places<I> {
    fn next(&mut self) -> Result<Option<Position>> {
        let Some((position, of)) = self.next.pop_first() else { return Ok(None) };
        self.look(of)?;
        Ok(Some(position))
    }

    fn look(&mut self, of: usize) -> Result<()> {
        if let Some(entry) = self.of[of].next() {
            self.next.insert(keys::position(entry?.0.as_ref())?, of);
        }
        Ok(())
    }
}
