//! Syncs of one new event after a long history, over HTTP between two files of SQLite.

use std::time::{Duration, Instant};

use synckit::{BoxTransport, EventStore, NewEvent, SyncManager};
use synckit_sqlite::SqliteStore;
use tempfile::TempDir;

use super::hub::{Hub, Wire};
use super::stores::{receive_samples, runtime, sqlite};
use crate::measure::{Measured, Scale};
use crate::raw;
use crate::sample::{Samples, Spread};

/// A hub with a history, and a replica that has pulled it.
pub(super) struct Pair {
    hub: Hub<SqliteStore>,
    manager: SyncManager<SqliteStore, BoxTransport>,
    directory: TempDir,
}

impl Pair {
    pub(super) async fn with_history(events: usize) -> Measured<Pair> {
        let directory = tempfile::tempdir()?;
        let store = sqlite(directory.path(), "hub").await?;
        receive_samples(&store, &mut Samples::new(Spread::default())?, events).await?;
        let hub = Hub::start(store, Wire::Http).await?;
        let manager = hub.manager(sqlite(directory.path(), "replica").await?)?;
        manager.sync().await.map_err(|failed| failed.error)?;
        Ok(Pair { hub, manager, directory })
    }

    /// Records one event, and returns how long its sync takes.
    pub(super) async fn sync_one(&self) -> Measured<Duration> {
        self.manager.replica().record([NewEvent::new("NoteEdited", "receipt-0001", &1)?]).await?;
        let started = Instant::now();
        let report = self.manager.sync().await.map_err(|failed| failed.error)?;
        let took = started.elapsed();
        assert_eq!((report.pushed, report.pulled), (1, 0), "one event goes, none comes");
        Ok(took)
    }

    async fn stop(self) -> Measured<()> {
        self.manager.replica().store().close().await?;
        drop(self.manager);
        self.hub.stop().await
    }
}

/// Returns the time of a sync of one new event after this history, in round trips of an empty request. Both are
/// awaited on a thread that is not a worker of the runtime, so that either is woken from another thread, as it is if
/// the peer is another process. The two commits that make the event durable, at the hub and with the checkpoint here,
/// count as what a commit takes with rusqlite alone, and are subtracted.
pub(super) fn incremental<const TIMES: usize>(scale: Scale) -> Measured<f64> {
    runtime()?.block_on(async {
        let pair = Pair::with_history(scale.events * TIMES).await?;
        let mut commits = raw::sqlite::Commits::open(&pair.directory.path().join("raw.db"))?;
        let (mut syncs, mut trips, mut durable) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..50 {
            syncs.push(pair.sync_one().await?.as_secs_f64());
            trips.push(round_trip(&pair.hub.url).await?);
            durable.push(commits.next()?.as_secs_f64());
        }
        pair.stop().await?;
        // If the disk is very uneven, a sync can be quicker than two commits alone.
        Ok(((median(syncs) - 2.0 * median(durable)) / median(trips)).max(0.1))
    })
}

/// Returns how long one empty request that asks nothing of the store takes on an open connection, in seconds: the median of some.
pub(super) async fn round_trip(url: &str) -> Measured<f64> {
    use http_body_util::{BodyExt, Empty};
    let client: hyper_util::client::legacy::Client<_, Empty<bytes::Bytes>> =
        hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let mut trips = Vec::new();
    for _ in 0..6 {
        let started = Instant::now();
        let answer = client.get(format!("{url}/v1/hello").parse()?).await?;
        answer.into_body().collect().await?;
        trips.push(started.elapsed().as_secs_f64());
    }
    // The first request opened the connection.
    Ok(median(trips.split_off(1)))
}

pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
