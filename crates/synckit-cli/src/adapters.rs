//! The stores and transports that the command was built with.

use std::path::Path;

use synckit::{Adapters, BoxStore, Error, ErrorKind, EventStore, NodeId, Result, StoreTarget};
use synckit_grpc::GrpcTransport;
use synckit_http::{ClientConfig, HttpTransport};
use synckit_memory::MemoryStore;
use synckit_net::ClientTls;
use synckit_postgres::{PostgresConfig, PostgresStore};
use synckit_redb::{RedbConfig, RedbStore};
use synckit_sqlite::{SqliteConfig, SqliteStore};

/// Returns the stores; a path without a scheme is an SQLite file.
pub(crate) fn stores() -> Adapters {
    Adapters::new()
        .with_store("sqlite", sqlite)
        .with_store("redb", redb)
        .with_store("postgres", postgres)
        .with_store("memory", async |target| memory(target))
}

async fn sqlite(target: StoreTarget) -> Result<SqliteStore> {
    let mut config = SqliteConfig::new(target.location).with_create(target.create);
    config.node = target.node;
    SqliteStore::open(config).await
}

async fn redb(target: StoreTarget) -> Result<RedbStore> {
    let mut config = RedbConfig::new(target.location).with_create(target.create);
    config.node = target.node;
    RedbStore::open(config).await
}

async fn postgres(target: StoreTarget) -> Result<PostgresStore> {
    let mut config = at(&target.location).with_create(target.create);
    config.node = target.node;
    PostgresStore::open(config).await
}

/// Returns the settings of the log at this location.
fn at(location: &str) -> PostgresConfig {
    PostgresConfig::new(format!("postgres://{location}"))
}

/// Returns the name of a store as it may be shown: without a password.
pub(crate) fn shown(name: &str) -> String {
    match stores().locate(name) {
        Ok(("postgres", location)) => at(location).shown_url(),
        _ => name.to_owned(),
    }
}

/// Returns whether the stores of this scheme are files.
pub(crate) fn is_file(scheme: &str) -> bool {
    !matches!(scheme, "postgres" | "memory")
}

/// A store, with what only stores of its kind can do.
#[derive(Clone, Debug)]
pub(crate) enum Kept {
    Sqlite(SqliteStore),
    Redb(RedbStore),
    Postgres(PostgresStore),
    Memory(MemoryStore),
}

impl Kept {
    /// Opens a store by its name.
    pub(crate) async fn open(name: &str, node: Option<NodeId>, create: bool) -> Result<Self> {
        let (scheme, location) = stores().locate(name)?;
        let target = StoreTarget { location: location.to_owned(), node, create };
        Ok(match scheme {
            "sqlite" => Kept::Sqlite(sqlite(target).await?),
            "redb" => Kept::Redb(redb(target).await?),
            "postgres" => Kept::Postgres(postgres(target).await?),
            _ => Kept::Memory(memory(target)?),
        })
    }

    /// Returns the store, whatever its kind.
    pub(crate) fn store(&self) -> BoxStore {
        match self.clone() {
            Kept::Sqlite(store) => BoxStore::new(store),
            Kept::Redb(store) => BoxStore::new(store),
            Kept::Postgres(store) => BoxStore::new(store),
            Kept::Memory(store) => BoxStore::new(store),
        }
    }

    /// Copies it, as it is at one moment, into an empty file, while it is in use.
    pub(crate) async fn backup(&self, to: &Path) -> Result<()> {
        match self {
            Kept::Sqlite(store) => store.backup(to).await,
            Kept::Redb(store) => store.backup(to).await,
            Kept::Postgres(_) => {
                let message =
                    "a log in PostgreSQL is backed up with its database, by pg_dump; or export its events";
                Err(Error::new(ErrorKind::Unsupported, message))
            }
            Kept::Memory(_) => {
                Err(Error::new(ErrorKind::Unsupported, "a store in memory has no backup; export its events"))
            }
        }
    }

    /// Copies the store of this name into an empty file.
    pub(crate) async fn copy(name: &str, to: &Path) -> Result<()> {
        let kept = Kept::open(name, None, false).await?;
        let copied = kept.backup(to).await;
        let closed = kept.store().close().await;
        copied.and(closed)
    }
}

/// Returns the transports. All calls have these headers; those with TLS use these settings.
pub(crate) fn transports(tls: ClientTls, headers: Vec<(String, String)>) -> Adapters {
    let config = move |url: &str| {
        let config = ClientConfig::new(url).with_tls(tls.clone());
        headers.iter().fold(config, |config, (name, value)| config.with_header(name, value))
    };
    let for_grpc = config.clone();
    let over_http = move |url: &str| HttpTransport::with_config(config(url));
    let over_grpc = move |url: &str| GrpcTransport::with_config(for_grpc(url));
    Adapters::new()
        .with_transport("http", over_http.clone())
        .with_transport("https", over_http)
        .with_transport("grpc", over_grpc.clone())
        .with_transport("grpcs", over_grpc)
}

/// Opens a store that lives as long as the command, for a hub that only passes events on.
fn memory(target: StoreTarget) -> Result<MemoryStore> {
    if !target.location.is_empty() {
        let error = Error::invalid("a store in memory has no name; write it as memory:");
        return Err(error.with("name", target.location));
    }
    let new =
        || Error::new(ErrorKind::NotFound, "a store in memory is always new, so its node must be named");
    MemoryStore::new(target.node.ok_or_else(new)?)
}
