//! Conflicts end to end: found, settled, left, decided by people, explained; with misbehaving resolvers and crashing
//! replicas.
#![allow(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod asking;
mod deciding;
mod explaining;
mod filtered;
mod full;
mod many;
mod network;
mod waiting;

use synckit::{
    AggregateId, BoxTransport, Conflict, Data, Digest, Endpoint, Event, EventStore, NewEvent, NodeId,
    SyncManager, store::StoreExt,
};
use synckit_memory::MemoryStore;

fn store(name: &str) -> MemoryStore {
    MemoryStore::new(NodeId::new(name).unwrap()).unwrap()
}

fn id(aggregate: &str) -> AggregateId {
    AggregateId::new(aggregate).unwrap()
}

fn edit(aggregate: &str, json: &str) -> NewEvent {
    NewEvent::with_data("Edited", aggregate, Data::json(json).unwrap()).unwrap()
}

type Manager = SyncManager<MemoryStore, BoxTransport>;

fn manager(store: &MemoryStore, hub: &MemoryStore) -> Manager {
    SyncManager::new(store.clone(), BoxTransport::new(Endpoint::new(hub.clone())))
}

/// Creates two replicas that edited these aggregates without knowing of each other, and a hub that has synced with the
/// first.
async fn edited_apart(aggregates: usize) -> (MemoryStore, MemoryStore, MemoryStore) {
    let (a, b, hub) = (store("a"), store("b"), store("hub"));
    for (name, replica) in [("a", &a), ("b", &b)] {
        let events = (0..aggregates).map(|n| edit(&format!("note-{n:05}"), &format!(r#"{{"by":"{name}"}}"#)));
        for batch in events.collect::<Vec<_>>().chunks(1_000) {
            manager(replica, &hub).replica().record(batch.to_vec()).await.unwrap();
        }
    }
    manager(&a, &hub).sync().await.unwrap();
    (a, b, hub)
}

async fn conflict_of(store: &MemoryStore, aggregate: &str) -> Conflict {
    Conflict::in_history(store.events_of(&id(aggregate)).await.unwrap()).unwrap().unwrap()
}

async fn live(store: &impl EventStore, aggregate: &str) -> Vec<Event> {
    store.history(&id(aggregate)).await.unwrap().live().cloned().collect()
}

/// Syncs all with the hub until nothing changes, then checks that all have the same events and the same view.
async fn agree(replicas: &[&MemoryStore], hub: &MemoryStore) {
    for _ in 0..3 {
        for replica in replicas {
            manager(replica, hub).sync().await.unwrap();
        }
    }
    let digest = Digest::of(hub).await.unwrap();
    for replica in replicas {
        assert_eq!(Digest::of(*replica).await.unwrap(), digest);
        assert!(manager(replica, hub).replica().conflicts().await.unwrap().is_empty());
    }
}
