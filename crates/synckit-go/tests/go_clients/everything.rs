//! Everybody gets everything: two clients with their own tables, and replicas beside them.

use serde_json::json;
use synckit_core::EventStore;

use crate::hub::{Hub, event, new_event};
use crate::table::Table;

/// Syncs two clients, each with its own table and 100 offline events, and a replica, until nobody has anything left.
async fn all_get_everything(mut hub: Hub, restart: bool) {
    let replica = hub.replica("rep").await;
    replica
        .replica()
        .record((0..20).map(|n| new_event(&format!("rep-{n}"), &format!("r{n}"))))
        .await
        .unwrap();
    let (mut ann, mut bob) = (Table::new("/sync/clients/ann"), Table::v0_8("/clients/bob"));
    for n in 0..100 {
        ann.record(&format!("ann-{n}"), &format!("a{}", n % 10));
        bob.record(&format!("bob-{n}"), &format!("b{}", n % 10));
    }
    let expected = hub.ids().await.len() + 220;
    for round in 0..4 {
        ann.sync(&hub).await.expect("nothing comes twice");
        bob.sync(&hub).await.expect("nothing comes twice");
        replica.sync().await.unwrap();
        if restart && round == 0 {
            hub = hub.restart().await;
            replica.replica().store().close().await.unwrap();
            return Box::pin(rest(hub, ann, bob, expected)).await;
        }
    }
    check(&hub, &ann, &bob, expected).await;
    let ids = replica.replica().store().head().await.unwrap().position;
    assert_eq!(ids as usize, expected, "the replica sees them");
    assert_eq!(hub.conflicts().await, [""; 0]);
}

async fn rest(hub: Hub, mut ann: Table, mut bob: Table, expected: usize) {
    let replica = hub.replica("rep").await;
    for _ in 0..3 {
        ann.sync(&hub).await.expect("nothing comes twice");
        bob.sync(&hub).await.expect("nothing comes twice");
        replica.sync().await.unwrap();
    }
    check(&hub, &ann, &bob, expected).await;
}

async fn check(hub: &Hub, ann: &Table, bob: &Table, expected: usize) {
    let ids = hub.ids().await;
    assert_eq!((ids.len(), hub.log().await.len()), (expected, expected));
    assert_eq!(ann.ids(), ids);
    assert_eq!(bob.ids(), ids);
}

#[tokio::test]
async fn two_clients_with_100_offline_events_each_and_an_empty_hub() {
    all_get_everything(Hub::start().await, false).await;
}

#[tokio::test]
async fn two_clients_with_100_offline_events_each_and_a_hub_that_holds_50() {
    all_get_everything(Hub::holding(50).await, false).await;
}

#[tokio::test]
async fn the_hub_restarts_in_between() {
    all_get_everything(Hub::holding(50).await, true).await;
}

#[tokio::test]
async fn a_client_that_keeps_the_numbers_it_is_given_confirms_by_them() {
    let hub = Hub::holding(5).await;
    let page = hub.get("/clients/ann/pull?since=").await.json();
    let last = page.as_array().unwrap().last().unwrap()["version"].as_str().unwrap().to_owned();
    assert_eq!(page.as_array().unwrap().len(), 5);
    assert_eq!(hub.get(&format!("/clients/ann/pull?since={last}")).await.json(), json!([]));
    let edit = json!([event("a1", "s1", json!(1))]);
    assert_eq!(hub.post("/clients/ann/push", &edit).await.status, 200);
    assert_eq!(hub.conflicts().await, [""; 0]);
}

#[tokio::test]
async fn a_client_whose_table_was_wiped_gets_everything_again_its_own_included() {
    let hub = Hub::holding(5).await;
    let mut ann = Table::new("/clients/ann");
    (0..5).for_each(|n| ann.record(&format!("a-{n}"), "x"));
    for _ in 0..2 {
        ann.sync(&hub).await.unwrap();
    }
    assert_eq!(ann.ids(), hub.ids().await);
    let mut ann = Table::new("/clients/ann");
    for _ in 0..2 {
        ann.sync(&hub).await.unwrap();
    }
    assert_eq!(ann.ids(), hub.ids().await);
}

#[tokio::test]
async fn clients_that_bring_the_same_history_meet_each_other() {
    let hub = Hub::start().await;
    let (mut ann, mut bob) = (Table::new("/clients/ann"), Table::v0_8("/clients/bob"));
    for n in 0..250 {
        ann.record(&format!("old-{n}"), "x");
        assert!(bob.insert(
            event(&format!("old-{}", 249 - n), "x", json!({"by": "/clients/ann", "n": 1.5}))["event"].take()
        ));
    }
    bob.record("bob-new", "y");
    for _ in 0..2 {
        ann.sync(&hub).await.expect("nothing comes twice");
        bob.sync(&hub).await.expect("nothing comes twice");
    }
    ann.sync(&hub).await.expect("nothing comes twice");
    assert_eq!(hub.log().await.len(), 251);
    assert_eq!((ann.ids(), bob.ids()), (hub.ids().await, hub.ids().await));
}

#[tokio::test]
async fn a_resolution_is_pulled_like_any_event_and_may_come_back() {
    let hub = Hub::start().await;
    let replica = hub.replica("rep").await;
    replica.replica().record([new_event("r1", "x")]).await.unwrap();
    let mut ann = Table::new("/clients/ann");
    ann.record("a1", "x");
    ann.sync(&hub).await.unwrap();
    replica.sync().await.unwrap();
    assert_eq!(hub.log().await.len(), 3, "two heads, settled by the replica");
    for _ in 0..2 {
        ann.sync(&hub).await.expect("nothing comes twice");
    }
    assert_eq!(ann.ids(), hub.ids().await);
}
