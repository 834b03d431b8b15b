//! Whole syncs between two files through a real socket, with default settings.

use std::time::Instant;

use synckit::{EventStore, SyncReport};

use super::hub::{Hub, Wire};
use super::stores::{in_task, receive_samples, redb, runtime, sqlite};
use crate::measure::{Measured, Sample, Scale};
use crate::sample::{Samples, Spread};

/// Fills a new replica from a hub, and returns the time of the sync alone, and its report.
async fn fill<S: EventStore + Clone>(
    scale: Scale,
    wire: Wire,
    hub: S,
    replica: S,
) -> Measured<(Sample, SyncReport)> {
    receive_samples(&hub, &mut Samples::new(Spread::default())?, scale.events).await?;
    let hub = Hub::start(hub, wire).await?;
    let manager = hub.manager(replica)?;
    let started = Instant::now();
    let report = manager.sync().await.map_err(|failed| failed.error)?;
    let sample = Sample { work: scale.events as f64, time: started.elapsed() };
    assert_eq!(report.pulled, scale.events, "all events are pulled");
    manager.replica().store().close().await?;
    // The hub would wait for an open connection.
    drop(manager);
    hub.stop().await?;
    Ok((sample, report))
}

/// Measures a sync from SQLite to SQLite.
async fn fill_over_http(scale: Scale) -> Measured<(Sample, SyncReport)> {
    let directory = tempfile::tempdir()?;
    let (hub, replica) = (sqlite(directory.path(), "hub").await?, sqlite(directory.path(), "replica").await?);
    fill(scale, Wire::Http, hub, replica).await
}

/// Measures a sync from redb to redb.
async fn fill_over_grpc(scale: Scale) -> Measured<(Sample, SyncReport)> {
    let directory = tempfile::tempdir()?;
    let (hub, replica) = (redb(directory.path(), "hub").await?, redb(directory.path(), "replica").await?);
    fill(scale, Wire::Grpc, hub, replica).await
}

pub(super) fn http(scale: Scale) -> Measured<Sample> {
    Ok(in_task(&runtime()?, fill_over_http(scale))?.0)
}

pub(super) fn grpc(scale: Scale) -> Measured<Sample> {
    Ok(in_task(&runtime()?, fill_over_grpc(scale))?.0)
}

/// Returns the bytes on the wire for each event, both ways, headers included.
pub(super) fn bytes(scale: Scale) -> Measured<f64> {
    let report = in_task(&runtime()?, fill_over_http(scale))?.1;
    Ok((report.bytes_received + report.bytes_sent) as f64 / scale.events as f64)
}
