//! Which places of the log a client holds: all up to one, and single ones beyond it, a bit for each.

use std::collections::BTreeMap;

use synckit_core::{BoxStore, Edit, EventStore, NodeId, Note, NoteQuery, Position, Result};
use synckit_plan::{StoreExt, notes};

/// The number of places that share a note.
const SPAN: u64 = 4_096;

#[derive(Default)]
pub(crate) struct Held {
    /// It holds every place up to this one.
    upto: Position,
    /// The value of `upto` when this was read: spans below it have no notes.
    was: Position,
    /// The bits of the spans that were read or changed.
    spans: BTreeMap<u64, Span>,
}

#[derive(Default)]
struct Span {
    bits: Vec<u8>,
    changed: bool,
}

impl Held {
    pub(crate) fn upto(upto: Position) -> Held {
        Held { upto, was: upto, spans: BTreeMap::new() }
    }

    /// Reads what is recorded about these places. Only then can they be looked up and added.
    pub(crate) async fn read(
        &mut self,
        store: &BoxStore,
        author: &NodeId,
        places: impl IntoIterator<Item = Position>,
    ) -> Result<()> {
        let mut spans: Vec<u64> =
            places.into_iter().filter(|place| *place > self.upto).map(|place| place / SPAN).collect();
        spans.sort_unstable();
        spans.dedup();
        spans.retain(|span| !self.spans.contains_key(span));
        if spans.is_empty() {
            return Ok(());
        }
        let keys: Vec<String> = spans.iter().map(|span| notes::client_holds(author, *span)).collect();
        let mut found: BTreeMap<String, Note> = store
            .notes(NoteQuery::Keys(keys.clone()))
            .await?
            .into_iter()
            .map(|note| (note.key.clone(), note))
            .collect();
        for (span, key) in spans.into_iter().zip(keys) {
            let mut bits = found.remove(&key).map(|note| note.value).unwrap_or_default();
            bits.resize((SPAN / 8) as usize, 0);
            self.spans.insert(span, Span { bits, changed: false });
        }
        Ok(())
    }

    pub(crate) fn contains(&self, place: Position) -> bool {
        let (at, bit) = at(place);
        place <= self.upto || self.spans.get(&(place / SPAN)).is_some_and(|span| span.bits[at] & bit != 0)
    }

    pub(crate) fn insert(&mut self, place: Position) {
        if self.contains(place) {
            return;
        }
        let span = self.spans.entry(place / SPAN).or_default();
        span.bits.resize((SPAN / 8) as usize, 0);
        let (at, bit) = at(place);
        span.bits[at] |= bit;
        span.changed = true;
    }

    /// Adds every place up to this one.
    pub(crate) fn insert_upto(&mut self, place: Position) {
        self.upto = self.upto.max(place);
    }

    /// Moves `upto` over the places that follow it and are held, and returns it.
    pub(crate) async fn advance(&mut self, store: &BoxStore, author: &NodeId) -> Result<Position> {
        loop {
            self.read(store, author, [self.upto + 1]).await?;
            if !self.contains(self.upto + 1) {
                return Ok(self.upto);
            }
            self.upto += 1;
        }
    }

    /// Adds what has changed to an edit.
    pub(crate) fn put(self, author: &NodeId, edit: &mut Edit) {
        let first = self.upto / SPAN;
        let gone = (self.was / SPAN..first).map(|span| notes::client_holds(author, span));
        edit.delete.extend(gone);
        let changed = self.spans.into_iter().filter(|(at, span)| span.changed && *at >= first);
        edit.put.extend(
            changed.map(|(at, span)| Note { key: notes::client_holds(author, at), value: span.bits }),
        );
    }

    /// Returns the keys of all notes about what a client holds.
    pub(crate) async fn keys(store: &BoxStore, author: &NodeId) -> Result<Vec<String>> {
        let found = store.notes_under(&notes::all_client_holds(author)).await?;
        Ok(found.into_iter().map(|note| note.key).collect())
    }
}

fn at(place: Position) -> (usize, u8) {
    let bit = place % SPAN;
    ((bit / 8) as usize, 1 << (bit % 8))
}
