//! Events that could not be stored: listed, tried again, forgotten.

use std::collections::BTreeMap;

use synckit_core::notes::{self, Aside, Note, PushNote};
use synckit_core::plan::Receive;
use synckit_core::{Event, EventStore, Position, Result, StoreId};

use crate::manager::builder::Settings;
use crate::sugar::StoreExt;

pub(super) async fn list(store: &impl EventStore) -> Result<Vec<Aside>> {
    let mut all = Vec::new();
    for prefix in [notes::ASIDE_IN, notes::ASIDE_OUT] {
        for note in store.notes_under(prefix).await? {
            all.push(note.parse()?);
        }
    }
    Ok(all)
}

pub(super) async fn forget(store: &impl EventStore, id: &str) -> Result<bool> {
    let mut keys = Vec::new();
    for prefix in [notes::ASIDE_IN, notes::ASIDE_OUT] {
        for note in store.notes_under(prefix).await? {
            if note.parse::<Aside>()?.id == id {
                keys.push(note.key);
            }
        }
    }
    let found = !keys.is_empty();
    store.edit(Vec::new(), keys).await?;
    Ok(found)
}

pub(super) async fn retry(store: &impl EventStore, settings: &Settings) -> Result<usize> {
    let mut stored = 0;
    for note in store.notes_under(notes::ASIDE_IN).await? {
        let aside: Aside = note.parse()?;
        let Some(Ok(event)) = aside.event.as_deref().map(serde_json::from_str::<Event>) else { continue };
        let now = settings.environment.now();
        let mut receive = Receive::new(Some(aside.peer), vec![event], now, settings.limits);
        receive.set_aside = true;
        receive.delete.push(note.key);
        stored += store.commit_receive(receive).await?.accepted;
    }
    offer_again(store).await?;
    Ok(stored)
}

/// Moves the push positions back before the refused events, so that the next sync offers them again.
async fn offer_again(store: &impl EventStore) -> Result<()> {
    let mut earliest: BTreeMap<StoreId, Position> = BTreeMap::new();
    let mut forgotten = Vec::new();
    for note in store.notes_under(notes::ASIDE_OUT).await? {
        let aside: Aside = note.parse()?;
        let position = aside.position.unwrap_or(1);
        let first = earliest.entry(aside.peer).or_insert(position);
        *first = position.min(*first);
        forgotten.push(note.key);
    }
    let mut moved = Vec::new();
    for (peer, first) in earliest {
        for note in store.notes_under(&notes::push(peer, "")).await? {
            let push: PushNote = note.parse()?;
            let back = PushNote {
                position: push.position.min(first - 1),
                offer_all_to: push.offer_all_to.max(push.position),
                ..push
            };
            moved.push(Note::json(note.key, &back)?);
        }
    }
    store.edit(moved, forgotten).await
}
