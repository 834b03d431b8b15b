//! What one new event costs after a long history.

use synckit::{Digest, store::StoreExt};

use crate::support::{Hub, folder, note, open, record};

#[tokio::test(flavor = "multi_thread")]
async fn one_new_event_after_100_000_costs_two_requests_at_most_and_under_2_kib() {
    let folder = folder();
    let hub = Hub::start(folder.path()).await;
    let (a, b) = (open(folder.path(), "a").await, open(folder.path(), "b").await);
    let (to_a, to_b) = (hub.manager(&a), hub.manager(&b));
    for _ in 0..20 {
        record(&to_a, "history", 5_000, 1_000).await;
    }
    let all = to_a.sync().await.expect("a syncs");
    assert_eq!(all.pushed, 100_000);
    let pulled = to_b.sync().await.expect("b syncs");
    assert_eq!(pulled.pulled, 100_000);

    to_a.replica().record([note("one more", 1)]).await.expect("an event is recorded");
    let sent = to_a.sync().await.expect("a syncs");
    let got = to_b.sync().await.expect("b syncs");
    assert_eq!((sent.pushed, got.pulled), (1, 1));
    for report in [&sent, &got] {
        assert!(report.round_trips <= 2, "{report:?}");
        assert!(report.bytes_sent < 2_048 && report.bytes_received < 2_048, "{report:?}");
    }
    let idle = to_a.sync().await.expect("a syncs");
    assert!(idle.round_trips <= 2 && idle.bytes_sent < 2_048 && idle.bytes_received < 2_048, "{idle:?}");
    assert_eq!(Digest::of(&a).await.expect("a digest"), Digest::of(&b).await.expect("a digest"));
    assert_eq!(a.events_of(&note("", 1).aggregate_id).await.expect("a history").len(), 101);
    hub.stop().await;
}
