//! A filter that passes half, and one that is widened.

use synckit::SyncManager;
use synckit_core::{Filter, NewEvent, Result};

use super::ground::{assert_same, record, recorded, settle};
use super::world::{Hub, Log, Manager};
use super::{Cell, Ended, ScenarioResult};
use crate::check::Created;

async fn filtered(hub: &Hub, replica: &Log, types: &[&str]) -> Result<Manager> {
    let filter = types.iter().try_fold(Filter::new(), |filter, name| filter.with_type(name))?;
    Ok(SyncManager::builder(replica.store.clone(), hub.connect().await?).with_filter(filter).build())
}

/// Records events of which every other one is public.
async fn record_both(manager: &Manager, who: &str, count: usize, created: &mut Created) -> Result<()> {
    let events: Result<Vec<NewEvent>> = (0..count)
        .map(|number| {
            let kind = if number % 2 == 0 { "Public" } else { "Private" };
            NewEvent::new(kind, format!("{who}-{number}"), &number)
        })
        .collect();
    record(manager, events?, created).await?;
    Ok(())
}

pub(super) async fn run(cell: &Cell) -> ScenarioResult {
    let (hub, mut created) = (Hub::start(cell).await?, Created::new());
    let (a, b) = (Log::make(&cell.replica, "a").await?, Log::make(&cell.replica, "b").await?);
    let (narrow_a, all_b) = (filtered(&hub, &a, &["Public"]).await?, hub.manager(&b).await?);
    record_both(&narrow_a, "a", 100, &mut created).await?;
    record_both(&all_b, "b", 100, &mut created).await?;
    all_b.sync().await?;

    let first = narrow_a.sync().await?;
    assert_eq!((first.pushed, first.pulled, first.duplicates), (50, 50, 0), "{first:?}");
    let again = narrow_a.sync().await?;
    assert_eq!((again.pushed, again.pulled, again.duplicates), (0, 0, 0), "{again:?}");
    assert!(again.bytes_sent + again.bytes_received < 3_000, "{again:?}");

    record_both(&narrow_a, "a again", 10, &mut created).await?;
    record_both(&all_b, "b again", 10, &mut created).await?;
    all_b.sync().await?;
    let next = narrow_a.sync().await?;
    assert_eq!((next.pushed, next.pulled, next.duplicates), (5, 5, 0), "{next:?}");

    let wider = filtered(&hub, &a, &["Public", "Private"]).await?;
    let widened = wider.sync().await?;
    assert_eq!((widened.pushed, widened.pulled), (55, 55), "{widened:?}");
    assert_eq!(recorded(&a).await, 220);
    settle(&[&wider, &all_b]).await?;
    assert_same(&[&hub.log, &a, &b], &created).await;
    Ok(Ended::Well)
}
