//! Events that could not be stored: listed, counted, retried, forgotten.
//!
//! Their notes may carry whole events, so all but the list read them a few at a time.

use synckit_core::{Event, EventStore, Note, NoteQuery, Result};
use synckit_plan::{
    StoreExt,
    notes::{self, RefusedNote},
};

use crate::replica::Replica;

/// The number of notes that are read at a time.
const PAGE: usize = 32;

/// The notes under a prefix, a few at a time. A page may be changed or deleted before the next is read.
#[derive(Debug)]
pub(crate) struct Pages {
    prefix: String,
    after: String,
    more: bool,
}

impl Pages {
    pub(crate) fn under(prefix: impl Into<String>) -> Self {
        Pages { prefix: prefix.into(), after: String::new(), more: true }
    }

    /// Reads the next page; empty if there are no more.
    pub(crate) async fn next(&mut self, store: &impl EventStore) -> Result<Vec<Note>> {
        if !self.more {
            return Ok(Vec::new());
        }
        let (prefix, after) = (self.prefix.clone(), self.after.clone());
        let page = store.notes(NoteQuery::Prefix { prefix, after, limit: PAGE }).await?;
        self.more = page.len() == PAGE;
        if let Some(last) = page.last() {
            self.after.clone_from(&last.key);
        }
        Ok(page)
    }
}

pub(super) async fn list(store: &impl EventStore) -> Result<Vec<RefusedNote>> {
    let mut all = Vec::new();
    for prefix in [notes::REFUSED_HERE, notes::REFUSED_BY_PEERS] {
        for note in store.notes_under(prefix).await? {
            all.push(note.parse()?);
        }
    }
    Ok(all)
}

/// Returns the number of notes under a prefix.
pub(super) async fn count(store: &impl EventStore, prefix: &str) -> Result<usize> {
    let (mut pages, mut count) = (Pages::under(prefix), 0);
    loop {
        match pages.next(store).await?.len() {
            0 => return Ok(count),
            more => count += more,
        }
    }
}

pub(super) async fn forget(store: &impl EventStore, id: &str) -> Result<bool> {
    let mut keys = Vec::new();
    for prefix in [notes::REFUSED_HERE, notes::REFUSED_BY_PEERS] {
        let mut pages = Pages::under(prefix);
        loop {
            let page = pages.next(store).await?;
            if page.is_empty() {
                break;
            }
            for note in page {
                if note.parse::<RefusedNote>()?.id == id {
                    keys.push(note.key);
                }
            }
        }
    }
    let found = !keys.is_empty();
    store.edit(Vec::new(), keys).await?;
    Ok(found)
}

pub(super) async fn retry<S: EventStore>(replica: &Replica<S>) -> Result<usize> {
    let (store, mut stored) = (replica.store(), 0);
    // Again until nothing more is stored: a decision may come before the one it overrides, from another peer.
    loop {
        let before = stored;
        let mut pages = Pages::under(notes::REFUSED_HERE);
        loop {
            let page = pages.next(store).await?;
            if page.is_empty() {
                break;
            }
            for note in page {
                let aside: RefusedNote = note.parse()?;
                let Some(Ok(event)) = aside.event.as_deref().map(serde_json::from_str::<Event>) else {
                    continue;
                };
                let mut receive = replica.receive(Some(aside.peer), vec![event])?;
                receive.keep_refused = true;
                receive.delete.push(note.key);
                stored += store.commit(receive).await?.accepted;
            }
        }
        if stored == before {
            break;
        }
    }
    offer_again(store).await?;
    Ok(stored)
}

/// Marks what peers refused, so that the next sync offers it again.
async fn offer_again(store: &impl EventStore) -> Result<()> {
    let mut pages = Pages::under(notes::REFUSED_BY_PEERS);
    loop {
        let page = pages.next(store).await?;
        if page.is_empty() {
            return Ok(());
        }
        let mut marked = Vec::new();
        for note in page {
            let aside = RefusedNote { again: true, ..note.parse()? };
            marked.push(Note::json(note.key, &aside)?);
        }
        store.edit(marked, Vec::new()).await?;
    }
}
