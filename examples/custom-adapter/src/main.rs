//! Records into a file, breaks off in the middle of a commit, opens the file again, and syncs with another store.

#![allow(clippy::print_stdout, reason = "it shows what happens")]

use std::fs::OpenOptions;
use std::io::Write;

use custom_adapter::open;
use synckit::{Endpoint, EventStore, NewEvent, NodeId, Replica, SyncManager};
use synckit_memory::MemoryStore;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("till-1.log");
    let hub = MemoryStore::new(NodeId::new("hub")?)?;

    let store = open(&path, NodeId::new("till-1")?).await?;
    let till = Replica::new(store.clone());
    till.record([NewEvent::new("ItemSold", "receipt-1", "apple")?]).await?;
    till.record([NewEvent::new("ItemSold", "receipt-1", "pear")?]).await?;
    store.close().await?;
    println!("recorded 2 events in a file of {} bytes", path.metadata()?.len());

    // What a power cut may leave of a third commit: some bytes of it.
    OpenOptions::new().append(true).open(&path)?.write_all(b"5c2f3a90b1d8{\"append\":[{\"id")?;
    let store = open(&path, NodeId::new("till-1")?).await?;
    println!("opened again with {} events in {} bytes", store.head().await?.position, path.metadata()?.len());

    let till = Replica::new(store.clone());
    let report = SyncManager::new(till.clone(), Endpoint::new(hub.clone())).sync().await?;
    println!("pushed {} events; the hub has {}", report.pushed, hub.head().await?.position);

    let receipt = "receipt-1".parse()?;
    assert_eq!(till.history(&receipt).await?, Replica::new(hub.clone()).history(&receipt).await?);
    assert_eq!((store.head().await?.position, hub.head().await?.position), (2, 2));
    Ok(())
}
