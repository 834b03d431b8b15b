//! Backups while the store is in use, the rights of new files, and files that cannot be written.

mod support;

use support::{directory, node, one, recorded};
use synckit_core::ErrorKind;
use synckit_sqlite::{SqliteConfig, SqliteStore};
use synckit_testkit::plans::content;

#[tokio::test]
async fn a_backup_is_the_store_of_one_moment() {
    let (directory, path) = directory();
    let store = SqliteStore::open_as(&path, node("a")).await.expect("opens");
    for number in 0..100 {
        recorded(&store, one("a", &format!("e{number}"))).await;
    }
    let before = content(&store).await;
    let copy = directory.path().join("copy.db");
    store.backup(&copy).await.expect("copies");
    recorded(&store, one("a", "later")).await;

    let opened = SqliteStore::open(SqliteConfig::new(&copy)).await.expect("is a store");
    assert_eq!(content(&opened).await, before);
    recorded(&opened, one("a", "elsewhere")).await;
    assert_eq!(content(&store).await.log.len(), 101, "the copy is on its own");
}

#[tokio::test]
async fn a_backup_replaces_nothing() {
    let (directory, path) = directory();
    let store = SqliteStore::open_as(&path, node("a")).await.expect("opens");
    let taken = directory.path().join("letter.txt");
    std::fs::write(&taken, "dear diary").expect("writes");
    let error = store.backup(&taken).await.expect_err("is taken");
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Conflict, "backup"), "{error}");
    assert_eq!(std::fs::read_to_string(&taken).expect("reads"), "dear diary");
    let error = store.backup(directory.path().join("no").join("copy.db")).await.expect_err("has no place");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    std::fs::write(&taken, "").expect("writes");
    store.backup(&taken).await.expect("an empty file is taken");
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_what_is_made() {
    use std::os::unix::fs::PermissionsExt;
    let (directory, path) = directory();
    let store = SqliteStore::open_as(&path, node("a")).await.expect("opens");
    recorded(&store, one("a", "e1")).await;
    store.backup(directory.path().join("copy.db")).await.expect("copies");
    let mut files = 0;
    for entry in std::fs::read_dir(directory.path()).expect("reads") {
        let entry = entry.expect("reads");
        assert_eq!(entry.metadata().expect("is there").permissions().mode() & 0o777, 0o600, "{entry:?}");
        files += 1;
    }
    assert_eq!(files, 4, "the store, what is beside it, and the copy");
}
