//! redb at the edge, SQLite at the hub, and gRPC between them.

#![allow(clippy::print_stdout, reason = "it shows what happens")]

use std::error::Error;
use std::path::Path;

use synckit::{
    Adapters, Digest, Endpoint, EventStore, NewEvent, NodeId, Replica, StoreTarget, SyncManager, Transport,
};
use synckit_grpc::{GrpcService, GrpcTransport, serve};
use synckit_redb::{RedbConfig, RedbStore};
use synckit_sqlite::SqliteStore;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result {
    let directory = tempfile::tempdir()?;
    let path = |name: &str| directory.path().join(name);

    // The hub: an SQLite file behind a gRPC server on a free loopback port.
    let hub = SqliteStore::open_as(path("hub.db"), NodeId::new("hub")?).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("grpc://{}", listener.local_addr()?);
    let service = GrpcService::new(Endpoint::new(hub.clone()));
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, service, async {
        // Whether it was sent or dropped, the server shall stop.
        let _: std::result::Result<(), _> = stopped.await;
    }));
    println!("the hub listens on {url}");

    // One box names its store and its wire by their types, ...
    let store = RedbStore::open_as(path("north.redb"), NodeId::new("north")?).await?;
    let north = measure(store, GrpcTransport::new(&url)?, "north", 20).await?;

    // ... the other by URL, as a configuration file would.
    let store = adapters().open(&redb_at(&path("south.redb")), Some(NodeId::new("south")?), true).await?;
    let south = measure(store, adapters().connect(&url)?, "south", 22).await?;

    // South synced after north, so north does not have the events of south yet.
    let report = north.sync().await?;
    println!("north hears of south: {} event", report.pulled);
    let digests = [
        Digest::of(north.replica().store()).await?,
        Digest::of(south.replica().store()).await?,
        Digest::of(&hub).await?,
    ];
    assert!(digests.iter().all(|digest| *digest == digests[0]), "all hold the same: {digests:?}");
    println!("redb, redb and SQLite hold the same {} events", digests[0].events);

    let _: std::result::Result<(), _> = stop.send(());
    server.await??;
    north.replica().store().close().await?;
    south.replica().store().close().await?;
    Ok(hub.close().await?)
}

/// Records a measurement without using the network, then syncs.
async fn measure<S: EventStore, T: Transport>(
    store: S,
    wire: T,
    name: &str,
    celsius: i32,
) -> Result<SyncManager<S, T>> {
    let replica = Replica::new(store);
    replica.record([NewEvent::new("Measured", format!("room-{name}"), &celsius)?]).await?;
    let manager = SyncManager::new(replica, wire);
    let report = manager.sync().await?;
    println!("{name} syncs: {} pushed, {} pulled", report.pushed, report.pulled);
    Ok(manager)
}

/// Returns the adapters that this program was built with.
fn adapters() -> Adapters {
    Adapters::new()
        .with_store("redb", |target: StoreTarget| {
            let mut config = RedbConfig::new(target.location).with_create(target.create);
            config.node = target.node;
            RedbStore::open(config)
        })
        .with_transport("grpc", |url| GrpcTransport::new(url))
}

fn redb_at(path: &Path) -> String {
    format!("redb:{}", path.display())
}
