//! What a key-value engine gives, so that a store can be put on it.

use std::collections::BTreeMap;
use std::ops::Range;

use synckit_core::Result;

/// An engine that keeps keys in the order of their bytes.
///
/// Its calls may block: [`KeyValueLog`](crate::KeyValueLog) makes them on threads that may. There is one writer at a time.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::ops::Range;
/// use std::sync::{Arc, Mutex};
///
/// use synckit_core::{EventStore, NodeId, Result};
/// use synckit_store::{Batch, KeyValue, KeyValueLog, Opening, Snapshot};
///
/// type Entries = BTreeMap<Vec<u8>, Vec<u8>>;
///
/// /// A map in memory. A snapshot shares it until the next write.
/// #[derive(Default)]
/// struct Map(Mutex<Arc<Entries>>);
///
/// struct Shared(Arc<Entries>);
///
/// impl KeyValue for Map {
///     type Snapshot = Shared;
///
///     fn snapshot(&self) -> Result<Shared> {
///         Ok(Shared(self.0.lock().expect("no panic under the lock").clone()))
///     }
///
///     fn write(&self, batch: &Batch) -> Result<()> {
///         let mut entries = self.0.lock().expect("no panic under the lock");
///         let entries = Arc::make_mut(&mut entries);
///         for (key, value) in batch.iter() {
///             match value {
///                 Some(value) => entries.insert(key.to_vec(), value.to_vec()),
///                 None => entries.remove(key),
///             };
///         }
///         Ok(())
///     }
/// }
///
/// impl Snapshot for Shared {
///     type Bytes = Vec<u8>;
///
///     fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
///         Ok(self.0.get(key).cloned())
///     }
///
///     fn scan(&self, keys: Range<Vec<u8>>) -> Result<impl Iterator<Item = Result<(Vec<u8>, Vec<u8>)>>> {
///         Ok(self.0.range(keys).map(|(key, value)| Ok((key.clone(), value.clone()))))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let opening = Opening::new("map").with_node(NodeId::new("laptop")?);
/// let store = KeyValueLog::open(opening, |_| Ok(Map::default())).await?;
/// assert_eq!(store.head().await?.position, 0);
/// # store.close().await
/// # }
/// ```
pub trait KeyValue: Send + Sync + 'static {
    /// The entries at one moment.
    type Snapshot: Snapshot;

    /// Takes a snapshot, which has everything that was written before. It does not wait for a write.
    ///
    /// # Errors
    /// Those of the engine.
    fn snapshot(&self) -> Result<Self::Snapshot>;

    /// Writes a batch as a whole, and returns when it is durable.
    ///
    /// # Errors
    /// Those of the engine. The batch is then either whole or absent.
    fn write(&self, batch: &Batch) -> Result<()>;
}

/// The entries of an engine at one moment.
///
/// See [`KeyValue`] for an example.
pub trait Snapshot {
    /// Bytes as the engine holds them.
    type Bytes: AsRef<[u8]>;

    /// Returns the value of a key, if there is one.
    ///
    /// # Errors
    /// Those of the engine.
    fn get(&self, key: &[u8]) -> Result<Option<Self::Bytes>>;

    /// Returns the entries from the first key up to the last, without the last, in the order of the bytes. The first is
    /// never greater than the last.
    ///
    /// # Errors
    /// Those of the engine.
    fn scan(&self, keys: Range<Vec<u8>>) -> Result<impl Iterator<Item = Result<(Self::Bytes, Self::Bytes)>>>;
}

/// What is written together.
#[derive(Clone, Debug, Default)]
pub struct Batch(pub(crate) BTreeMap<Vec<u8>, Option<Vec<u8>>>);

impl Batch {
    /// The keys in order, each once, with the value to put; `None` deletes the key, which may be absent.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.0.iter().map(|(key, value)| (key.as_slice(), value.as_deref()))
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.0.insert(key, Some(value));
    }

    pub(crate) fn delete(&mut self, key: Vec<u8>) {
        self.0.insert(key, None);
    }
}
