//! Damaged pages: every call ends with an error that says so, and none ends the store.

mod support;

use std::path::Path;

use support::one;
use synckit_core::{Error, ErrorKind, EventStore, Query};
use synckit_redb::{RedbConfig, RedbStore};
use synckit_testkit::flips;
use synckit_testkit::samples::node;

const PAGE: usize = 4_096;

/// Damages a page of the file, and returns whether there was something on it.
fn damage(good: &[u8], page: usize, path: &Path) -> bool {
    let mut bytes = good.to_vec();
    let start = &mut bytes[page * PAGE..][..64];
    if start.iter().all(|byte| *byte == 0) {
        return false;
    }
    start.fill(0xa5);
    std::fs::write(path, bytes).expect("writes");
    true
}

/// Counts the errors about damage, and fails on all others.
fn told<T>(result: Result<T, Error>, page: usize) -> usize {
    match result {
        Ok(_) => 0,
        Err(error) if error.kind() == ErrorKind::Corrupt => 1,
        Err(error) => panic!("page {page}: {error:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_page_is_an_error_of_the_call_and_nothing_else() {
    let directory = tempfile::tempdir().expect("a directory");
    let (path, damaged) = (directory.path().join("store.redb"), directory.path().join("damaged.redb"));
    let store = RedbStore::open_as(&path, node("n")).await.expect("opens");
    for number in 0..300 {
        store.commit(one(&format!("e{number}"))).await.expect("commits");
    }
    store.close().await.expect("closes");
    let good = std::fs::read(&path).expect("reads");
    let mut seen = 0;
    for page in 1..good.len() / PAGE {
        if !damage(&good, page, &damaged) {
            continue;
        }
        let store = match RedbStore::open(RedbConfig::new(&damaged)).await {
            Ok(store) => store,
            Err(error) => {
                seen += told::<()>(Err(error), page);
                continue;
            }
        };
        for number in 0..2 {
            seen += told(store.read(Query::after(0)).await, page);
            seen += told(store.commit(one(&format!("new-{page}-{number}"))).await, page);
            seen += told(store.head().await, page);
        }
        // What it could not write it may not be able to tidy up either.
        drop(store.close().await);
    }
    assert!(seen > 0, "no damage was noticed");
}

/// A flipped bit is damage, and never another event.
#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_never_alters_an_event() {
    let directory = tempfile::tempdir().expect("a directory");
    let create = async |path: &Path| RedbStore::open_as(path, node("n")).await;
    let open = async |path: &Path| RedbStore::open(RedbConfig::new(path)).await;
    flips::a_flipped_bit_never_alters_an_event(directory.path(), create, open).await;
}
