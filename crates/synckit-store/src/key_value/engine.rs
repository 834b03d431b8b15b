//! What a key-value engine gives, so that a store can be put on it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;

use synckit_core::Result;

/// An engine that keeps keys in the order of their bytes, in one [`Tree`] or several.
///
/// Its calls may block: [`KeyValueLog`](crate::KeyValueLog) makes them on threads that may. There is one writer at a time.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::ops::Range;
/// use std::sync::{Arc, Mutex};
///
/// use synckit_core::{EventStore, NodeId, Result};
/// use synckit_store::{Batch, KeyValue, KeyValueLog, Opening, Snapshot, Tree};
///
/// type Entries = BTreeMap<(Tree, Vec<u8>), Vec<u8>>;
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
///         for (tree, key, value) in batch.iter() {
///             let key = (tree, key.to_vec());
///             match value {
///                 Some(value) => entries.insert(key, value.to_vec()),
///                 None => entries.remove(&key),
///             };
///         }
///         Ok(())
///     }
/// }
///
/// impl Snapshot for Shared {
///     type Bytes = Vec<u8>;
///
///     fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>> {
///         Ok(self.0.get(&(tree, key.to_vec())).cloned())
///     }
///
///     fn scan(
///         &self,
///         tree: Tree,
///         keys: Range<Vec<u8>>,
///     ) -> Result<impl Iterator<Item = Result<(Vec<u8>, Vec<u8>)>>> {
///         let entries = self.0.range((tree, keys.start)..(tree, keys.end));
///         Ok(entries.map(|((_, key), value)| Ok((key.clone(), value.clone()))))
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
///
/// ```
/// use synckit_store::{Snapshot, Tree};
///
/// /// Counts the events of a log.
/// fn events(snapshot: &impl Snapshot) -> synckit_core::Result<usize> {
///     Ok(snapshot.scan(Tree::Events, vec![]..vec![0xff; 9])?.count())
/// }
/// ```
pub trait Snapshot {
    /// Bytes as the engine holds them.
    type Bytes: AsRef<[u8]>;

    /// Returns the value of a key, if there is one.
    ///
    /// # Errors
    /// Those of the engine.
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Self::Bytes>>;

    /// Returns the entries of a tree from the first key up to the last, without the last, in the order of the bytes. The
    /// first is never greater than the last.
    ///
    /// # Errors
    /// Those of the engine.
    fn scan(
        &self,
        tree: Tree,
        keys: Range<Vec<u8>>,
    ) -> Result<impl Iterator<Item = Result<(Self::Bytes, Self::Bytes)>>>;
}

/// One of the key spaces of a log. Keys are unique in their tree, and no read crosses trees.
///
/// An engine with tables keeps each tree in a table of its own; one with a single key space puts the tree in front of the
/// key, for which its number serves: it never changes. What keys and values are is the log's business, but for their lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tree {
    /// The events: keys of 8 bytes, which grow with each event, and long values.
    Events = 0,
    /// Where the event with an id is: keys of up to 255 bytes, values of 8.
    Ids = 1,
    /// Where the event with a dot is: keys of up to 264 bytes, values of 8.
    Dots = 2,
    /// Where the events of an aggregate are: keys of up to 264 bytes, empty values.
    Aggregates = 3,
    /// The notebook: keys and values of any length.
    Notes = 4,
}

impl Tree {
    /// All trees, in order.
    pub const ALL: [Tree; 5] = [Tree::Events, Tree::Ids, Tree::Dots, Tree::Aggregates, Tree::Notes];
}

/// What is written together.
#[derive(Clone, Debug, Default)]
pub struct Batch([Entries; Tree::ALL.len()]);

/// The keys of a tree that change.
type Entries = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

impl Batch {
    /// Returns all changes, tree by tree: each key once, in order, with the value to put. `None` deletes the key, which may
    /// be absent.
    pub fn iter(&self) -> impl Iterator<Item = (Tree, &[u8], Option<&[u8]>)> {
        Tree::ALL.into_iter().flat_map(|tree| self.tree(tree).map(move |(key, value)| (tree, key, value)))
    }

    /// Returns the changes of one tree, as [`iter`](Self::iter).
    pub fn tree(&self, tree: Tree) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.entries(tree).iter().map(|(key, value)| (key.as_slice(), value.as_deref()))
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(BTreeMap::is_empty)
    }

    pub(crate) fn entries(&self, tree: Tree) -> &Entries {
        &self.0[tree as usize]
    }

    pub(crate) fn put(&mut self, tree: Tree, key: Vec<u8>, value: Vec<u8>) {
        self.0[tree as usize].insert(key, Some(value));
    }

    pub(crate) fn entry(&mut self, tree: Tree, key: Vec<u8>) -> Entry<'_, Vec<u8>, Option<Vec<u8>>> {
        self.0[tree as usize].entry(key)
    }

    pub(crate) fn delete(&mut self, tree: Tree, key: Vec<u8>) {
        self.0[tree as usize].insert(key, None);
    }

    /// Adds the changes of another batch, which stand above those of this one.
    pub(crate) fn append(&mut self, above: Batch) {
        for (entries, above) in self.0.iter_mut().zip(above.0) {
            match entries.is_empty() {
                true => *entries = above,
                false => entries.extend(above),
            }
        }
    }
}
