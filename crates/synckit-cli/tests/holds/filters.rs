//! A filter that passes half, and one that is widened.

use synckit::{Filter, NewEvent, SyncManager};
use synckit_sqlite::SqliteStore;

use crate::support::{Hub, Manager, assert_same, folder, open, recorded, settle};

fn filtered(hub: &Hub, store: &SqliteStore, types: &[&str]) -> Manager {
    let filter =
        types.iter().try_fold(Filter::new(), |filter, name| filter.with_type(name)).expect("a good filter");
    SyncManager::builder(store.clone(), hub.transport()).with_filter(filter).build()
}

async fn record_both(manager: &Manager, who: &str, count: usize) {
    let events = (0..count).map(|number| {
        let kind = if number % 2 == 0 { "Public" } else { "Private" };
        NewEvent::new(kind, format!("{who}-{number}"), &number).expect("a good event")
    });
    manager.record(events).await.expect("events are recorded");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_sync_moves_only_what_is_new_and_a_wider_filter_brings_the_rest() {
    let folder = folder();
    let hub = Hub::start(folder.path()).await;
    let (a, b) = (open(folder.path(), "a").await, open(folder.path(), "b").await);
    let (narrow_a, all_b) = (filtered(&hub, &a, &["Public"]), hub.manager(&b));
    record_both(&narrow_a, "a", 100).await;
    record_both(&all_b, "b", 100).await;
    all_b.sync().await.expect("b syncs");

    let first = narrow_a.sync().await.expect("a syncs");
    assert_eq!((first.pushed, first.pulled, first.duplicates), (50, 50, 0));
    let again = narrow_a.sync().await.expect("a syncs");
    assert_eq!((again.pushed, again.pulled, again.duplicates), (0, 0, 0));
    assert!(again.bytes_sent + again.bytes_received < 3_000, "{again:?}");

    record_both(&narrow_a, "a again", 10).await;
    record_both(&all_b, "b again", 10).await;
    all_b.sync().await.expect("b syncs");
    let next = narrow_a.sync().await.expect("a syncs");
    assert_eq!((next.pushed, next.pulled, next.duplicates), (5, 5, 0));

    let wider = filtered(&hub, &a, &["Public", "Private"]);
    let widened = wider.sync().await.expect("a syncs with a wider filter");
    assert_eq!((widened.pushed, widened.pulled), (55, 55), "{widened:?}");
    assert_eq!(recorded(&a).await.len(), 220);
    settle(&[&wider, &all_b]).await;
    assert_same(&[&hub.store, &a, &b], 220).await;
    hub.stop().await;
}
