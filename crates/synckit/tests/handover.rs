//! A few new events are sent with the hello. If something changed at the peer, they are neither lost nor stored twice.

use std::time::Duration;

use synckit::{
    Access, Digest, Endpoint, ErrorKind, Event, EventStore, NewEvent, NodeId, Replica, SyncManager,
    Transport,
    store::{Cursor, Mark, StoreExt},
    transport::{Ahead, Caller, HelloRequest, PROTOCOL_VERSION, RefusedCode},
};
use synckit_memory::MemoryStore;
use synckit_sqlite::SqliteStore;
use synckit_testkit::{Call, Fault, FaultPlan, FaultyStore, FaultyTransport};

fn store(name: &str) -> MemoryStore {
    MemoryStore::new(NodeId::new(name).expect("a short name")).expect("randomness")
}

fn note(number: usize) -> NewEvent {
    NewEvent::new("NoteEdited", "note-1", &number).expect("a good event")
}

async fn same(left: &MemoryStore, right: &MemoryStore) -> bool {
    Digest::of(left).await.expect("a digest") == Digest::of(right).await.expect("a digest")
}

/// Creates a replica that has pushed one event, and recorded another.
async fn with_one_to_push<T: Transport>(a: &MemoryStore, transport: T) -> SyncManager<MemoryStore, T> {
    let manager =
        SyncManager::builder(a.clone(), transport).with_call_timeout(Duration::from_secs(5)).build();
    for number in 1..=2 {
        if number == 2 {
            manager.sync().await.expect("syncs");
        }
        manager.replica().record([note(number)]).await.expect("recorded");
    }
    manager
}

#[tokio::test]
async fn one_new_event_is_one_round_trip_in_a_new_process_as_well() {
    let (a, hub) = (store("a"), store("hub"));
    drop(with_one_to_push(&a, Endpoint::new(hub.clone())).await);
    let manager = SyncManager::new(a.clone(), Endpoint::new(hub.clone()));
    let report = manager.sync().await.expect("syncs");
    assert_eq!((report.pushed, report.round_trips), (1, 1), "{report:?}");
    let idle = manager.sync().await.expect("syncs");
    assert_eq!((idle.pushed, idle.round_trips), (0, 1), "{idle:?}");
    assert!(same(&a, &hub).await);
}

/// What was read before the hello is not read again, and nothing else is looked up.
#[tokio::test]
async fn one_new_event_is_read_once_and_takes_one_lookup() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = SqliteStore::open_as(directory.path().join("a.db"), NodeId::new("a").expect("a short name"));
    let (plan, hub) = (FaultPlan::new(), store("hub"));
    let a = FaultyStore::new(file.await.expect("opens"), plan.clone());
    let manager = SyncManager::new(a, Endpoint::new(hub.clone()));
    let calls = || [Call::Read, Call::Facts, Call::Commit].map(|call| plan.calls(call));
    for round in 0..5 {
        manager.replica().record([note(round)]).await.expect("recorded");
        let before = calls();
        manager.sync().await.expect("syncs");
        let after = calls();
        if round > 0 {
            assert_eq!([0, 1, 2].map(|at| after[at] - before[at]), [1, 1, 1], "round {round}");
        }
    }
}

#[tokio::test]
async fn two_hubs_in_turn_cost_one_round_trip_each() {
    let (a, hubs) = (store("a"), [store("hub-1"), store("hub-2")]);
    let replica = Replica::new(a.clone());
    let managers = hubs.clone().map(|hub| SyncManager::new(replica.clone(), Endpoint::new(hub)));
    for round in 0..4 {
        replica.record([note(round)]).await.expect("recorded");
        for manager in &managers {
            let report = manager.sync().await.expect("syncs");
            // The first sync with a hub meets a stranger.
            assert!(report.pushed == 1 && (round == 0 || report.round_trips == 1), "{round}: {report:?}");
            let idle = manager.sync().await.expect("syncs");
            assert_eq!(idle.round_trips, 1, "{round}");
        }
    }
    for hub in &hubs {
        assert!(same(&a, hub).await);
    }
}

#[tokio::test]
async fn two_hubs_in_turn_cost_one_round_trip_each_in_new_processes_as_well() {
    let (a, hubs) = (store("a"), [store("hub-1"), store("hub-2")]);
    for round in 0..4 {
        for (at, hub) in hubs.iter().enumerate() {
            let manager = SyncManager::builder(a.clone(), Endpoint::new(hub.clone()));
            let manager = manager.with_address(format!("http://hub-{at}")).build();
            if at == 0 {
                manager.replica().record([note(round)]).await.expect("recorded");
            }
            let report = manager.sync().await.expect("syncs");
            assert!(report.pushed == 1 && (round == 0 || report.round_trips == 1), "{round}: {report:?}");
        }
    }
    for hub in &hubs {
        assert!(same(&a, hub).await);
    }
}

#[tokio::test]
async fn what_others_have_brought_meanwhile_is_pulled_in_the_same_sync() {
    let (a, b, hub) = (store("a"), store("b"), store("hub"));
    let manager = with_one_to_push(&a, Endpoint::new(hub.clone())).await;
    let other = SyncManager::new(b, Endpoint::new(hub.clone()));
    other
        .replica()
        .record([NewEvent::new("NoteEdited", "note-2", &1).expect("good")])
        .await
        .expect("recorded");
    other.sync().await.expect("syncs");
    let report = manager.sync().await.expect("syncs");
    assert_eq!((report.pushed, report.pulled, report.round_trips), (1, 1, 2), "{report:?}");
    assert!(same(&a, &hub).await);
    assert_eq!(
        manager.sync().await.expect("syncs").round_trips,
        1,
        "the place in the hub's log has moved on"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_and_a_lost_hello_store_the_event_once() {
    for fault in [Fault::LOSE_ANSWER, Fault::LOSE_REQUEST, Fault::Hang] {
        let (a, hub, plan) = (store("a"), store("hub"), FaultPlan::new());
        let transport = FaultyTransport::new(Endpoint::new(hub.clone()), plan.clone());
        let manager = with_one_to_push(&a, transport).await;
        plan.nth(Call::Hello, 1, fault);
        let report = manager.sync().await.expect("the next try gets through");
        // The retried hello carries no events. Then comes a push, or a pull that finds only the events whose response
        // was lost.
        let pushed = if fault == Fault::LOSE_ANSWER { 0 } else { 1 };
        assert_eq!((report.pushed, report.round_trips), (pushed, 3), "{fault:?}: {report:?}");
        assert!(same(&a, &hub).await);
        assert_eq!(manager.sync().await.expect("syncs").round_trips, 1);
    }
}

#[tokio::test]
async fn a_hello_that_is_too_large_is_said_again_without_events() {
    let (a, hub, plan) = (store("a"), store("hub"), FaultPlan::new());
    let transport = FaultyTransport::new(Endpoint::new(hub.clone()), plan.clone());
    let manager = with_one_to_push(&a, transport).await;
    plan.nth(Call::Hello, 1, Fault::Fail(ErrorKind::TooLarge));
    let report = manager.sync().await.expect("syncs");
    assert_eq!((report.pushed, report.round_trips), (1, 3), "{report:?}");
    assert!(same(&a, &hub).await);
}

/// Denies writing any event whose content is 2.
struct NotTwo;

impl Access for NotTwo {
    fn may_read(&self, _: &Caller, _: &Event) -> bool {
        true
    }

    fn may_write(&self, _: &Caller, event: &Event) -> bool {
        event.data.as_bytes() != b"2"
    }
}

#[tokio::test]
async fn an_event_that_is_refused_with_a_hello_is_told_of_and_the_others_are_held() {
    let (a, hub) = (store("a"), store("hub"));
    let manager = with_one_to_push(&a, Endpoint::new(hub.clone()).with_access(NotTwo)).await;
    manager.replica().record([note(3)]).await.expect("recorded");
    let report = manager.sync().await.expect("syncs");
    assert_eq!(report.refused.len(), 1, "{report:?}");
    assert_eq!(report.refused[0].code, RefusedCode::Denied);
    assert_eq!((report.pushed + report.duplicates, hub.head().await.expect("a head").position), (1, 2));
}

/// A hello of `a` that hands over another event under the stamp of this one, after the first place in its log, as a copy
/// of `a` would that knows only that place and `latest`. Also returns the place.
async fn another_event_like(
    event: &Event,
    latest: &Event,
    a: &MemoryStore,
    hub: &MemoryStore,
) -> (HelloRequest, Cursor) {
    let caller =
        Caller { node: NodeId::new("a").expect("valid"), store: a.head().await.expect("a head").store };
    let after = a.cursor_at(1).await.expect("it is there");
    let new = Event { id: "another".parse().expect("valid"), ..event.clone() };
    let upto = Cursor::at(caller.store, 2, Mark(7));
    let peer = hub.head().await.expect("a head").store;
    let latest = Some(latest.id.clone());
    let hello = HelloRequest {
        protocol: PROTOCOL_VERSION,
        caller,
        filter: "all".to_owned(),
        known: Vec::new(),
        ahead: Some(Ahead { peer, after: after.clone(), latest, events: vec![new], upto }),
    };
    (hello, after)
}

/// The replica was restored from a backup, and the peer knows its lost events from elsewhere.
#[tokio::test]
async fn nothing_is_stored_where_the_peer_knows_more_of_the_caller_than_the_caller_expects() {
    let (a, b, hub) = (store("a"), store("b"), store("hub"));
    let manager = with_one_to_push(&a, Endpoint::new(hub.clone())).await;
    let events = a.read(synckit::store::Query::after(0)).await.expect("a page").events;
    // The second event, which the copy does not have, reaches the hub by way of b.
    SyncManager::new(a.clone(), Endpoint::new(b.clone())).sync().await.expect("syncs");
    SyncManager::new(b, Endpoint::new(hub.clone())).sync().await.expect("syncs");
    assert_eq!(hub.head().await.expect("a head").position, 2);
    let (hello, after) = another_event_like(&events[1].event, &events[0].event, &a, &hub).await;
    let answer = Endpoint::new(hub.clone()).hello(hello).await.expect("an answer");
    assert_eq!((answer.pushed, answer.counter, answer.ahead), (Some(after), 2, None));
    assert_eq!(hub.head().await.expect("a head").position, 2);
    drop(manager);
}

/// The peer has pulled more from the caller's log than the restored caller knows of. That is a foreign event
/// only, so no counter shows it.
#[tokio::test]
async fn nothing_is_stored_where_the_peer_knows_a_further_place_in_the_callers_log() {
    let (a, b, hub) = (store("a"), store("b"), store("hub"));
    let to_hub = SyncManager::new(a.clone(), Endpoint::new(hub.clone()));
    to_hub.replica().record([note(1)]).await.expect("recorded");
    to_hub.sync().await.expect("syncs");
    let events = a.read(synckit::store::Query::after(0)).await.expect("a page").events;
    let from_b = SyncManager::new(b, Endpoint::new(a.clone()));
    from_b
        .replica()
        .record([NewEvent::new("NoteEdited", "note-2", &1).expect("good")])
        .await
        .expect("recorded");
    from_b.push().await.expect("pushes");
    SyncManager::new(hub.clone(), Endpoint::new(a.clone())).pull().await.expect("pulls");
    let (hello, after) = another_event_like(&events[0].event, &events[0].event, &a, &hub).await;
    let answer = Endpoint::new(hub.clone()).hello(hello).await.expect("an answer");
    assert_eq!((answer.pushed, answer.counter, answer.ahead), (Some(after), 1, None));
    let known: Vec<_> = answer.known.iter().map(Cursor::position).collect();
    assert_eq!(known, [1, 2]);
}
