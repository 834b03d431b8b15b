//! Ten thousand conflicts in one pull settle in one pass.

use std::time::Duration;

use synckit::{Endpoint, NodeId, SyncManager};
use synckit_sqlite::SqliteStore;
use synckit_testkit::{Call, FaultPlan, FaultyStore};

use super::{edit, edited_apart, id, manager};

const MANY: usize = 10_000;

#[tokio::test]
async fn ten_thousand_conflicts_in_one_pull_settle_in_one_pass() {
    let (_, b, hub) = edited_apart(MANY).await;
    let plan = FaultPlan::new();
    let counted = SyncManager::new(FaultyStore::new(b.clone(), plan.clone()), Endpoint::new(hub.clone()));
    let report = counted.sync().await.unwrap();
    let conflicts = &report.conflicts;
    assert_eq!((report.pulled, conflicts.found, conflicts.settled, conflicts.left), (MANY, MANY, MANY, 0));
    assert!(manager(&b, &hub).replica().conflicts().await.unwrap().is_empty());
    // For each batch of conflicts a list, a read of their histories and a commit; a commit for each page, and what is
    // pushed.
    assert!(plan.calls(Call::Read) <= 30, "{} reads", plan.calls(Call::Read));
    assert!(plan.calls(Call::Commit) <= 30, "{} commits", plan.calls(Call::Commit));
    assert!(plan.calls(Call::Notes) <= 10, "{} reads of notes", plan.calls(Call::Notes));
    let report = counted.sync().await.unwrap();
    assert_eq!((report.conflicts.settled, report.round_trips), (0, 1), "nothing is left to do");
    assert_eq!(manager(&b, &hub).replica().history(&id("note-09999")).await.unwrap().live().count(), 1);
}

/// Measures a sync of a replica with a file that holds events of these aggregates and pulls the same number.
async fn pulled(hub: &synckit_memory::MemoryStore, name: &str, own: &str) -> (Duration, usize) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open_as(folder.path().join("b.db"), NodeId::new(name).unwrap()).await.unwrap();
    let replica = SyncManager::new(store, Endpoint::new(hub.clone()));
    for page in 0..MANY / 1_000 {
        let events = (0..1_000).map(|n| edit(&format!("{own}-{:05}", page * 1_000 + n), r#"{"by":"b"}"#));
        replica.replica().record(events.collect::<Vec<_>>()).await.unwrap();
    }
    let report = replica.pull().await.unwrap();
    assert_eq!(report.pulled, MANY);
    (report.duration, report.conflicts.settled)
}

/// Prints what settling costs. The time is not asserted, because a test machine guarantees none.
#[tokio::test]
async fn the_cost_of_settling_is_measured() {
    let (_, _, hub) = edited_apart(MANY).await;
    let (without, none) = pulled(&hub, "b", "other").await;
    let (with, all) = pulled(&hub, "c", "note").await;
    assert_eq!((none, all), (0, MANY));
    let ratio = with.as_secs_f64() / without.as_secs_f64();
    println!(
        "a pull of {MANY} events: {without:?} without conflicts, {with:?} with as many: {ratio:.1} times"
    );
}
