//! A pull that finds a conflict with every event, beside one that finds none.

use synckit::{AggregateId, Direction, Endpoint, EventStore, NewEvent, NodeId, Replica, SyncManager};
use synckit_sqlite::SqliteStore;

use super::stores::{in_task, runtime};
use crate::measure::{Measured, Sample, Scale};
use crate::sample::new_events;

/// Returns the number of events to pull at this scale.
fn count(scale: Scale) -> usize {
    scale.events / 10
}

/// Returns edits, each of a different form.
fn forms(count: usize, prefix: &str) -> Measured<Vec<NewEvent>> {
    let form = |(at, new): (usize, NewEvent)| {
        let aggregate_id = AggregateId::new(format!("{prefix}-{at}"))?;
        Ok(NewEvent { id: None, aggregate_id, ..new })
    };
    new_events(count)?.into_iter().enumerate().map(form).collect()
}

/// Measures pulling and settling: the replica has edited forms of this prefix, the hub `form-0`, `form-1`, …
fn pull(scale: Scale, prefix: &str) -> Measured<Sample> {
    let (directory, runtime, count) = (tempfile::tempdir()?, runtime()?, count(scale));
    let path = |name: &str| directory.path().join(name);
    let (manager, hub) = runtime.block_on(async {
        let hub = SqliteStore::open_as(path("hub.db"), NodeId::new("hub")?).await?;
        for batch in forms(count, "form")?.chunks(1_000) {
            Replica::new(hub.clone()).record(batch.to_vec()).await?;
        }
        let store = SqliteStore::open_as(path("replica.db"), NodeId::new("replica")?).await?;
        let manager = SyncManager::builder(store, Endpoint::new(hub.clone()));
        let manager = manager.with_direction(Direction::PullOnly).build();
        for batch in forms(count, prefix)?.chunks(1_000) {
            manager.replica().record(batch.to_vec()).await?;
        }
        Measured::Ok((manager, hub))
    })?;
    let mut settled = 0;
    let syncing = manager.clone();
    let sample = Sample::of(count, || {
        let sync = async move { Ok(syncing.sync().await.map_err(|failed| failed.error)?) };
        let report = in_task(&runtime, sync)?;
        assert_eq!(report.pulled, count, "all events are pulled");
        settled = report.conflicts.settled;
        Ok(())
    })?;
    assert_eq!(
        settled,
        if prefix == "form" { count } else { 0 },
        "every conflict is settled in the one sync"
    );
    runtime.block_on(async {
        manager.replica().store().close().await?;
        Measured::Ok(hub.close().await?)
    })?;
    Ok(sample)
}

pub(super) fn with(scale: Scale) -> Measured<Sample> {
    pull(scale, "form")
}

pub(super) fn without(scale: Scale) -> Measured<Sample> {
    pull(scale, "other")
}
