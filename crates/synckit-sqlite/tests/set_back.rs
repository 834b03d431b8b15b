//! A file that is set back to a backup while a live replica uses it.

mod support;

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use support::{directory, node};
use synckit::{Digest, Direction, Endpoint, EventStore, NewEvent, Replica, SyncManager};
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

/// Waits until a log has this many events.
async fn has(store: &SqliteStore, events: u64) {
    let all = async {
        loop {
            let head = store.head().await.expect("answers").position;
            if head >= events {
                break;
            }
            store.moved(head).await.expect("answers");
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("the events come by themselves");
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
    has(&store, 3).await;
    assert_ne!(store.identity().await.expect("answers").author, node("till"), "it has a fresh name");
    manager.replica().record([note(4)]).await.expect("recorded");
    live.synced().await.expect("it is live still");
    let (here, there) = (Digest::of(&store).await.expect("reads"), Digest::of(&hub).await.expect("reads"));
    assert_eq!((here.events, here), (4, there));
    live.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_pulls_pulls_again_what_its_file_has_lost() {
    let (directory, path) = directory();
    let store = SqliteStore::open_as(&path, node("screen")).await.expect("opens");
    let hub = MemoryStore::new(node("hub")).expect("randomness");
    let there = Replica::new(hub.clone());
    let peer = Endpoint::new(hub);
    let manager = SyncManager::builder(store.clone(), peer).with_direction(Direction::PullOnly).build();
    let live = manager.live().expect("it is live");
    there.record([note(1)]).await.expect("recorded");
    has(&store, 1).await;
    let backup = directory.path().join("backup.db");
    store.backup(&backup).await.expect("copied");
    there.record([note(2), note(3)]).await.expect("recorded");
    has(&store, 3).await;

    restore(&path, &backup).await;
    has(&store, 3).await;
    live.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_of_a_hub_whose_file_is_set_back_push_again_what_it_has_lost() {
    let (directory, path) = directory();
    let hub = SqliteStore::open_as(&path, node("hub")).await.expect("opens");
    let managers = ["a", "b"].map(|name| {
        let store = MemoryStore::new(node(name)).expect("randomness");
        SyncManager::new(store, Endpoint::new(hub.clone()))
    });
    let live = managers.each_ref().map(|manager| manager.live().expect("it is live"));
    managers[0].replica().record([note(1)]).await.expect("recorded");
    live[0].synced().await.expect("synced");
    let backup = directory.path().join("backup.db");
    hub.backup(&backup).await.expect("copied");
    managers[0].replica().record([note(2)]).await.expect("recorded");
    managers[1].replica().record([note(3)]).await.expect("recorded");
    has(&hub, 3).await;

    restore(&path, &backup).await;
    has(&hub, 3).await;
    for live in live {
        live.stop().await;
    }
    for manager in &managers {
        manager.sync().await.expect("syncs");
    }
    let [a, b] = managers.each_ref().map(|manager| async { Digest::of(manager.replica().store()).await });
    let (a, b, there) = tokio::join!(a, b, Digest::of(&hub));
    let there = there.expect("reads");
    assert_eq!((a.expect("reads"), b.expect("reads"), there.events), (there, there, 3));
}
