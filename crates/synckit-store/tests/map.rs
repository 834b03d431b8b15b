//! A store over any ordered map, under the suite that every store passes: all it takes beside `KeyValueLog`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use synckit_core::{NodeId, Result};
use synckit_store::{Batch, KeyValue, KeyValueLog, Opening, Snapshot, Tree};
use synckit_testkit::{StoreFixture, store_conformance};

type Entries = BTreeMap<(Tree, Vec<u8>), Vec<u8>>;

/// A map behind a lock. Clones share it; a snapshot shares its entries until the next write.
#[derive(Clone, Default)]
struct Map(Arc<Mutex<Arc<Entries>>>);

impl KeyValue for Map {
    type Snapshot = Moment;

    fn snapshot(&self) -> Result<Moment> {
        Ok(Moment(self.0.lock().expect("no panic under the lock").clone()))
    }

    fn write(&self, batch: &Batch) -> Result<()> {
        let mut entries = self.0.lock().expect("no panic under the lock");
        let entries = Arc::make_mut(&mut entries);
        for (tree, key, value) in batch.iter() {
            let key = (tree, key.to_vec());
            match value {
                Some(value) => entries.insert(key, value.to_vec()),
                None => entries.remove(&key),
            };
        }
        Ok(())
    }
}

struct Moment(Arc<Entries>);

impl Snapshot for Moment {
    type Bytes = Vec<u8>;

    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.0.get(&(tree, key.to_vec())).cloned())
    }

    fn scan(
        &self,
        tree: Tree,
        keys: Range<Vec<u8>>,
    ) -> Result<impl Iterator<Item = Result<(Vec<u8>, Vec<u8>)>>> {
        let entries = self.0.range((tree, keys.start)..(tree, keys.end));
        Ok(entries.map(|((_, key), value)| Ok((key.clone(), value.clone()))))
    }
}

impl StoreFixture for Map {
    type Store = KeyValueLog<Map>;

    async fn open(&self, node: &NodeId) -> Result<KeyValueLog<Map>> {
        let map = self.clone();
        KeyValueLog::open(Opening::new("map").with_node(node.clone()), move |_| Ok(map)).await
    }

    fn survives_reopen(&self) -> bool {
        true
    }

    // The log has its engine for itself.
    fn opens_twice(&self) -> bool {
        false
    }
}

store_conformance!(Map::default());
