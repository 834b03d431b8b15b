//! Events that could not be stored: listed, retried, forgotten.

use synckit_core::{Event, EventStore, Note, Result};
use synckit_plan::{
    StoreExt,
    notes::{self, RefusedEvent},
};

use crate::replica::Replica;

pub(super) async fn list(store: &impl EventStore) -> Result<Vec<RefusedEvent>> {
    let mut all = Vec::new();
    for prefix in [notes::REFUSED_HERE, notes::REFUSED_BY_PEERS] {
        for note in store.notes_under(prefix).await? {
            all.push(note.parse()?);
        }
    }
    Ok(all)
}

pub(super) async fn forget(store: &impl EventStore, id: &str) -> Result<bool> {
    let mut keys = Vec::new();
    for prefix in [notes::REFUSED_HERE, notes::REFUSED_BY_PEERS] {
        for note in store.notes_under(prefix).await? {
            if note.parse::<RefusedEvent>()?.id == id {
                keys.push(note.key);
            }
        }
    }
    let found = !keys.is_empty();
    store.edit(Vec::new(), keys).await?;
    Ok(found)
}

pub(super) async fn retry<S: EventStore>(replica: &Replica<S>) -> Result<usize> {
    let (store, mut stored) = (replica.store(), 0);
    let mut asides = Vec::new();
    for note in store.notes_under(notes::REFUSED_HERE).await? {
        asides.push((note.parse::<RefusedEvent>()?, note.key));
    }
    // The id of a decision begins with its round, so it comes after the one it overrides, whoever sent which.
    asides.sort_by(|(left, _), (right, _)| left.id.cmp(&right.id));
    for (aside, key) in asides {
        let Some(Ok(event)) = aside.event.as_deref().map(serde_json::from_str::<Event>) else { continue };
        let mut receive = replica.receive(Some(aside.peer), vec![event])?;
        receive.keep_refused = true;
        receive.delete.push(key);
        stored += store.commit(receive).await?.accepted;
    }
    offer_again(store).await?;
    Ok(stored)
}

/// Marks what peers refused, so that the next sync offers it again.
async fn offer_again(store: &impl EventStore) -> Result<()> {
    let mut marked = Vec::new();
    for note in store.notes_under(notes::REFUSED_BY_PEERS).await? {
        let aside = RefusedEvent { again: true, ..note.parse()? };
        marked.push(Note::json(note.key, &aside)?);
    }
    store.edit(marked, Vec::new()).await
}
