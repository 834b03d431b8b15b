//! Whole syncs between two files through a real socket, with default settings.

use std::path::Path;
use std::time::Instant;

use synckit::{BoxTransport, Endpoint, EventStore, NewEvent, NodeId, SyncManager, SyncReport};
use synckit_http::{HttpTransport, SyncService, serve};
use synckit_sqlite::SqliteStore;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::stores::{receive_all, runtime};
use crate::measure::{Measured, Sample, Scale};
use crate::raw;
use crate::sample::events;

/// A hub over HTTP, on a file.
pub(super) struct Hub {
    store: SqliteStore,
    pub(super) url: String,
    stop: oneshot::Sender<()>,
    server: JoinHandle<synckit::Result<()>>,
}

impl Hub {
    /// Serves the file in this directory, after so many more events were put into it.
    pub(super) async fn start(directory: &Path, more: usize) -> Measured<Hub> {
        let store = SqliteStore::open_as(directory.join("hub.db"), NodeId::new("hub")?).await?;
        receive_all(&store, events(more)?).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let service = SyncService::new(Endpoint::new(store.clone()).with_watch(store.clone()));
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve(listener, service, async {
            // Dropped or sent, it ends.
            let _: Result<(), _> = stopped.await;
        }));
        Ok(Hub { store, url, stop, server })
    }

    /// A replica in this directory, and its manager, which syncs with the hub at this URL.
    pub(super) async fn replica(
        url: &str,
        directory: &Path,
    ) -> Measured<(SqliteStore, SyncManager<SqliteStore, BoxTransport>)> {
        let store = SqliteStore::open_as(directory.join("replica.db"), NodeId::new("replica")?).await?;
        let transport = BoxTransport::new(HttpTransport::new(url)?);
        Ok((store.clone(), SyncManager::new(store, transport)))
    }

    pub(super) async fn stop(self) -> Measured<()> {
        let _ended: Result<(), _> = self.stop.send(());
        self.server.await??;
        Ok(self.store.close().await?)
    }
}

/// Fills a new replica from a hub; answers the time in the sync alone, and its report.
async fn fill(scale: Scale) -> Measured<(Sample, SyncReport)> {
    let directory = tempfile::tempdir()?;
    let hub = Hub::start(directory.path(), scale.events).await?;
    let (store, manager) = Hub::replica(&hub.url, directory.path()).await?;
    let started = Instant::now();
    let report = manager.sync().await.map_err(|failed| failed.error)?;
    let sample = Sample { work: scale.events as f64, time: started.elapsed() };
    assert_eq!(report.pulled, scale.events, "all events are pulled");
    drop(manager);
    store.close().await?;
    hub.stop().await?;
    Ok((sample, report))
}

pub(super) fn http(scale: Scale) -> Measured<Sample> {
    Ok(runtime()?.block_on(fill(scale))?.0)
}

/// Bytes on the wire for each event, both ways, headers included.
pub(super) fn bytes(scale: Scale) -> Measured<f64> {
    let report = runtime()?.block_on(fill(scale))?.1;
    Ok((report.bytes_received + report.bytes_sent) as f64 / scale.events as f64)
}

/// The time of a sync of one new event after this history, in round trips of an empty request. The two commits that
/// make it durable, of the event at the hub and of the checkpoint here, count as what a commit takes with rusqlite
/// alone, and are taken off.
pub(super) fn incremental<const TIMES: usize>(scale: Scale) -> Measured<f64> {
    let directory = tempfile::tempdir()?;
    let mut commits = raw::sqlite::Commits::open(&directory.path().join("raw.db"))?;
    runtime()?.block_on(async {
        let hub = Hub::start(directory.path(), scale.events * TIMES).await?;
        let (store, manager) = Hub::replica(&hub.url, directory.path()).await?;
        manager.sync().await.map_err(|failed| failed.error)?;
        let (mut syncs, mut trips, mut durable) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..50 {
            manager.record([NewEvent::new("NoteEdited", "receipt-0001", &round)?]).await?;
            let started = Instant::now();
            let report = manager.sync().await.map_err(|failed| failed.error)?;
            syncs.push(started.elapsed().as_secs_f64());
            assert_eq!((report.pushed, report.pulled), (1, 0), "one event goes, none comes");
            trips.push(round_trip(&hub.url).await?);
            durable.push(commits.next()?.as_secs_f64());
        }
        drop(manager);
        store.close().await?;
        hub.stop().await?;
        // Where the disk is that uneven, a sync may have been quicker than two commits alone.
        Ok(((median(syncs) - 2.0 * median(durable)) / median(trips)).max(0.1))
    })
}

/// One empty request on a connection that stands, in seconds: the median of some.
async fn round_trip(url: &str) -> Measured<f64> {
    use http_body_util::{BodyExt, Empty};
    let client: hyper_util::client::legacy::Client<_, Empty<bytes::Bytes>> =
        hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let mut trips = Vec::new();
    for _ in 0..6 {
        let started = Instant::now();
        let answer = client.get(format!("{url}/v1/health").parse()?).await?;
        answer.into_body().collect().await?;
        trips.push(started.elapsed().as_secs_f64());
    }
    // The first opened the connection.
    Ok(median(trips.split_off(1)))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
