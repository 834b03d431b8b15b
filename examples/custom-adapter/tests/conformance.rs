//! The store under the suite that every store passes: one file per case.

use custom_adapter::{FileStore, open};
use synckit_core::{NodeId, Result};
use synckit_testkit::{StoreFixture, store_conformance};
use tempfile::TempDir;

/// A directory that is gone with the fixture, and the file in it.
struct InDirectory(TempDir);

impl InDirectory {
    fn path(&self) -> String {
        self.0.path().join("log").display().to_string()
    }
}

impl StoreFixture for InDirectory {
    type Store = FileStore;

    async fn open(&self, node: &NodeId) -> Result<FileStore> {
        self.open_at(&self.path(), node).await
    }

    fn survives_reopen(&self) -> bool {
        true
    }

    // The file is locked.
    fn opens_twice(&self) -> bool {
        false
    }

    fn address(&self) -> Option<String> {
        Some(self.path())
    }

    async fn open_at(&self, address: &str, node: &NodeId) -> Result<FileStore> {
        open(address, node.clone()).await
    }
}

store_conformance!(InDirectory(TempDir::new().expect("a directory can be made")));
