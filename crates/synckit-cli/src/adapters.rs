//! The stores and transports that the command was built with.

use synckit::{Adapters, Error, ErrorKind, Result, StoreTarget};
use synckit_http::HttpTransport;
use synckit_memory::MemoryStore;
use synckit_redb::{RedbConfig, RedbStore};
use synckit_sqlite::{SqliteConfig, SqliteStore};

/// All of them; a path without a scheme is an SQLite file.
pub(crate) fn adapters() -> Adapters {
    Adapters::new()
        .with_store("sqlite", |target| {
            let mut config = SqliteConfig::new(target.location).with_create(target.create);
            config.node = target.node;
            SqliteStore::open(config)
        })
        .with_store("redb", |target| {
            let mut config = RedbConfig::new(target.location).with_create(target.create);
            config.node = target.node;
            RedbStore::open(config)
        })
        .with_store("memory", async |target| memory(target))
        .with_transport("http", |url| HttpTransport::new(url))
}

/// A store that lives as long as the command: for a hub that only passes events on.
fn memory(target: StoreTarget) -> Result<MemoryStore> {
    if !target.location.is_empty() {
        let error = Error::invalid("a store in memory has no name; write it as memory:");
        return Err(error.with("name", target.location));
    }
    let new =
        || Error::new(ErrorKind::NotFound, "a store in memory is always new, so its node must be named");
    MemoryStore::new(target.node.ok_or_else(new)?)
}
