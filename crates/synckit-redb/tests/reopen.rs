//! Opening the file again by itself, once the disk is well.

mod support;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use redb::StorageBackend;
use redb::backends::FileBackend;
use support::{Disk, Kept, content, one, open};
use synckit_core::{ErrorKind, EventStore, Needs, Query};
use synckit_redb::RedbStore;
use synckit_testkit::samples::node;

#[tokio::test]
async fn a_storage_that_failed_once_is_opened_again_by_itself() {
    let disk = Disk::default();
    let store = open(&disk).await.expect("opens");
    store.commit(one("e1")).await.expect("commits");
    for round in 0..3 {
        let before = content(&store).await;
        disk.fail_times(1);
        let error = store.commit(one(&format!("lost-{round}"))).await.expect_err("fails");
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true), "{error}");
        // Each of these, and the commit after them, works at once.
        assert_eq!(store.head().await.expect("reads").store, before.store);
        store.facts(Needs::default()).await.expect("reads");
        store.commit(one(&format!("kept-{round}"))).await.expect("commits");
        assert!(content(&store).await.log.starts_with(&before.log));
    }
    let after = content(&store).await;
    store.close().await.expect("closes");
    // What was acknowledged survives a power cut as ever.
    let left = open(&Disk::of(disk.cut_after(disk.syncs(), Kept::Nothing))).await.expect("opens");
    assert_eq!(content(&left).await, after);
}

#[tokio::test]
async fn while_the_disk_fails_every_call_says_so_and_the_first_after_it_works() {
    let disk = Disk::default();
    let store = open(&disk).await.expect("opens");
    store.commit(one("e1")).await.expect("commits");
    disk.fail();
    for _ in 0..3 {
        assert_eq!(store.commit(one("e2")).await.expect_err("fails").kind(), ErrorKind::Unavailable);
    }
    disk.fail_times(0);
    store.commit(one("e2")).await.expect("commits");
    let log = content(&store).await.log;
    assert_eq!(log.iter().map(|stored| stored.event.id.as_str()).collect::<Vec<_>>(), ["e1", "e2"]);
}

#[tokio::test]
async fn those_who_wait_for_the_log_to_grow_outlive_a_failure() {
    let disk = Disk::default();
    let store = open(&disk).await.expect("opens");
    disk.fail_times(1);
    let (moved, ()) = tokio::join!(store.moved(0), async {
        store.commit(one("e1")).await.expect_err("fails");
        store.commit(one("e1")).await.expect("commits");
    });
    assert_eq!(moved.expect("moves"), 1);
}

/// A real file, of which the next operations fail, this many.
#[derive(Debug)]
struct Flaky {
    file: FileBackend,
    failing: Arc<AtomicUsize>,
}

impl Flaky {
    fn open(path: &Path, failing: &Arc<AtomicUsize>) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        let file = FileBackend::new(file).map_err(io::Error::other)?;
        Ok(Flaky { file, failing: Arc::clone(failing) })
    }

    fn check(&self) -> io::Result<()> {
        let fewer = |left: usize| left.checked_sub(1);
        match self.failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fewer) {
            Ok(_) => Err(io::Error::other("the disk fails")),
            Err(_) => Ok(()),
        }
    }
}

impl StorageBackend for Flaky {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.check()?;
        self.file.read(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.check()?;
        self.file.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check()?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check()?;
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}

#[tokio::test]
async fn a_real_file_whose_disk_failed_once_is_opened_again_by_itself() {
    let directory = tempfile::tempdir().expect("a directory");
    let (path, failing) = (directory.path().join("store.redb"), Arc::new(AtomicUsize::new(0)));
    let storage = {
        let (path, failing) = (path.clone(), Arc::clone(&failing));
        move || Flaky::open(&path, &failing)
    };
    let store = RedbStore::open_backend(storage, node("n")).await.expect("opens");
    store.commit(one("e1")).await.expect("commits");
    failing.store(1, Ordering::SeqCst);
    let error = store.commit(one("e2")).await.expect_err("fails");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert_eq!(store.commit(one("e3")).await.expect("commits").head, 2);
    assert_eq!(content(&store).await.log.len(), 2);
    store.close().await.expect("closes");

    let store = RedbStore::open_as(&path, node("n")).await.expect("opens");
    let log = store.read(Query::after(0)).await.expect("reads").events;
    assert_eq!(log.iter().map(|stored| stored.event.id.as_str()).collect::<Vec<_>>(), ["e1", "e3"]);
}
