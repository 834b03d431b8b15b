//! A hub and replicas that were restored from older copies of their files.

use synckit::EventStore;

use crate::support::{
    Hub, assert_causal, assert_same, copy_file, folder, log, open, record, recorded, settle,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_hub_holds_everything_again_after_one_sync_of_each_replica() {
    let folder = folder();
    let (file, backup) = (folder.path().join("hub.db"), folder.path().join("backup"));
    let (a, b) = (open(folder.path(), "a").await, open(folder.path(), "b").await);

    let hub = Hub::start(folder.path()).await;
    record(&hub.manager(&a), "before", 100, 10).await;
    settle(&[&hub.manager(&a), &hub.manager(&b)]).await;
    hub.stop().await;
    copy_file(&file, &backup);

    let hub = Hub::start(folder.path()).await;
    record(&hub.manager(&a), "a after", 50, 10).await;
    record(&hub.manager(&b), "b after", 70, 10).await;
    settle(&[&hub.manager(&a), &hub.manager(&b)]).await;
    hub.stop().await;
    copy_file(&backup, &file);

    let hub = Hub::start(folder.path()).await;
    assert_eq!(recorded(&hub.store).await.len(), 100, "the hub was set back");
    let report = hub.manager(&a).sync().await.expect("a syncs");
    assert!(report.recovery.peer_was_reset, "{report:?}");
    hub.manager(&b).sync().await.expect("b syncs");
    assert_same(&[&hub.store, &a, &b], 220).await;
    assert_causal(&hub.store).await;
    // It is over: nothing is offered again the next time.
    let after = hub.manager(&a).sync().await.expect("a syncs");
    assert!(!after.recovery.peer_was_reset && after.round_trips <= 3, "{after:?}");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_hub_is_filled_again() {
    let folder = folder();
    let (a, b) = (open(folder.path(), "a").await, open(folder.path(), "b").await);
    let hub = Hub::start(folder.path()).await;
    record(&hub.manager(&a), "from a", 100, 10).await;
    record(&hub.manager(&b), "from b", 100, 10).await;
    settle(&[&hub.manager(&a), &hub.manager(&b)]).await;
    hub.stop().await;
    copy_file(&folder.path().join("nothing"), &folder.path().join("hub.db"));

    let hub = Hub::start(folder.path()).await;
    assert!(log(&hub.store).await.is_empty());
    // One replica is enough: it gives back what came from the other as well.
    hub.manager(&a).sync().await.expect("a syncs");
    assert_same(&[&hub.store, &a, &b], 200).await;
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_replica_takes_back_its_events_and_authors_again_what_clashes() {
    let folder = folder();
    let (file, backup) = (folder.path().join("a.db"), folder.path().join("backup"));
    let hub = Hub::start(folder.path()).await;
    let b = open(folder.path(), "b").await;

    let a = open(folder.path(), "a").await;
    record(&hub.manager(&a), "before", 100, 10).await;
    settle(&[&hub.manager(&a), &hub.manager(&b)]).await;
    a.close().await.expect("the store closes");
    copy_file(&file, &backup);

    let a = open(folder.path(), "a").await;
    record(&hub.manager(&a), "lost", 30, 10).await;
    settle(&[&hub.manager(&a), &hub.manager(&b)]).await;
    a.close().await.expect("the store closes");
    copy_file(&backup, &file);

    // It does not know that it was set back, and goes on: the dots a:101 to a:120 are used twice.
    let a = open(folder.path(), "a").await;
    record(&hub.manager(&a), "since", 20, 10).await;
    let before = recorded(&a).await;
    let report = hub.manager(&a).sync().await.expect("a syncs");
    assert!(report.recovery.restored_here, "{report:?}");
    assert_eq!(report.recovery.authored_again, 20);
    assert_eq!(report.recovery.renamed_to.as_ref().map(|name| name.as_str()), Some("a~2"));
    assert_eq!(report.refused_count, 0, "{report:?}");
    settle(&[&hub.manager(&a), &hub.manager(&b)]).await;
    assert_same(&[&hub.store, &a, &b], 150).await;
    assert_causal(&b).await;
    let after = recorded(&b).await;
    for (id, event) in before {
        assert_eq!(after[&id].data, event.data, "{id} kept its id and its content");
    }
    let next = hub.manager(&a).sync().await.expect("a syncs");
    assert!(!next.recovery.restored_here && next.round_trips <= 3, "{next:?}");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_replica_that_recorded_nothing_takes_back_its_events() {
    let folder = folder();
    let (file, backup) = (folder.path().join("a.db"), folder.path().join("backup"));
    let hub = Hub::start(folder.path()).await;
    let a = open(folder.path(), "a").await;
    a.close().await.expect("the store closes");
    copy_file(&file, &backup);
    let a = open(folder.path(), "a").await;
    record(&hub.manager(&a), "lost", 30, 10).await;
    hub.manager(&a).sync().await.expect("a syncs");
    a.close().await.expect("the store closes");
    copy_file(&backup, &file);

    let a = open(folder.path(), "a").await;
    hub.manager(&a).sync().await.expect("a syncs");
    assert_same(&[&hub.store, &a], 30).await;
    // New events get dots that nobody has used.
    record(&hub.manager(&a), "new", 5, 2).await;
    hub.manager(&a).sync().await.expect("a syncs");
    assert_same(&[&hub.store, &a], 35).await;
    hub.stop().await;
}
