//! A replica without a network, and with several peers at once.

use synckit::{
    Digest, Endpoint, ErrorKind, EventStore, Limits, NewEvent, NodeId, Replica, Result, RetryPolicy,
    SyncManager, observe::Notice,
};
use synckit_memory::MemoryStore;
use synckit_testkit::{Call, Fault, FaultPlan, FaultyTransport};

fn store(name: &str) -> MemoryStore {
    MemoryStore::new(NodeId::new(name).expect("a short name")).expect("randomness")
}

fn note(text: &str, number: usize) -> NewEvent {
    NewEvent::new("NoteEdited", format!("note-{number}"), text).expect("a good event")
}

async fn same(left: &MemoryStore, right: &MemoryStore) -> bool {
    Digest::of(left).await.expect("a digest") == Digest::of(right).await.expect("a digest")
}

#[tokio::test]
async fn what_is_recorded_at_once_is_limited_as_a_batch_is() {
    let limits = Limits { batch_events: 3, batch_bytes: 1_000, ..Limits::default() };
    let replica = Replica::builder(store("a")).with_limits(limits).build();
    let note = |text: &str| NewEvent::new("NoteEdited", "note-1", text).expect("a good event");
    let error = replica.record((0..).map(|n| note(&n.to_string()))).await.expect_err("there is no end");
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.message().contains("at most 3 events") && error.message().contains("several batches"));
    let large = "x".repeat(600);
    let error = replica.record([note(&large), note(&large)]).await.expect_err("1,200 bytes");
    assert!(error.kind() == ErrorKind::TooLarge && error.message().contains("at most 1000 bytes"), "{error}");
    assert_eq!(replica.status().await.expect("a status").events, 0);
    replica.record((0..3).map(|n| note(&n.to_string()))).await.expect("recorded");
    replica.record([note(&"x".repeat(2_000))]).await.expect("one event always fits");
    assert_eq!(replica.status().await.expect("a status").events, 4);
}

#[tokio::test]
async fn a_replica_needs_no_peer() -> Result<()> {
    let replica = Replica::new(store("a"));
    let recorded = replica.record([note("first", 1), note("second", 1)]).await?;
    assert_eq!(recorded.head, 2);
    let history = replica.history(&recorded.events[0].aggregate_id).await?;
    assert_eq!(history.entries().len(), 2);
    assert_eq!(replica.settle_listed().await?.settled, 0);
    let status = replica.status().await?;
    assert_eq!((status.events, status.conflicts, status.peers.len()), (2, 0, 0));
    assert_eq!(replica.digest().await?, Digest::of(replica.store()).await?);
    Ok(())
}

#[tokio::test]
async fn one_replica_syncs_with_two_hubs_at_once() {
    let (a, b, one, two) = (store("a"), store("b"), store("one"), store("two"));
    SyncManager::new(b.clone(), Endpoint::new(two.clone())).sync().await.expect("syncs");
    let replica = Replica::new(a.clone());
    let to_one = SyncManager::new(replica.clone(), Endpoint::new(one.clone()));
    let to_two = SyncManager::new(replica.clone(), Endpoint::new(two.clone()));
    for round in 0..20 {
        replica.record([note("here", round)]).await.expect("recorded");
        Replica::new(b.clone()).record([note("there", round)]).await.expect("recorded");
        SyncManager::new(b.clone(), Endpoint::new(two.clone())).sync().await.expect("syncs");
        let (left, right) = tokio::join!(to_one.sync(), to_two.sync());
        assert_eq!((left.expect("syncs").refused_count, right.expect("syncs").refused_count), (0, 0));
    }
    for manager in [&to_one, &to_two, &to_one] {
        manager.sync().await.expect("syncs");
    }
    SyncManager::new(b.clone(), Endpoint::new(two.clone())).sync().await.expect("syncs");
    assert!(same(&a, &one).await && same(&a, &two).await && same(&a, &b).await);
    assert_eq!(replica.status().await.expect("a status").conflicts, 0);
}

#[tokio::test]
async fn a_hub_that_is_gone_does_not_hold_up_another() {
    let (a, here, gone) = (store("a"), store("here"), store("gone"));
    let replica = Replica::new(a.clone());
    replica.record([note("text", 1)]).await.expect("recorded");
    let plan = FaultPlan::new();
    let silent = FaultyTransport::new(Endpoint::new(gone.clone()), plan.clone());
    let to_gone = SyncManager::builder(replica.clone(), silent).with_retry(RetryPolicy::never()).build();
    let to_here = SyncManager::new(replica.clone(), Endpoint::new(here.clone()));
    // It hangs at each of its calls in turn; the other continues in the meantime.
    for (call, fired) in [(Call::Hello, 1), (Call::Push, 2)] {
        plan.nth(call, 1, Fault::Hang);
        replica.record([note("more", 2)]).await.expect("recorded");
        let hanging = to_gone.sync();
        tokio::pin!(hanging);
        let report = tokio::select! {
            biased;
            _ = &mut hanging => panic!("the hub does not answer"),
            report = to_here.sync() => report,
        };
        assert!(report.expect("syncs").pushed > 0);
        assert_eq!(plan.fired().len(), fired, "{call:?}");
        assert!(same(&a, &here).await);
    }
    plan.heal();
    to_gone.sync().await.expect("syncs");
    assert!(same(&a, &gone).await);
}

#[tokio::test]
async fn conflicts_are_settled_once_where_two_managers_find_them() {
    let (a, b, one, two) = (store("a"), store("b"), store("one"), store("two"));
    let other = Replica::new(b.clone());
    for hub in [&one, &two] {
        SyncManager::new(other.clone(), Endpoint::new(hub.clone())).sync().await.expect("syncs");
    }
    for number in 0..30 {
        other.record([note("there", number)]).await.expect("recorded");
    }
    for hub in [&one, &two] {
        SyncManager::new(other.clone(), Endpoint::new(hub.clone())).sync().await.expect("syncs");
    }
    let (told, settled) = std::sync::mpsc::channel();
    let replica = Replica::builder(a.clone())
        .with_observer(move |notice: &Notice<'_>| {
            if let Notice::ConflictSettled { aggregate, .. } = notice {
                told.send(aggregate.to_string()).expect("somebody listens");
            }
        })
        .build();
    for number in 0..30 {
        replica.record([note("here", number)]).await.expect("recorded");
    }
    let to_one = SyncManager::new(replica.clone(), Endpoint::new(one.clone()));
    let to_two = SyncManager::new(replica.clone(), Endpoint::new(two.clone()));
    let (left, right) = tokio::join!(to_one.sync(), to_two.sync());
    let (left, right) = (left.expect("syncs"), right.expect("syncs"));
    assert_eq!(left.conflicts.settled + right.conflicts.settled, 30);
    let mut aggregates: Vec<String> = settled.try_iter().collect();
    aggregates.sort_unstable();
    aggregates.dedup();
    assert_eq!(aggregates.len(), 30, "each is settled, and none twice");
    for manager in [&to_one, &to_two] {
        manager.sync().await.expect("syncs");
    }
    assert!(same(&a, &one).await && same(&a, &two).await);
}

#[tokio::test]
async fn a_closed_store_says_so_through_a_replica() {
    let replica = Replica::new(store("a"));
    replica.store().close().await.expect("closes");
    let error = replica.record([note("late", 1)]).await.expect_err("it is closed");
    assert_eq!(error.kind(), ErrorKind::Closed);
}
