//! A hub with six events, and replicas that want only some of them.

#![allow(clippy::print_stdout, reason = "it shows what happens")]

use std::error::Error;

use synckit::{Endpoint, EventStore, Filter, Metadata, NewEvent, NodeId, Replica, SyncManager, store::Query};
use synckit_memory::MemoryStore;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let hub = MemoryStore::new(NodeId::new("hub")?)?;
    let office = Replica::new(hub.clone());
    for (kind, aggregate, shop, cents) in [
        ("Sold", "till-1/receipt-1", "north", 150),
        ("Sold", "till-1/receipt-2", "north", 4_000),
        ("Refunded", "till-1/receipt-2", "north", 4_000),
        ("Sold", "till-2/receipt-1", "south", 900),
        ("Counted", "stock/apples", "north", 12),
        ("Counted", "stock/pears", "south", 7),
    ] {
        let metadata = Metadata::json(format!(r#"{{"shop":"{shop}"}}"#))?;
        office.record([NewEvent::new(kind, aggregate, &cents)?.with_metadata(metadata)]).await?;
    }

    // Criteria of different kinds must all hold; of the same kind, at least one. The hub applies them: the rest is not
    // sent.
    let sales = Filter::new().with_type("Sold")?.with_type("Refunded")?;
    show(&hub, "sales", sales, &["Sold", "Sold", "Refunded", "Sold"]).await?;
    let stock = Filter::new().with_aggregate_prefix("stock/")?;
    show(&hub, "stock", stock.clone(), &["Counted", "Counted"]).await?;
    let north = Filter::new().with_metadata("shop", "north")?;
    show(&hub, "sold in the north", north.clone().with_type("Sold")?, &["Sold", "Sold"]).await?;

    // Every filter has its own checkpoint: a wider one starts from the beginning and brings what was left out; what is
    // held already is not stored twice.
    let store = MemoryStore::new(NodeId::new("tablet")?)?;
    for (name, filter, pulled, held) in [
        ("stock in the north", stock.with_metadata("shop", "north")?, 1, 1),
        ("all of the north", north, 3, 4),
        ("everything", Filter::new(), 2, 6),
        ("everything, again", Filter::new(), 0, 6),
    ] {
        let tablet =
            SyncManager::builder(store.clone(), Endpoint::new(hub.clone())).with_filter(filter).build();
        let report = tablet.sync().await?;
        println!("tablet: {name}: {} new events, {} in all", report.pulled, store.head().await?.position);
        assert_eq!((report.pulled, store.head().await?.position), (pulled, held));
    }

    // A custom rule cannot be sent. It is applied on this side, under its name: the whole log crosses the wire.
    let store = MemoryStore::new(NodeId::new("replica")?)?;
    let large = SyncManager::builder(store, Endpoint::new(hub))
        .with_local_filter("at least 10.00", |event| {
            event.data.parse::<u64>().is_ok_and(|cents| cents >= 1_000)
        })?
        .build();
    large.sync().await?;
    shows("large", large.replica().store(), &["Sold", "Refunded"]).await
}

/// Syncs a new replica with this filter, and shows what it then holds.
async fn show(hub: &MemoryStore, name: &str, filter: Filter, expected: &[&str]) -> Result<()> {
    let store = MemoryStore::new(NodeId::new("replica")?)?;
    SyncManager::builder(store.clone(), Endpoint::new(hub.clone()))
        .with_filter(filter)
        .build()
        .sync()
        .await?;
    shows(name, &store, expected).await
}

/// Shows what a replica holds.
async fn shows(name: &str, store: &MemoryStore, expected: &[&str]) -> Result<()> {
    println!("{name}:");
    let events: Vec<_> =
        store.read(Query::after(0)).await?.events.into_iter().map(|stored| stored.event).collect();
    for event in &events {
        println!("  {} {} {:?} {:?}", event.event_type, event.aggregate_id, event.data, event.metadata);
    }
    assert!(events.iter().map(|event| event.event_type.as_str()).eq(expected.iter().copied()));
    Ok(())
}
