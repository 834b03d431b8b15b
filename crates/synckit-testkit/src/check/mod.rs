//! The promises, checked on what the stores hold.
//!
//! `model.rs` is the reference model of which events stand.

mod model;

use std::collections::{BTreeMap, BTreeSet};

use synckit::{Digest, StoreExt};
use synckit_core::notes::{self, Latest, PullNote};
use synckit_core::{AggregateId, Event, EventId, EventStore, Query, Standing, StoreId, StoredEvent};

/// What a check answers: the promise that was broken, in words.
pub(crate) type Checked<T = ()> = Result<T, String>;

/// The events that applications have recorded, with their contents.
pub(crate) type Created = BTreeMap<EventId, [u8; 32]>;

fn failed(error: impl std::fmt::Display) -> String {
    format!("a healthy store answered with an error: {error}")
}

/// The whole log of a store.
pub(crate) async fn log(store: &impl EventStore) -> Checked<Vec<StoredEvent>> {
    let (mut events, mut after) = (Vec::new(), 0);
    loop {
        let page = store.read(Query::after(after)).await.map_err(failed)?;
        after = page.scanned_to;
        events.extend(page.events);
        if !page.more {
            return Ok(events);
        }
    }
}

/// P2: exactly the events that were created, one content each.
pub(crate) fn exact(name: &str, log: &[StoredEvent], created: &Created) -> Checked {
    let mut held = BTreeSet::new();
    for stored in log {
        let event = &stored.event;
        if !held.insert(&event.id) {
            return Err(format!("P2: {name} holds {} twice", event.id));
        }
        if event.is_resolution() {
            continue;
        }
        match created.get(&event.id) {
            None => return Err(format!("P2: {name} holds {} that nobody created", event.id)),
            Some(content) if *content != event.content_digest() => {
                return Err(format!("P2: {name} holds {} with another content", event.id));
            }
            Some(_) => {}
        }
    }
    match created.keys().find(|id| !held.contains(id)) {
        Some(id) => Err(format!("P2: {name} misses {id}")),
        None => Ok(()),
    }
}

/// P4: an event stands after everything its author had seen.
pub(crate) fn causal(name: &str, log: &[StoredEvent]) -> Checked {
    let mut by_aggregate: BTreeMap<&AggregateId, Vec<&Event>> = BTreeMap::new();
    for stored in log {
        let earlier = by_aggregate.entry(&stored.event.aggregate_id).or_default();
        if let Some(effect) = earlier.iter().find(|earlier| causes(&stored.event, earlier)) {
            return Err(format!("P4: at {name} {} stands after its effect {}", stored.event.id, effect.id));
        }
        earlier.push(&stored.event);
    }
    Ok(())
}

/// A resolution has no dot, so its clock tells which plain events its author had seen, but not which resolutions.
fn causes(cause: &Event, effect: &Event) -> bool {
    !cause.is_resolution() && model::seen(effect, cause)
}

/// P3: the view is the one of the reference model, and canonical order is never against causality.
pub(crate) async fn view(name: &str, store: &impl EventStore, log: &[StoredEvent]) -> Checked<Digest> {
    let mut by_aggregate: BTreeMap<AggregateId, Vec<Event>> = BTreeMap::new();
    for stored in log {
        by_aggregate.entry(stored.event.aggregate_id.clone()).or_default().push(stored.event.clone());
    }
    for (aggregate, events) in by_aggregate {
        let history = store.history(&aggregate).await.map_err(failed)?;
        let shown: BTreeMap<EventId, bool> = history
            .entries()
            .iter()
            .filter(|entry| entry.standing != Standing::Resolution)
            .map(|entry| (entry.event.id.clone(), entry.standing == Standing::Live))
            .collect();
        let expected = model::standing(&events);
        if shown != expected {
            return Err(format!("P3: {name} shows {aggregate} as {shown:?}, the model as {expected:?}"));
        }
        if !shown.values().any(|live| *live) {
            return Err(format!("P3: at {name} nothing of {aggregate} stands"));
        }
        for (at, one) in events.iter().enumerate() {
            for other in &events[at + 1..] {
                let against = model::seen(one, other) && model::key(one) < model::key(other)
                    || model::seen(other, one) && model::key(other) < model::key(one);
                if against {
                    return Err(format!(
                        "P3: canonical order of {} and {} is against causality",
                        one.id, other.id
                    ));
                }
            }
        }
    }
    Digest::of(store).await.map_err(failed)
}

/// P5: everything up to the checkpoint is held.
pub(crate) async fn honest(name: &str, store: &impl EventStore, peer: &impl EventStore) -> Checked {
    let own = store.head().await.map_err(failed)?.store;
    let peer_id: StoreId = peer.head().await.map_err(failed)?.store;
    let Some(note) = store.note(notes::pull(peer_id, "all")).await.map_err(failed)? else { return Ok(()) };
    let note: PullNote = note.parse().map_err(failed)?;
    if !peer.knows(&note.cursor).await.map_err(failed)? {
        return Ok(());
    }
    let upto = note.cursor.position() as usize;
    let pulled: Vec<StoredEvent> = log(peer).await?.into_iter().take(upto).collect();
    let ids = pulled.iter().filter(|stored| note.everything || stored.source != Some(own));
    let missing =
        store.not_held(ids.map(|stored| stored.event.id.clone()).collect()).await.map_err(failed)?;
    match missing.first() {
        Some(id) => {
            Err(format!("P5: the checkpoint of {name} at {upto} has passed {id}, which it does not hold"))
        }
        None => Ok(()),
    }
}

/// What never goes backwards, P6: the number of events, the time, the counters.
pub(crate) async fn monotonic_values(store: &impl EventStore) -> Checked<BTreeMap<String, u64>> {
    let mut values = BTreeMap::new();
    values.insert("events".to_owned(), store.head().await.map_err(failed)?.position);
    for note in store.notes_under("origin/").await.map_err(failed)? {
        let latest: Latest = String::from_utf8_lossy(&note.value).parse().map_err(failed)?;
        values.insert(note.key, latest.counter);
    }
    if let Some(note) = store.note(notes::TIME.to_owned()).await.map_err(failed)? {
        let time: synckit_core::Timestamp = String::from_utf8_lossy(&note.value).parse().map_err(failed)?;
        values.insert("time".to_owned(), time.to_bits());
    }
    Ok(values)
}

/// P6: compares two readings. A replica that authors again what it recorded since a restore gives up counters of its
/// former name; these may sink.
pub(crate) fn monotonic(
    name: &str,
    before: &BTreeMap<String, u64>,
    after: &BTreeMap<String, u64>,
    authored_again: bool,
) -> Checked {
    for (key, value) in before {
        let now = after.get(key).copied().unwrap_or(0);
        if now < *value && !(authored_again && key.starts_with("origin/")) {
            return Err(format!("P6: {key} of {name} went from {value} to {now}"));
        }
    }
    Ok(())
}

/// Nothing is left over: no conflict, no refused event.
pub(crate) async fn settled(name: &str, store: &impl EventStore) -> Checked {
    for prefix in [notes::CONFLICTS, notes::ASIDE_IN, notes::ASIDE_OUT] {
        if let Some(note) = store.notes_under(prefix).await.map_err(failed)?.first() {
            return Err(format!(
                "at {name} this is left over: {} {}",
                note.key,
                String::from_utf8_lossy(&note.value)
            ));
        }
    }
    Ok(())
}
