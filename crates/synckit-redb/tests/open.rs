//! Opening: whose file it is, creating, and who else has it open.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use redb::{Database, ReadableTable, TableDefinition};
use support::{content, one};
use synckit_core::{Error, ErrorKind, EventStore, Query};
use synckit_redb::{RedbConfig, RedbStore};
use synckit_testkit::samples::node;
use synckit_testkit::{flips, plans};
use tempfile::TempDir;

const EVENTS: TableDefinition<'_, &[u8; 8], &[u8]> = TableDefinition::new("events");
const NOTES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("notes");

fn directory() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("store.redb");
    (directory, path)
}

fn config(path: &Path) -> RedbConfig {
    RedbConfig::new(path).with_node(node("n"))
}

async fn refused(config: RedbConfig) -> Error {
    let path = config.path.display().to_string();
    let error = RedbStore::open(config).await.expect_err("is refused");
    assert!(error.context().contains(&("path", path)), "{error}");
    assert_eq!((error.component(), error.operation()), ("redb", "open"));
    error
}

/// A store with one event, closed.
async fn make(path: &Path) {
    let store = RedbStore::open(config(path)).await.expect("opens");
    store.commit(one("e1")).await.expect("commits");
    store.close().await.expect("closes");
}

/// Changes a table past the store.
fn change(path: &Path, change: impl FnOnce(&redb::WriteTransaction)) {
    let database = Database::create(path).expect("opens");
    let transaction = database.begin_write().expect("begins");
    change(&transaction);
    transaction.commit().expect("commits");
}

#[tokio::test]
async fn a_store_is_found_again_under_its_own_node() {
    let (_directory, path) = directory();
    make(&path).await;
    let store = RedbStore::open(RedbConfig::new(&path)).await.expect("opens");
    assert_eq!(store.node(), &node("n"));
    assert_eq!(store.identity().await.expect("an identity").author, node("n"));
    assert_eq!(content(&store).await.log.len(), 1);
    drop(store);
    let error = refused(RedbConfig::new(&path).with_node(node("m"))).await;
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
}

#[tokio::test]
async fn nothing_is_created_unless_it_is_asked_for() {
    let (directory, path) = directory();
    for config in [RedbConfig::new(&path), config(&path).with_create(false)] {
        let error = refused(config).await;
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        assert!(!path.exists());
    }
    let error = refused(config(&directory.path().join("missing").join("store.redb"))).await;
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(error.message().contains("directory"), "{error}");
    assert_eq!(refused(config(Path::new(""))).await.kind(), ErrorKind::Invalid);
    assert_eq!(refused(config(directory.path())).await.kind(), ErrorKind::Denied);
    // An empty file is no store yet.
    fs::write(&path, "").expect("writes");
    assert_eq!(refused(RedbConfig::new(&path)).await.kind(), ErrorKind::NotFound);
    make(&path).await;
}

#[tokio::test]
async fn a_file_that_is_something_else_is_refused_and_left_as_it_is() {
    let (_directory, path) = directory();
    for (text, kind) in
        [("a letter, longer than the magic number", ErrorKind::Corrupt), ("ab", ErrorKind::Corrupt)]
    {
        fs::write(&path, text).expect("writes");
        let error = refused(config(&path)).await;
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(fs::read_to_string(&path).expect("reads"), text);
    }
    fs::remove_file(&path).expect("removes");
    let recipes: TableDefinition<'_, &str, &str> = TableDefinition::new("recipes");
    change(&path, |transaction| {
        transaction.open_table(recipes).expect("opens").insert("soup", "stir").expect("inserts");
    });
    let error = refused(config(&path)).await;
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(error.message().contains("another application"), "{error}");
    change(&path, |transaction| {
        assert_eq!(transaction.list_tables().expect("lists").count(), 1);
    });
}

#[tokio::test]
async fn a_newer_or_older_format_is_refused() {
    let (_directory, path) = directory();
    make(&path).await;
    for (format, advice) in [(1_u64, "export"), (99, "upgrade")] {
        change(&path, |transaction| {
            let mut notes = transaction.open_table(NOTES).expect("opens");
            notes.insert(&b"\xffF"[..], &format.to_be_bytes()[..]).expect("inserts");
        });
        let error = refused(config(&path)).await;
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains(advice), "{error}");
    }
}

/// Closes a store, makes a row unreadable, and opens it again.
async fn with_rubbish_at(position: u64, store: RedbStore, config: RedbConfig) -> RedbStore {
    drop(store);
    change(&config.path, |transaction| {
        let mut table = transaction.open_table(EVENTS).expect("opens");
        table
            .insert(&position.to_be_bytes(), &b"\x01\x00rubbish"[..])
            .expect("inserts")
            .expect("the row is there");
    });
    RedbStore::open(config).await.expect("opens")
}

#[tokio::test]
async fn nobody_gets_the_dot_of_a_damaged_row() {
    let (_directory, path) = directory();
    let store = RedbStore::open(RedbConfig::new(&path).with_node(node("here"))).await.expect("opens");
    let [held, damaged] = [1, 2].map(|n| plans::event(&format!("e-{n}"), n));
    store.commit(plans::receive(7, vec![held.clone(), damaged.clone()])).await.expect("commits");
    let store = with_rubbish_at(2, store, RedbConfig::new(&path)).await;
    flips::nobody_gets_the_dot_of_a_damaged_row(&store, &held, &damaged).await;
}

/// Closes a store, flips the lowest bit of a byte of a row, counted from its end, and opens it again.
async fn with_a_flip(position: u64, from_end: usize, store: RedbStore, config: RedbConfig) -> RedbStore {
    drop(store);
    change(&config.path, |transaction| {
        let mut table = transaction.open_table(EVENTS).expect("opens");
        let mut row = table.get(&position.to_be_bytes()).expect("reads").expect("is there").value().to_vec();
        let at = row.len() - 1 - from_end;
        row[at] ^= 1;
        table.insert(&position.to_be_bytes(), &row[..]).expect("inserts");
    });
    RedbStore::open(config).await.expect("opens")
}

#[tokio::test]
async fn damaged_rows_are_fetched_again() {
    let (_directory, path) = directory();
    let config = || RedbConfig::new(&path).with_node(node("here"));
    let store = RedbStore::open(config()).await.expect("opens");
    let damage = async |store| {
        let store = with_a_flip(2, 0, store, config()).await;
        let store = with_a_flip(5, 12, store, config()).await;
        with_a_flip(7, 20, store, config()).await
    };
    flips::damaged_rows_are_fetched_again(store, damage).await;
}

#[tokio::test]
async fn a_damaged_row_that_nobody_has_stops_nothing() {
    let (_directory, path) = directory();
    let config = || RedbConfig::new(&path).with_node(node("here"));
    let store = RedbStore::open(config()).await.expect("opens");
    let flip = async |store| with_a_flip(2, 0, store, config()).await;
    flips::a_damaged_row_that_nobody_has_stops_nothing(store, flip, flip).await;
}

#[tokio::test]
async fn a_damaged_row_is_corrupt_and_the_rest_is_read() {
    let (_directory, path) = directory();
    let store = RedbStore::open(config(&path)).await.expect("opens");
    for id in ["e1", "e2", "e3"] {
        store.commit(one(id)).await.expect("commits");
    }
    let store = with_rubbish_at(2, store, config(&path)).await;
    // The page before it ends there.
    let before = store.read(Query::after(0)).await.expect("reads");
    assert_eq!((before.events.len(), before.scanned_to, before.more), (1, 1, true));
    let error = store.read(Query::after(1)).await.expect_err("cannot be read");
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.context().contains(&("position", "2".to_owned())), "{error}");
    assert_eq!(store.read(Query::after(2)).await.expect("reads").events.len(), 1);
    // It stands in the way of nobody but whoever asks for it.
    assert_eq!(store.commit(one("e2")).await.expect_err("cannot be compared").kind(), ErrorKind::Corrupt);
    assert_eq!(store.commit(one("e4")).await.expect("commits").head, 4);
}

#[tokio::test]
async fn a_store_is_open_once_at_a_time() {
    let (_directory, path) = directory();
    let store = RedbStore::open(config(&path)).await.expect("opens");
    let error = refused(config(&path)).await;
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Busy, true), "{error}");
    assert!(error.message().contains("one process"), "{error}");
    let clone = store.clone();
    drop(store);
    clone.commit(one("e1")).await.expect("commits");
    drop(clone);
    let store = RedbStore::open(config(&path)).await.expect("opens");
    store.close().await.expect("closes");
    // A closed store lets go of its file, also while there is a handle to it.
    let next = RedbStore::open(config(&path)).await.expect("opens");
    assert_eq!(content(&next).await.log.len(), 1);
}

#[test]
fn a_configuration_is_plain_text() {
    let text = r#"{"path":"notes.redb","node":"till-4","cache_bytes":1048576}"#;
    let read: RedbConfig = serde_json::from_str(text).expect("reads");
    let expected = RedbConfig::new("notes.redb").with_node(node("till-4")).with_cache_bytes(1 << 20);
    assert_eq!(read, expected);
    let again: RedbConfig =
        serde_json::from_str(&serde_json::to_string(&read).expect("writes")).expect("reads");
    assert_eq!(again, read);
    assert!(serde_json::from_str::<RedbConfig>(r#"{"path":"x","pth":"y"}"#).is_err());
}

#[tokio::test]
async fn a_file_copied_to_another_machine_goes_on_under_a_fresh_name() {
    let (directory, path) = directory();
    let copy = directory.path().join("copy.redb");
    let open = async |path: &Path, machine: &str| {
        let store = RedbStore::open(config(path).with_machine(machine)).await.expect("opens");
        let found = (store.identity().await.expect("an identity"), store.head().await.expect("open").store);
        store.close().await.expect("closes");
        found
    };
    let first = open(&path, "one machine").await;
    fs::copy(&path, &copy).expect("copies");
    let moved = open(&copy, "another machine").await;
    assert!(moved.0.author.as_str().starts_with("n~") && moved.0.suspect && moved.0.was(first.1));
    assert_eq!(open(&copy, "another machine").await, moved, "once");
    assert_eq!(open(&path, "one machine").await, first, "the file it was copied from goes on");
}

#[tokio::test]
async fn a_name_that_nobody_may_choose_leaves_no_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("store");
    let error = RedbStore::open_as(&path, node("a~1")).await.expect_err("it has a ~");
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert_eq!(std::fs::read_dir(directory.path()).expect("reads").count(), 0);
}
