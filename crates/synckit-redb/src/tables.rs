//! The table of each tree. Keys and values of 8 bytes have that length in their type, so that redb keeps no offsets.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use redb::{
    AccessGuard, Error, Key, ReadOnlyTable, ReadTransaction, StorageError, TableDefinition, TableError,
    Value, WriteTransaction,
};
use synckit_store::{Batch, Tree};

type Short = &'static [u8; 8];
type Long = &'static [u8];

const EVENTS: TableDefinition<'_, Short, Long> = TableDefinition::new("events");
const IDS: TableDefinition<'_, Long, Short> = TableDefinition::new("ids");
const DOTS: TableDefinition<'_, Long, Short> = TableDefinition::new("dots");
const AGGREGATES: TableDefinition<'_, Long, ()> = TableDefinition::new("aggregates");
const NOTES: TableDefinition<'_, Long, Long> = TableDefinition::new("notes");

/// The table of a tree, for reading.
pub(crate) enum Table {
    Events(ReadOnlyTable<Short, Long>),
    Places(ReadOnlyTable<Long, Short>),
    Aggregates(ReadOnlyTable<Long, ()>),
    Notes(ReadOnlyTable<Long, Long>),
}

type Entries = Box<dyn Iterator<Item = Result<(Bytes, Bytes), StorageError>>>;

impl Table {
    pub(crate) fn open(transaction: &ReadTransaction, tree: Tree) -> Result<Self, TableError> {
        Ok(match tree {
            Tree::Events => Table::Events(transaction.open_table(EVENTS)?),
            Tree::Ids => Table::Places(transaction.open_table(IDS)?),
            Tree::Dots => Table::Places(transaction.open_table(DOTS)?),
            Tree::Aggregates => Table::Aggregates(transaction.open_table(AGGREGATES)?),
            Tree::Notes => Table::Notes(transaction.open_table(NOTES)?),
        })
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        Ok(match self {
            Table::Events(table) => table.get(&short(key))?.map(Bytes::row),
            Table::Places(table) => table.get(key)?.map(Bytes::short),
            Table::Aggregates(table) => table.get(key)?.map(|_| Bytes::Nothing),
            Table::Notes(table) => table.get(key)?.map(Bytes::long),
        })
    }

    pub(crate) fn range(&self, keys: Range<Vec<u8>>) -> Result<Entries, StorageError> {
        let long = keys.start.as_slice()..keys.end.as_slice();
        Ok(match self {
            Table::Events(table) => {
                let range = table.range::<&[u8; 8]>(&short(&keys.start)..&short(&keys.end))?;
                entries(range, Bytes::short, Bytes::row)
            }
            Table::Places(table) => entries(table.range(long)?, Bytes::long, Bytes::short),
            Table::Aggregates(table) => entries(table.range(long)?, Bytes::long, |_| Bytes::Nothing),
            Table::Notes(table) => entries(table.range(long)?, Bytes::long, Bytes::long),
        })
    }
}

fn entries<K: Key + 'static, V: Value + 'static>(
    range: redb::Range<'static, K, V>,
    key: fn(AccessGuard<'static, K>) -> Bytes,
    value: fn(AccessGuard<'static, V>) -> Bytes,
) -> Entries {
    Box::new(range.map(move |entry| entry.map(|entry| (key(entry.0), value(entry.1)))))
}

/// A key or a value, where redb holds it if it is long.
pub(crate) enum Bytes {
    Long(AccessGuard<'static, Long>),
    Short([u8; 8]),
    Nothing,
}

impl Bytes {
    /// Looks at the bytes once: where a damaged page says that they are beyond its end, redb panics here and not later.
    fn long(bytes: AccessGuard<'static, Long>) -> Self {
        let _ = bytes.value();
        Bytes::Long(bytes)
    }

    /// The row of an event. What a damaged page says to be beyond its end is a row of no bytes, which is damaged, so that
    /// the other rows can be read.
    fn row(bytes: AccessGuard<'static, Long>) -> Self {
        catch_unwind(AssertUnwindSafe(|| Bytes::long(bytes))).unwrap_or(Bytes::Nothing)
    }

    fn short(bytes: AccessGuard<'_, Short>) -> Self {
        Bytes::Short(*bytes.value())
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        match self {
            Bytes::Long(bytes) => bytes.value(),
            Bytes::Short(bytes) => bytes,
            Bytes::Nothing => &[],
        }
    }
}

/// Writes what a batch changes of a tree.
pub(crate) fn write(transaction: &WriteTransaction, tree: Tree, batch: &Batch) -> Result<(), Error> {
    let mut entries = batch.tree(tree).peekable();
    if entries.peek().is_none() {
        return Ok(());
    }
    match tree {
        Tree::Events => {
            let mut table = transaction.open_table(EVENTS)?;
            for (key, value) in entries {
                change(&mut table, &short(key), value)?;
            }
        }
        Tree::Ids | Tree::Dots => {
            let mut table = transaction.open_table(if tree == Tree::Ids { IDS } else { DOTS })?;
            for (key, value) in entries {
                change(&mut table, key, value.map(short).as_ref())?;
            }
        }
        Tree::Aggregates => {
            let mut table = transaction.open_table(AGGREGATES)?;
            for (key, value) in entries {
                change(&mut table, key, value.map(|_| ()))?;
            }
        }
        Tree::Notes => {
            let mut table = transaction.open_table(NOTES)?;
            for (key, value) in entries {
                change(&mut table, key, value)?;
            }
        }
    }
    Ok(())
}

fn change<'k, 'v, K: Key + 'static, V: Value + 'static>(
    table: &mut redb::Table<'_, K, V>,
    key: K::SelfType<'k>,
    value: Option<V::SelfType<'v>>,
) -> Result<(), StorageError> {
    match value {
        Some(value) => table.insert(key, value).map(drop),
        None => table.remove(key).map(drop),
    }
}

/// Makes the tables that are not there.
pub(crate) fn make(transaction: &WriteTransaction) -> Result<(), TableError> {
    transaction.open_table(EVENTS)?;
    transaction.open_table(IDS)?;
    transaction.open_table(DOTS)?;
    transaction.open_table(AGGREGATES)?;
    transaction.open_table(NOTES)?;
    Ok(())
}

/// Whether all tables are there.
pub(crate) fn are_there(transaction: &ReadTransaction) -> Result<bool, StorageError> {
    for tree in Tree::ALL {
        match Table::open(transaction, tree) {
            Ok(_) => {}
            Err(TableError::Storage(error)) => return Err(error),
            Err(_) => return Ok(false),
        }
    }
    Ok(true)
}

/// The 8 bytes of a key or a position. A bound that is shorter is filled up with zeros, which keeps its place in the order.
fn short(bytes: &[u8]) -> [u8; 8] {
    let mut short = [0; 8];
    let length = bytes.len().min(8);
    short[..length].copy_from_slice(&bytes[..length]);
    short
}
