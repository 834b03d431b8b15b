//! What is recorded about a client, while a call reads and changes it.

use synckit_core::{BoxStore, Edit, EventStore, NodeId, Position, Result, StoredEvent};
use synckit_plan::StoreExt;

use super::held::Held;
use super::{Known, Own};

pub(crate) struct Record<'a> {
    pub(crate) store: &'a BoxStore,
    pub(crate) author: &'a NodeId,
    pub(crate) own: Own,
    pub(crate) known: Known,
    before: Known,
    held: Held,
}

impl<'a> Record<'a> {
    pub(crate) async fn open(store: &'a BoxStore, author: &'a NodeId) -> Result<Record<'a>> {
        let known = Known::load(store, author).await?;
        let own = Own::load(store, author).await?;
        let held = Held::upto(known.upto);
        Ok(Record { store, author, own, before: known.clone(), known, held })
    }

    /// Reads what is recorded about these places. Only then may they be looked up and added.
    pub(crate) async fn read(&mut self, places: impl IntoIterator<Item = Position>) -> Result<()> {
        self.held.read(self.store, self.author, places).await
    }

    /// Returns whether the client has shown that it holds this place.
    pub(crate) fn holds(&self, place: Position) -> bool {
        self.held.contains(place)
    }

    /// Returns whether the client is to be sent this event.
    pub(crate) fn lacks(&self, stored: &StoredEvent) -> bool {
        let own = stored.position > self.known.lacks_own_to && self.own.wrote(stored);
        !own && !self.holds(stored.position)
    }

    pub(crate) fn add(&mut self, place: Position) {
        self.held.insert(place);
    }

    /// Adds every place up to this one.
    pub(crate) fn add_upto(&mut self, place: Position) {
        self.held.insert_upto(place);
    }

    /// Forgets what the client was known to hold. A client that is empty is sent everything, its own events too; of
    /// another it is not known what it holds before it has pushed.
    pub(crate) async fn start_over(&mut self, empty: bool) -> Result<()> {
        let head = self.store.head().await?.position;
        self.known = Known { lacks_own_to: head, empty, ..Known::default() };
        self.held = Held::default();
        let delete = Held::keys(self.store, self.author).await?;
        self.store.edit(vec![self.known.note(self.author)?], delete).await?;
        self.before = self.known.clone();
        Ok(())
    }

    /// Records what has changed.
    pub(crate) async fn save(mut self) -> Result<()> {
        self.known.upto = self.held.advance(self.store, self.author).await?;
        let mut edit = Edit { put: Vec::new(), delete: Vec::new() };
        if self.known != self.before {
            edit.put.push(self.known.note(self.author)?);
        }
        self.held.put(self.author, &mut edit);
        if edit.put.is_empty() && edit.delete.is_empty() {
            return Ok(());
        }
        self.store.commit(edit).await
    }
}
