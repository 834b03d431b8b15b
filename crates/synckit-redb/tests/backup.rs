//! Backups while the store is in use, and the rights of new files.

mod support;

use support::{content, one};
use synckit_core::{ErrorKind, EventStore};
use synckit_redb::{RedbConfig, RedbStore};
use synckit_testkit::samples::node;

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_the_store_of_one_moment() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = RedbStore::open_as(directory.path().join("store.redb"), node("n")).await.expect("opens");
    for number in 0..100 {
        store.commit(one(&format!("e{number}"))).await.expect("commits");
    }
    let before = content(&store).await;
    let copy = directory.path().join("copy.redb");
    store.backup(&copy).await.expect("copies");
    store.commit(one("later")).await.expect("commits");

    let opened = RedbStore::open(RedbConfig::new(&copy)).await.expect("is a store");
    assert_eq!(content(&opened).await, before);
    opened.commit(one("elsewhere")).await.expect("commits");
    assert_eq!(content(&store).await.log.len(), 101, "the copy is on its own");
}

#[tokio::test]
async fn a_backup_replaces_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = RedbStore::open_as(directory.path().join("store.redb"), node("n")).await.expect("opens");
    let other = directory.path().join("other.redb");
    let taken = RedbStore::open_as(&other, node("m")).await.expect("opens");
    taken.commit(synckit_testkit::plans::one(&node("m"), "e1")).await.expect("commits");
    taken.close().await.expect("closes");
    let error = store.backup(&other).await.expect_err("is taken");
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    let again = RedbStore::open(RedbConfig::new(&other)).await.expect("opens");
    assert_eq!((again.node(), content_len(&again).await), (&node("m"), 1));
    let nowhere = directory.path().join("no").join("copy.redb");
    assert_eq!(store.backup(nowhere).await.expect_err("has no place").kind(), ErrorKind::NotFound);
}

async fn content_len(store: &RedbStore) -> u64 {
    store.head().await.expect("open").position
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_a_new_file() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("store.redb");
    let _store = RedbStore::open_as(&path, node("n")).await.expect("opens");
    assert_eq!(std::fs::metadata(&path).expect("is there").permissions().mode() & 0o777, 0o600);
}
