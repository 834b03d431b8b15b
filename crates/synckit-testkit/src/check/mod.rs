//! The promises, checked on the contents of the stores.
//!
//! `model.rs` is the reference model of which events stand.

mod model;

use std::collections::{BTreeMap, BTreeSet};

use synckit::Digest;
use synckit_core::{AggregateId, Event, EventId, EventStore, Filter, NodeId, Query, StoreId, StoredEvent};
use synckit_plan::{
    Restamp, Standing, StoreExt,
    notes::{self, Latest, PullNote},
};

use crate::views::{self, Trail};

/// The result of a check; the error is the broken promise in words.
pub(crate) type Checked<T = ()> = Result<T, String>;

/// The events that applications have recorded, with their contents.
pub(crate) type Created = BTreeMap<EventId, [u8; 32]>;

fn failed(error: impl std::fmt::Display) -> String {
    format!("a healthy store answered with an error: {error}")
}

/// Checks that a view that is kept shows the events that stand.
pub(crate) async fn shown<S: EventStore>(name: &str, replica: &synckit::Replica<S>) -> Checked {
    let view = replica.with_view(Trail { version: 1 }).map_err(failed)?;
    match views::difference(&view).await.map_err(failed)? {
        None => Ok(()),
        Some(difference) => Err(format!("at {name}, {difference}")),
    }
}

/// Returns the whole log of a store.
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

/// Checks P2: the log holds exactly the events that were created, each with one content.
pub(crate) fn exact(name: &str, log: &[StoredEvent], created: &Created) -> Checked {
    genuine(name, log, created)?;
    complete(name, log, created.keys())
}

/// Checks P2: the log holds nothing but events that were created, each once, with its content.
pub(crate) fn genuine(name: &str, log: &[StoredEvent], created: &Created) -> Checked {
    let mut held = BTreeSet::new();
    for stored in log {
        let event = &stored.event;
        if !held.insert(&event.id) {
            return Err(format!("P2: {name} holds {} twice", event.id));
        }
        if event.is_derived() {
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
    Ok(())
}

/// Checks P2: the log holds these events.
pub(crate) fn complete<'a>(
    name: &str,
    log: &[StoredEvent],
    mut ids: impl Iterator<Item = &'a EventId>,
) -> Checked {
    let held: BTreeSet<&EventId> = log.iter().map(|stored| &stored.event.id).collect();
    match ids.find(|id| !held.contains(id)) {
        Some(id) => Err(format!("P2: {name} misses {id}")),
        None => Ok(()),
    }
}

/// The events that the author of each event really held of its aggregate at that time, whatever stamps say.
pub(crate) type Seen = BTreeMap<EventId, BTreeSet<EventId>>;

/// Checks P4: an event comes after every plain event that its author had seen, according to its stamp.
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

/// Returns whether the effect has seen the cause. A resolution has no dot, so its clock tells which plain events its
/// author had seen, but not which resolutions.
fn causes(cause: &Event, effect: &Event) -> bool {
    !cause.is_derived() && !effect.is_restamp() && model::seen(effect, cause)
}

/// Effects, each with a cause, of which some store has held the effect alone.
pub(crate) type Apart = BTreeSet<(EventId, EventId)>;

/// Returns the effects in this log without a cause, which is one of those left out.
pub(crate) fn apart(log: &[StoredEvent], seen: &Seen, left_out: &BTreeSet<EventId>) -> Apart {
    let held: BTreeSet<&EventId> = log.iter().map(|stored| &stored.event.id).collect();
    let mut apart = Apart::new();
    for effect in held.iter().filter(|id| !left_out.contains(**id)) {
        let causes = seen.get(*effect).into_iter().flatten();
        let lacking = causes.filter(|cause| left_out.contains(*cause) && !held.contains(cause));
        apart.extend(lacking.map(|cause| ((*effect).clone(), cause.clone())));
    }
    apart
}

/// Checks P4: an event comes after every plain event that its author really had, unless some store held it without.
pub(crate) fn after_causes(name: &str, log: &[StoredEvent], seen: &Seen, apart: &Apart) -> Checked {
    let place: BTreeMap<&EventId, u64> =
        log.iter().map(|stored| (&stored.event.id, stored.position)).collect();
    for stored in log {
        let causes = seen.get(&stored.event.id).into_iter().flatten();
        let late = |cause: &&EventId| {
            place.get(cause).is_some_and(|place| *place > stored.position)
                && !apart.contains(&(stored.event.id.clone(), (*cause).clone()))
        };
        if let Some(cause) = causes.into_iter().find(late) {
            return Err(format!("P4: at {name} {cause} stands after its effect {}", stored.event.id));
        }
    }
    Ok(())
}

/// Checks P3: the view is the one of the reference model, and canonical order never contradicts causality.
pub(crate) async fn view(name: &str, store: &impl EventStore, log: &[StoredEvent]) -> Checked<Digest> {
    let mut by_aggregate: BTreeMap<AggregateId, Vec<Event>> = BTreeMap::new();
    let forked = forked(log);
    for stored in log.iter().filter(|stored| !stored.event.is_restamp()) {
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
        let by_clocks = model::standing_by_clocks(&events);
        if shown != by_clocks {
            return Err(format!("P3: {name} shows {aggregate} as {shown:?}, the clocks say {by_clocks:?}"));
        }
        // If dots have named two events, decisions may name dots that now name another event, or none. The same holds
        // if what a decision names is gone: a filter kept it from all stores but one that was set back. What its clocks
        // say holds even there; what its author meant is defined only for plain histories.
        let plain = !forked.contains(&aggregate) && !model::contradicts(&events);
        let known = plain && model::knows_all(&events);
        let expected = if known { model::standing(&events) } else { by_clocks };
        if shown != expected {
            return Err(format!("P3: {name} shows {aggregate} as {shown:?}, the model as {expected:?}"));
        }
        // A filter can pass a decision without the event that it keeps, and the only store that holds this event can be
        // set back. The decision still holds for all others.
        let renamed = restamps(log.iter().filter(|stored| stored.event.aggregate_id == aggregate));
        let renamed = renamed.map(|restamp| restamp.was).collect();
        if model::has_what_is_kept(&events, &renamed) && !shown.values().any(|live| *live) {
            return Err(format!("P3: at {name} nothing of {aggregate} stands"));
        }
        for (at, one) in events.iter().enumerate() {
            for other in &events[at + 1..] {
                // Whether a plain event had seen a decision is known from the decision's clock alone.
                let sure = |seen: &Event| !seen.is_derived() || plain;
                let against = sure(other) && model::seen(one, other) && model::key(one) < model::key(other)
                    || sure(one) && model::seen(other, one) && model::key(other) < model::key(one);
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

/// Returns the aggregates in which a dot has named two events, or a clock names an author one of whose dots did.
fn forked(log: &[StoredEvent]) -> BTreeSet<&AggregateId> {
    let authors: BTreeSet<NodeId> = restamps(log.iter()).map(|restamp| restamp.was.node).collect();
    let speaks =
        |event: &Event| event.is_restamp() || event.clock.iter().any(|(node, _)| authors.contains(node));
    log.iter()
        .map(|stored| &stored.event)
        .filter(|event| speaks(event))
        .map(|event| &event.aggregate_id)
        .collect()
}

fn restamps<'a>(log: impl Iterator<Item = &'a StoredEvent>) -> impl Iterator<Item = Restamp> {
    log.filter_map(|stored| Restamp::read(&stored.event).ok())
}

/// Checks P5: the store holds everything up to the checkpoint for a filter, except what came from the store that the
/// peer took the caller for.
pub(crate) async fn honest(
    name: &str,
    store: &impl EventStore,
    peer: &impl EventStore,
    filter: &Filter,
) -> Checked {
    let peer_id: StoreId = peer.head().await.map_err(failed)?.store;
    let note = store.note(notes::pull(peer_id, &filter.fingerprint())).await.map_err(failed)?;
    let Some(note) = note else { return Ok(()) };
    let note: PullNote = note.parse().map_err(failed)?;
    if !peer.knows(&note.cursor).await.map_err(failed)? {
        return Ok(());
    }
    let upto = note.cursor.position() as usize;
    let pulled = log(peer).await?.into_iter().take(upto);
    let pulled = pulled.filter(|stored| stored.source != Some(note.held_by) && filter.matches(&stored.event));
    let mut missing = store.not_held(pulled.map(|stored| stored.event.id).collect()).await.map_err(failed)?;
    // What is to be fetched again is not taken for held.
    let again = notes::fetch_again(peer_id);
    let owed = store.notes_under(&again).await.map_err(failed)?;
    missing.retain(|id| !owed.iter().any(|note| note.key[again.len()..] == *id.as_str()));
    match missing.first() {
        Some(id) => {
            Err(format!("P5: the checkpoint of {name} at {upto} has passed {id}, which it does not hold"))
        }
        None => Ok(()),
    }
}

/// Returns what never goes backwards according to P6: the number of events, and the counters.
pub(crate) async fn monotonic_values(store: &impl EventStore) -> Checked<BTreeMap<String, u64>> {
    let mut values = BTreeMap::new();
    values.insert("events".to_owned(), store.head().await.map_err(failed)?.position);
    for note in store.notes_under("origin/").await.map_err(failed)? {
        let latest: Latest = String::from_utf8_lossy(&note.value).parse().map_err(failed)?;
        values.insert(note.key, latest.counter);
    }
    Ok(values)
}

/// Checks P6: compares two readings.
pub(crate) fn monotonic(
    name: &str,
    before: &BTreeMap<String, u64>,
    after: &BTreeMap<String, u64>,
) -> Checked {
    for (key, value) in before {
        let now = after.get(key).copied().unwrap_or(0);
        if now < *value {
            return Err(format!("P6: {key} of {name} went from {value} to {now}"));
        }
    }
    Ok(())
}

/// Checks that listed conflicts are counted, and that those that wait for a resolver are listed and announced.
pub(crate) async fn listed(name: &str, store: &impl EventStore) -> Checked {
    let keys = |prefix: &'static str| async move {
        let found = store.notes_under(prefix).await.map_err(failed)?;
        Checked::Ok(
            found.into_iter().map(|note| note.key[prefix.len()..].to_owned()).collect::<BTreeSet<_>>(),
        )
    };
    let conflicts = keys(notes::CONFLICTS).await?;
    let waiting = keys(notes::WAITING_CONFLICTS).await?;
    let count = store.note(notes::CONFLICT_COUNT.to_owned()).await.map_err(failed)?;
    let count = count.map_or_else(|| "0".into(), |note| String::from_utf8_lossy(&note.value).into_owned());
    if count != conflicts.len().to_string() {
        return Err(format!("{name} counts {count} conflicts and lists {}", conflicts.len()));
    }
    if let Some(aggregate) = waiting.difference(&conflicts).next() {
        return Err(format!("at {name}, {aggregate} waits for a resolver and is not in conflict"));
    }
    let announced = store.note(notes::WAITING.to_owned()).await.map_err(failed)?.is_some();
    if !waiting.is_empty() && !announced {
        return Err(format!("at {name}, {} conflicts wait for a resolver unannounced", waiting.len()));
    }
    Ok(())
}

/// Checks that nothing is left over: no conflict, no refused event.
pub(crate) async fn settled(name: &str, store: &impl EventStore) -> Checked {
    for prefix in [notes::CONFLICTS, notes::REFUSED_HERE, notes::REFUSED_BY_PEERS] {
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
