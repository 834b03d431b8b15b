//! The stores and transports that the command was built with.

use synckit::{Adapters, Error, ErrorKind, Result, StoreTarget};
use synckit_grpc::GrpcTransport;
use synckit_http::{ClientConfig, HttpTransport};
use synckit_memory::MemoryStore;
use synckit_net::ClientTls;
use synckit_redb::{RedbConfig, RedbStore};
use synckit_sqlite::{SqliteConfig, SqliteStore};

/// Returns the stores; a path without a scheme is an SQLite file.
pub(crate) fn stores() -> Adapters {
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
}

/// Returns the transports; those with TLS use these settings.
pub(crate) fn transports(tls: ClientTls) -> Adapters {
    let for_grpc = tls.clone();
    let over_http = move |url: &str| HttpTransport::with_config(ClientConfig::new(url).with_tls(tls.clone()));
    let over_grpc =
        move |url: &str| GrpcTransport::with_config(ClientConfig::new(url).with_tls(for_grpc.clone()));
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
