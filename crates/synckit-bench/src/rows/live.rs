//! An edit on its way between two live replicas, through a hub, and from one process to another that pushes it.

use std::time::{Duration, Instant};

use synckit::stay::LiveState;
use synckit::{EventStore, NewEvent, Replica};

use super::hub::{Hub, Wire};
use super::incremental::{median, round_trip};
#[cfg(target_os = "linux")]
use super::process::{Running, micros};
use super::stores::{redb, runtime, sqlite};
use crate::measure::{Measured, Scale};

/// How many edits are measured.
const EDITS: usize = 100;

/// Returns how long an edit takes from the call that records it until it is durable at the other side, in units of three
/// durable commits and two one-way messages: a commit at each of the three, to the hub and on. What a commit takes is
/// measured by recording in a store of the same kind that is alone. A round trip of an empty request counts as two
/// messages.
pub(super) fn over_http(_: Scale) -> Measured<f64> {
    runtime()?.block_on(async {
        let directory = tempfile::tempdir()?;
        let store = async |name: &str| sqlite(directory.path(), name).await;
        let stores = [store("hub").await?, store("a").await?, store("b").await?, store("alone").await?];
        edits(stores, Wire::Http).await
    })
}

pub(super) fn over_grpc(_: Scale) -> Measured<f64> {
    runtime()?.block_on(async {
        let directory = tempfile::tempdir()?;
        let store = async |name: &str| redb(directory.path(), name).await;
        let stores = [store("hub").await?, store("a").await?, store("b").await?, store("alone").await?];
        edits(stores, Wire::Grpc).await
    })
}

fn note(edit: usize) -> synckit::Result<NewEvent> {
    NewEvent::new("NoteEdited", format!("note-{}", edit % 10), &edit)
}

/// Measures the edits.
async fn edits<S: EventStore + Clone>([hub, a, b, alone]: [S; 4], wire: Wire) -> Measured<f64> {
    let alone = Replica::new(alone);
    // What a round trip takes is asked over HTTP, also for gRPC.
    let http = Hub::start(hub.clone(), Wire::Http).await?;
    let hub = Hub::start(hub, wire).await?;
    let managers = [hub.manager(a)?, hub.manager(b.clone())?];
    let lives = [managers[0].live()?, managers[1].live()?];
    for live in &lives {
        live.synced().await?;
        live.watch().wait_for(|status| status.state == LiveState::Live).await?;
    }
    let (mut took, mut trips, mut durable) = (Vec::new(), Vec::new(), Vec::new());
    for edit in 0..EDITS {
        let before = b.head().await?.position;
        let started = Instant::now();
        managers[0].replica().record([note(edit)?]).await?;
        b.moved(before).await?;
        took.push(started.elapsed().as_secs_f64());
        trips.push(round_trip(&http.url).await?);
        let started = Instant::now();
        alone.record([note(edit)?]).await?;
        durable.push(started.elapsed().as_secs_f64());
        // What the exchange saves afterwards does not count for the next edit.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for live in lives {
        live.stop().await;
    }
    for manager in &managers {
        manager.replica().store().close().await?;
    }
    drop(managers);
    hub.stop().await?;
    http.stop().await?;
    Ok(median(took) / (3.0 * median(durable) + median(trips)))
}

/// Returns how many milliseconds pass from where one process has recorded an edit until the hub has it, which another
/// process on the same SQLite file pushes: at most this in 19 of 20.
#[cfg(target_os = "linux")]
pub(super) fn other_process(_: Scale) -> Measured<f64> {
    runtime()?.block_on(async {
        let directory = tempfile::tempdir()?;
        let store = sqlite(directory.path(), "hub").await?;
        let hub = Hub::start(store.clone(), Wire::Http).await?;
        let manager = hub.manager(sqlite(directory.path(), "a").await?)?;
        let live = manager.live()?;
        live.synced().await?;
        let path = directory.path().to_str().ok_or("a directory that is not UTF-8")?;
        let mut writer = Running::start(&["writer", path])?;
        writer.line()?;
        let mut took = Vec::new();
        for _ in 0..EDITS {
            let before = store.head().await?.position;
            writer.nudge()?;
            store.moved(before).await?;
            let arrived = micros()?;
            took.push(arrived.saturating_sub(writer.number()?));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        took.sort_unstable();
        live.stop().await;
        manager.replica().store().close().await?;
        drop(manager);
        hub.stop().await?;
        Ok(took[EDITS * 19 / 20] as f64 / 1_000.0)
    })
}
