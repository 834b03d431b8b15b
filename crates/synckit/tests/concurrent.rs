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
    rest(&replica, [&hub, &copy], 4).await;
}

/// A copy of the hub takes a fresh id between its hello and the pull. What came from it must not count as held by the
/// hub, which goes on under the id that both had.
#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_a_fresh_id_after_its_hello_is_met_again() {
    let (hub, replica) = (store("hub"), Replica::new(store("r")));
    replica.record([note("first")]).await.expect("recorded");
    manager(&replica, &hub, None).sync().await.expect("syncs");
    let copy = hub.copy();
    Replica::new(copy.clone()).record([note("x")]).await.expect("recorded");

    let turns = Turns::default();
    let with_copy = manager(&replica, &copy, Some(&turns));
    let with_copy = tokio::spawn(async move { with_copy.sync().await });
    idle().await;
    assert!(turns.pass(|_| 0), "it says hello, and then pulls");
    idle().await;
    Replica::new(copy.clone()).reidentify(None).await.expect("renewed");
    while !with_copy.is_finished() {
        turns.pass(|_| 0);
        idle().await;
    }
    with_copy.await.expect("it ends").expect("syncs");
    replica.record([note("x")]).await.expect("recorded");
    rest(&replica, [&hub, &copy], 3).await;
}

/// Syncs with both until nothing is left to do, and checks that all hold this number of recorded events, each after its
/// causes.
async fn rest(replica: &Replica<MemoryStore>, peers: [&MemoryStore; 2], recorded: usize) {
    for _ in 0..3 {
        for peer in peers {
            manager(replica, peer, None).sync().await.expect("syncs");
        }
    }
    for store in [peers[0], peers[1], replica.store()] {
        let log = log(store).await;
        assert_eq!(log.iter().filter(|event| !event.is_derived()).count(), recorded);
        for (at, event) in log.iter().enumerate() {
            let late = log[at..].iter().find(|cause| !cause.is_derived() && event.has_seen(cause));
            assert_eq!(late, None, "it comes after its effect");
        }
    }
}
