//! The redb store under the suite that every store passes: one file per case, and in memory.

use synckit_core::{NodeId, Result};
use synckit_redb::RedbStore;
use synckit_testkit::{StoreFixture, store_conformance};
use tempfile::TempDir;

/// A directory that is gone with the fixture, and the file in it.
struct InDirectory(TempDir);

impl InDirectory {
    fn path(&self) -> String {
        self.0.path().join("log.redb").display().to_string()
    }
}

impl StoreFixture for InDirectory {
    type Store = RedbStore;

    async fn open(&self, node: &NodeId) -> Result<RedbStore> {
        self.open_at(&self.path(), node).await
    }

    fn survives_reopen(&self) -> bool {
        true
    }

    // redb locks the file.
    fn opens_twice(&self) -> bool {
        false
    }

    fn address(&self) -> Option<String> {
        Some(self.path())
    }

    async fn open_at(&self, address: &str, node: &NodeId) -> Result<RedbStore> {
        RedbStore::open_as(address, node.clone()).await
    }
}

/// A log that ends with its store.
struct InMemory;

impl StoreFixture for InMemory {
    type Store = RedbStore;

    async fn open(&self, node: &NodeId) -> Result<RedbStore> {
        RedbStore::in_memory(node.clone()).await
    }

    fn survives_reopen(&self) -> bool {
        false
    }

    fn opens_twice(&self) -> bool {
        false
    }
}

store_conformance!(in_file: InDirectory(TempDir::new().expect("a directory can be made")));
store_conformance!(in_memory: InMemory);
