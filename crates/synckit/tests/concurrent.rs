//! Several syncs of one replica at the same moment, with the calls in an order that each test chooses.

use std::time::Duration;

use synckit::{Endpoint, Event, EventStore, NewEvent, NodeId, Replica, SyncManager, store::Query};
use synckit_memory::MemoryStore;
use synckit_testkit::{FaultPlan, FaultyTransport, Turns};

fn store(name: &str) -> MemoryStore {
    MemoryStore::new(NodeId::new(name).expect("valid")).expect("randomness")
}

fn note(of: &str) -> NewEvent {
    NewEvent::new("NoteEdited", of, &1).expect("valid")
}

type Manager = SyncManager<MemoryStore, FaultyTransport<Endpoint<MemoryStore>>>;

/// Creates a manager whose calls of the peer wait for these turns.
fn manager(replica: &Replica<MemoryStore>, hub: &MemoryStore, turns: Option<&Turns>) -> Manager {
    let plan = FaultPlan::new();
    let plan = turns.map_or(plan.clone(), |turns| plan.with_turns(turns.clone()));
    SyncManager::new(replica.clone(), FaultyTransport::new(Endpoint::new(hub.clone()), plan))
}

/// Waits until nothing can run any more: with the clock paused, time passes only then.
async fn idle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

async fn log(store: &MemoryStore) -> Vec<Event> {
    let page = store.read(Query::after(0).at_most(1_000, usize::MAX)).await.expect("a page");
    page.events.into_iter().map(|stored| stored.event).collect()
}

/// A hub and a copy of it have one id. While an exchange with the hub is under way, the replica gets an event from the
/// copy and records on top of it. The hub must not get that one without its cause.
#[tokio::test(start_paused = true)]
async fn what_came_from_a_copy_of_the_peer_meanwhile_does_not_count_as_held_by_the_peer() {
    let (hub, replica) = (store("hub"), Replica::new(store("r")));
    replica.record([note("first")]).await.expect("recorded");
    manager(&replica, &hub, None).sync().await.expect("syncs");
    let copy = hub.copy();
    for (peer, of) in [(&copy, "x"), (&hub, "other")] {
        Replica::new(peer.clone()).record([note(of)]).await.expect("recorded");
    }

    let turns = Turns::default();
    let with_hub = manager(&replica, &hub, Some(&turns));
    let with_hub = tokio::spawn(async move { with_hub.sync().await });
    idle().await;
    assert!(turns.pass(|_| 0), "it says hello, and then pulls");
    idle().await;
    let with_copy = manager(&replica, &copy, None);
    let with_copy = tokio::spawn(async move { with_copy.sync().await });
    idle().await;
    replica.record([note("x")]).await.expect("recorded");
    while !with_hub.is_finished() || !with_copy.is_finished() {
        turns.pass(|_| 0);
        idle().await;
    }
    with_hub.await.expect("it ends").expect("syncs");
    with_copy.await.expect("it ends").expect("syncs");
    for _ in 0..3 {
        for peer in [&hub, &copy] {
            manager(&replica, peer, None).sync().await.expect("syncs");
        }
    }
    for store in [&hub, &copy, replica.store()] {
        let log = log(store).await;
        assert_eq!(log.iter().filter(|event| !event.is_derived()).count(), 4);
        for (at, event) in log.iter().enumerate() {
            let late = log[at..].iter().find(|cause| !cause.is_derived() && event.has_seen(cause));
            assert_eq!(late, None, "it comes after its effect");
        }
    }
}
