//! The redb store under the suite that every store passes: one file per case, and in memory.

mod fixture;

use synckit_core::{NodeId, Result};
use synckit_redb::RedbStore;
use synckit_testkit::{StoreFixture, store_conformance};

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

store_conformance!(in_file: fixture::fixture());
store_conformance!(in_memory: InMemory);
