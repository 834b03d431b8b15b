//! The in-memory store under the suite that every store passes.

use std::sync::Mutex;

use synckit_core::notes::{self, Identity};
use synckit_core::{ErrorKind, EventStore, NodeId, NoteQuery, Result};
use synckit_memory::MemoryStore;
use synckit_testkit::{StoreFixture, store_conformance};

/// Keeps the last store, as a file keeps a log: opened again it is shared, or copied when it was closed.
#[derive(Default)]
struct Kept(Mutex<Option<MemoryStore>>);

impl StoreFixture for Kept {
    type Store = MemoryStore;

    async fn open(&self, node: &NodeId) -> Result<MemoryStore> {
        let kept = self.0.lock().expect("no case panics while it holds the lock").clone();
        let store = match kept {
            None => MemoryStore::new(node.clone())?,
            Some(kept) => match kept.head().await {
                Err(error) if error.kind() == ErrorKind::Closed => kept.copy(),
                _ => kept,
            },
        };
        for note in store.notes(NoteQuery::Keys(vec![notes::NODE.to_owned()])).await? {
            note.parse::<Identity>()?.expect(node)?;
        }
        *self.0.lock().expect("no case panics while it holds the lock") = Some(store.clone());
        Ok(store)
    }

    fn survives_reopen(&self) -> bool {
        true
    }

    fn opens_twice(&self) -> bool {
        true
    }
}

store_conformance!(Kept::default());
