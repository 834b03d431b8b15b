//! A file that is set back to a backup while a live replica uses it.

mod support;

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use support::{directory, node};
use synckit::{Digest, Endpoint, EventStore, NewEvent, SyncManager};
use synckit_memory::MemoryStore;
use synckit_sqlite::SqliteStore;

fn note(number: usize) -> NewEvent {
    NewEvent::new("NoteEdited", format!("note-{number}"), "text").expect("a good event")
}

/// Replaces all that is in a file by what is in another, in one transaction.
async fn restore(path: &Path, backup: &Path) {
    let options = SqliteConnectOptions::new().filename(path);
    let mut connection = SqliteConnection::connect_with(&options).await.expect("connects");
    let sql = format!(
        "ATTACH '{}' AS backup; BEGIN IMMEDIATE;
         DELETE FROM events; INSERT INTO events SELECT * FROM backup.events;
         DELETE FROM notes; INSERT INTO notes SELECT * FROM backup.notes; COMMIT",
        backup.display()
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("restores");
    connection.close().await.expect("closes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_whose_file_is_set_back_while_it_is_live_recovers_by_itself() {
    let (directory, path) = directory();
    let store = SqliteStore::open_as(&path, node("till")).await.expect("opens");
    let hub = MemoryStore::new(node("hub")).expect("randomness");
    let manager = SyncManager::new(store.clone(), Endpoint::new(hub.clone()));
    let live = manager.live().expect("it is live");
    manager.replica().record([note(1)]).await.expect("recorded");
    live.synced().await.expect("synced");
    let backup = directory.path().join("backup.db");
    store.backup(&backup).await.expect("copied");
    manager.replica().record([note(2), note(3)]).await.expect("recorded");
    live.synced().await.expect("synced");

    restore(&path, &backup).await;
    assert_eq!(store.head().await.expect("answers").position, 1, "two events are gone");
    let back = async {
        while store.head().await.expect("answers").position < 3 {
            store.moved(2).await.expect("answers");
        }
    };
    tokio::time::timeout(Duration::from_secs(60), back).await.expect("they come back by themselves");
    assert_ne!(store.identity().await.expect("answers").author, node("till"), "it has a fresh name");
    manager.replica().record([note(4)]).await.expect("recorded");
    live.synced().await.expect("it is live still");
    let (here, there) = (Digest::of(&store).await.expect("reads"), Digest::of(&hub).await.expect("reads"));
    assert_eq!((here.events, here), (4, there));
    live.stop().await;
}
