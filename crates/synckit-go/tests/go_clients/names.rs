//! The names under which events of clients are authored, also by a hub that was restored.

use synckit_core::EventStore;
use synckit_go::GoClients;
use synckit_sqlite::SqliteStore;

use crate::hub::{Hub, node};
use crate::table::Table;

#[tokio::test]
async fn names_of_clients_are_checked() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open_as(directory.path().join("hub.db"), node("hub")).await.unwrap();
    let clients = || GoClients::new(store.clone()).with_client("ann", node("go-ann")).unwrap();
    for (name, of) in
        [("", "a"), ("a/b", "a"), ("a b", "a"), ("ann", "other"), ("other", "go-ann"), ("other", "till~1")]
    {
        assert!(clients().with_client(name, node(of)).is_err(), "{name} {of}");
    }
}

#[tokio::test]
async fn a_client_cannot_have_a_name_of_the_hub() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open_as(directory.path().join("hub.db"), node("hub")).await.unwrap();
    let clients = GoClients::new(store.clone()).with_client("ann", node("hub")).unwrap();
    let error = clients.routes().await.expect_err("the hub writes under this name");
    assert!(
        error.to_string().contains("the node id of the hub") && error.to_string().contains("ann"),
        "{error}"
    );
    let clients = GoClients::new(store).with_client("ann", node("go-ann")).unwrap();
    assert!(clients.routes().await.is_ok());
}

#[tokio::test]
async fn a_restored_hub_that_hears_its_replicas_first_stamps_nothing_twice() {
    let hub = Hub::start().await;
    let mut ann = Table::new("/clients/ann");
    ann.record("a1", "x");
    ann.sync(&hub).await.unwrap();
    let directory = hub.stop().await;
    let (file, copy) = (directory.path().join("hub.db"), directory.path().join("copy.db"));
    std::fs::copy(&file, &copy).unwrap();

    let hub = Hub::open(directory, true).await;
    let replica = hub.replica("rep").await;
    ann.record("a2", "x");
    ann.sync(&hub).await.unwrap();
    replica.sync().await.unwrap();
    let stamped = hub.log().await[1].event.clone();
    replica.replica().store().close().await.unwrap();
    let directory = hub.stop().await;
    std::fs::copy(&copy, &file).unwrap();

    let hub = Hub::open(directory, false).await;
    let replica = hub.replica("rep").await;
    replica.sync().await.unwrap();
    replica.replica().store().close().await.unwrap();
    let hub = hub.restart().await;
    ann.record("a3", "x");
    ann.sync(&hub).await.unwrap();
    let replica = hub.replica("rep").await;
    let report = replica.sync().await.unwrap();
    assert_eq!((report.pulled, hub.conflicts().await), (1, Vec::new()));
    let log = hub.log().await;
    assert_eq!(log[1].event, stamped, "a replica brought it back as it was");
    let name = log[2].event.dot.as_ref().unwrap().node.clone();
    assert!(name.as_str().starts_with("go-ann~"), "{name}");
    assert!(log[2].event.has_seen(&stamped));
    assert_eq!(replica.replica().store().head().await.unwrap().position, 3);
}

#[tokio::test]
async fn a_replica_that_takes_the_name_of_an_old_client_goes_on_under_a_fresh_one() {
    let hub = Hub::start().await;
    let mut ann = Table::new("/clients/ann");
    ann.record("a1", "x");
    ann.sync(&hub).await.unwrap();
    let report = hub.replica("go-ann").await.sync().await.unwrap();
    assert_eq!((report.pulled, report.pushed), (1, 0));
    let name = report.recovery.renamed_to.expect("a fresh name");
    assert!(name.as_str().starts_with("go-ann~"), "{name}");
}
