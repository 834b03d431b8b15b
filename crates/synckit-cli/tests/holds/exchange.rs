//! Replicas that recorded offline meet at a hub.

use crate::support::{Hub, assert_causal, assert_same, folder, open, record, settle};

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_with_100_events_each_agree_after_two_syncs_each() {
    let folder = folder();
    let hub = Hub::start(folder.path()).await;
    let (a, b) = (open(folder.path(), "a").await, open(folder.path(), "b").await);
    let (to_a, to_b) = (hub.manager(&a), hub.manager(&b));
    record(&to_a, "from a", 100, 10).await;
    record(&to_b, "from b", 100, 10).await;
    for _ in 0..2 {
        to_a.sync().await.expect("a syncs");
        to_b.sync().await.expect("b syncs");
    }
    assert_same(&[&hub.store, &a, &b], 200).await;
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unequal_replicas_and_a_hub_with_events_agree_through_three_rounds_of_writes() {
    let folder = folder();
    let hub = Hub::start(folder.path()).await;
    let elsewhere = open(folder.path(), "elsewhere").await;
    let other = hub.manager(&elsewhere);
    record(&other, "from elsewhere", 50, 7).await;
    other.sync().await.expect("the other syncs");

    let (a, b) = (open(folder.path(), "a").await, open(folder.path(), "b").await);
    let (to_a, to_b) = (hub.manager(&a), hub.manager(&b));
    record(&to_a, "from a", 100, 10).await;
    record(&to_b, "from b", 150, 10).await;
    let mut events = 300;
    for round in 0..3 {
        to_a.sync().await.expect("a syncs");
        record(&to_a, &format!("a in round {round}"), 10, 4).await;
        to_b.sync().await.expect("b syncs");
        record(&to_b, &format!("b in round {round}"), 5, 4).await;
        events += 15;
    }
    for _ in 0..2 {
        to_a.sync().await.expect("a syncs");
        to_b.sync().await.expect("b syncs");
    }
    settle(&[&to_a, &to_b, &other]).await;
    let all = [&hub.store, &a, &b, &elsewhere];
    assert_same(&all, events).await;
    for store in all {
        assert_causal(store).await;
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_syncs_at_once_on_one_manager_queue_up() {
    let folder = folder();
    let hub = Hub::start(folder.path()).await;
    let a = open(folder.path(), "a").await;
    let manager = hub.manager(&a);
    record(&manager, "from a", 100, 10).await;
    let (one, two) = tokio::join!(manager.sync(), manager.sync());
    let pushed = [one.expect("syncs").pushed, two.expect("syncs").pushed];
    assert_eq!(pushed.iter().sum::<usize>(), 100);
    assert!(pushed.contains(&0), "the second had nothing left to do: {pushed:?}");
    hub.stop().await;
}
