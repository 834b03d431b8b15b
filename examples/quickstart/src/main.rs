//! Two replicas edit notes offline, sync, and agree on the version that stands.

#![allow(clippy::print_stdout, reason = "it shows what happens")]

use synckit::{AggregateId, Endpoint, History, NewEvent, NodeId, Replica, SyncManager, conflict::Standing};
use synckit_memory::MemoryStore;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A replica is a store and the name under which it writes. `synckit_sqlite::SqliteStore` keeps it in a file.
    let laptop = Replica::new(MemoryStore::new(NodeId::new("laptop")?)?);
    let phone = Replica::new(MemoryStore::new(NodeId::new("phone")?)?);

    // Offline, both write whenever they like, even to the same note.
    laptop.record([NewEvent::new("NoteEdited", "note-1", "buy milk")?]).await?;
    laptop.record([NewEvent::new("NoteEdited", "note-2", "call Ann")?]).await?;
    phone.record([NewEvent::new("NoteEdited", "note-1", "buy bread")?]).await?;

    // The laptop reaches the phone. Over a network, `synckit_http::HttpTransport` replaces the endpoint.
    let manager = SyncManager::new(laptop.clone(), Endpoint::new(phone.store().clone()));
    let report = manager.sync().await?;
    println!(
        "synced: {} pulled, {} pushed, {} conflict settled",
        report.pulled, report.pushed, report.conflicts.settled
    );

    // Both show the same: of the two edits of note-1 the later one stands, and the other is still in the log.
    let note = AggregateId::new("note-1")?;
    let (here, there) = (laptop.history(&note).await?, phone.history(&note).await?);
    assert_eq!(here, there);
    print(&here);
    Ok(())
}

fn print(history: &History) {
    for entry in history.entries() {
        let standing = match entry.standing {
            Standing::Live => "stands",
            Standing::Superseded { .. } => "superseded",
            Standing::Resolution => continue,
        };
        println!("{}: {} {standing}", entry.event.aggregate_id, entry.event.data.as_json().unwrap_or("-"));
    }
}
