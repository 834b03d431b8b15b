//! The store under the suite that every store passes: one file per case.

use custom_adapter::FileStore;
use synckit_core::{NodeId, Result};
use synckit_testkit::{StoreFixture, store_conformance};
use tempfile::TempDir;

/// A directory that is gone with the fixture, and the file in it.
struct InDirectory(TempDir);

impl StoreFixture for InDirectory {
    type Store = FileStore;

    async fn open(&self, node: &NodeId) -> Result<FileStore> {
        FileStore::open(self.0.path().join("log"), node.clone()).await
    }

    fn survives_reopen(&self) -> bool {
        true
    }

    // The file is locked.
    fn opens_twice(&self) -> bool {
        false
    }
}

store_conformance!(InDirectory(TempDir::new().expect("a directory can be made")));
