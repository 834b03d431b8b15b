//! Stores and transports by URL, from those that were registered.
#![allow(clippy::unwrap_used, reason = "in tests a panic is the report")]

use synckit::{
    Adapters, Endpoint, Error, ErrorKind, EventStore, NewEvent, NodeId, StoreTarget, SyncManager, Transport,
};
use synckit_http::HttpTransport;
use synckit_memory::MemoryStore;
use synckit_sqlite::{SqliteConfig, SqliteStore};

fn adapters() -> Adapters {
    Adapters::new()
        .with_store("sqlite", async |target: StoreTarget| {
            let mut config = SqliteConfig::new(target.location).with_create(target.create);
            config.node = target.node;
            SqliteStore::open(config).await
        })
        .with_store("memory", async |target: StoreTarget| match target.node {
            Some(node) => MemoryStore::new(node),
            None => Err(Error::new(ErrorKind::NotFound, "a store in memory is always new")),
        })
        .with_transport("http", |url| HttpTransport::new(url))
}

fn node(name: &str) -> Option<NodeId> {
    Some(NodeId::new(name).unwrap())
}

#[tokio::test]
async fn a_store_is_opened_by_its_name_used_and_watched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let name = format!("sqlite:{}", path.display());
    let store = adapters().open(&name, node("a"), true).await.unwrap();
    let hub = adapters().open("memory:", node("hub"), true).await.unwrap();
    let manager = SyncManager::new(store.clone(), Endpoint::new(hub.clone()));
    manager.replica().record([NewEvent::new("T", "x", &1).unwrap()]).await.unwrap();
    manager.sync().await.unwrap();
    assert_eq!(hub.moved(0).await.unwrap(), 1);
    assert_eq!(store.moved(0).await.unwrap(), 1);
    store.close().await.unwrap();
    // Without a scheme, the store that was registered first; without a node, the one it already has.
    let again = adapters().open(path.to_str().unwrap(), None, false).await.unwrap();
    assert_eq!(again.head().await.unwrap().position, 1);
}

#[test]
fn names_are_taken_apart() {
    let adapters = adapters();
    for (name, expected) in [
        ("a.db", ("sqlite", "a.db")),
        ("sqlite:a.db", ("sqlite", "a.db")),
        ("sqlite://a.db", ("sqlite", "a.db")),
        ("sqlite:///tmp/a.db", ("sqlite", "/tmp/a.db")),
        ("sqlite:a:b.db", ("sqlite", "a:b.db")),
        ("./red:a.db", ("sqlite", "./red:a.db")),
        ("C:\\a.db", ("sqlite", "C:\\a.db")),
        ("memory:", ("memory", "")),
    ] {
        assert_eq!(adapters.locate(name).unwrap(), expected);
    }
}

#[tokio::test]
async fn errors_name_what_there_is() {
    let adapters = adapters();
    let error = adapters.open("redb:a.redb", node("a"), true).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("it has memory, sqlite"), "{error}");
    let error = adapters.connect("grpc://hub:1").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("it has http"), "{error}");
    for bad in ["hub:8080", "nonsense", "://hub"] {
        let error = adapters.connect(bad).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("SCHEME://HOST:PORT with http"), "{error}");
    }
    assert_eq!(Adapters::new().locate("a.db").unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(adapters.connect("HTTP://hub:1").unwrap().traffic().sent, 0);
}
