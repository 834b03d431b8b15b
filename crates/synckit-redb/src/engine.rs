//! One table of a redb database, as an ordered key-value engine.
//!
//! After one failure of the disk redb refuses everything until the database is opened again. That is done here, at the next
//! call: what was committed is durable, and nothing else was acknowledged.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use redb::{
    AccessGuard, Database, Durability, ReadOnlyTable, ReadTransaction, ReadableDatabase, TableDefinition,
    TableError,
};
use synckit_core::Result;
use synckit_store::{Batch, Found, KeyValue, Opening, Snapshot};

use crate::error::engine;

const ENTRIES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("synckit");

/// Opens the database, the first time and after the disk failed.
pub(crate) type Open = Box<dyn Fn() -> Result<Database, redb::Error> + Send + Sync>;

/// A database with one table.
pub(crate) struct Redb {
    open: Open,
    opened: RwLock<Opened>,
}

struct Opened {
    /// `None` after it could not be opened again.
    database: Option<Database>,
    /// Whether the disk failed since it was opened. Snapshots share it.
    failed: Arc<AtomicBool>,
}

impl Redb {
    /// Opens the database, and makes the table where there is nothing yet and a store may be made.
    pub(crate) fn open(open: Open, opening: &Opening) -> Result<Self> {
        let database = open().map_err(engine)?;
        let found = found(&database.begin_read().map_err(engine)?).map_err(engine)?;
        if found != Found::Store(1) {
            opening.check(found, 1)?;
            make_table(&database).map_err(engine)?;
        }
        let opened = Opened { database: Some(database), failed: Arc::default() };
        Ok(Redb { open, opened: RwLock::new(opened) })
    }

    /// Does work with the database. Where the disk has failed before, the database is opened again first.
    fn with<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<(T, Arc<AtomicBool>)> {
        loop {
            let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(database) =
                opened.database.as_ref().filter(|_| !opened.failed.load(Ordering::Acquire))
            {
                let done = work(database).map_err(|error| failed(&opened.failed, error))?;
                return Ok((done, Arc::clone(&opened.failed)));
            }
            drop(opened);
            self.open_again()?;
        }
    }

    fn open_again(&self) -> Result<()> {
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        if opened.database.is_none() || opened.failed.load(Ordering::Acquire) {
            // The file is locked as long as the old database is there.
            opened.database = None;
            opened.database = Some((self.open)().map_err(engine)?);
            opened.failed = Arc::default();
        }
        Ok(())
    }
}

impl KeyValue for Redb {
    type Snapshot = Entries;

    fn snapshot(&self) -> Result<Entries> {
        let read = |database: &Database| Ok(database.begin_read()?.open_table(ENTRIES)?);
        let (table, failed) = match self.with(read) {
            // Opened again at once: nothing was begun.
            Err(_) if self.has_failed() => self.with(read)?,
            read => read?,
        };
        Ok(Entries { table, failed })
    }

    fn write(&self, batch: &Batch) -> Result<()> {
        self.with(|database| {
            let mut transaction = database.begin_write()?;
            transaction.set_durability(Durability::Immediate)?;
            let mut table = transaction.open_table(ENTRIES)?;
            for (key, value) in batch.iter() {
                match value {
                    Some(value) => table.insert(key, value)?,
                    None => table.remove(key)?,
                };
            }
            drop(table);
            Ok(transaction.commit()?)
        })
        .map(drop)
    }
}

impl Redb {
    fn has_failed(&self) -> bool {
        self.opened.read().unwrap_or_else(PoisonError::into_inner).failed.load(Ordering::Acquire)
    }
}

impl fmt::Debug for Redb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redb").finish_non_exhaustive()
    }
}

/// Notes whether the disk has failed, and says what the error means.
fn failed(failed: &AtomicBool, error: impl Into<redb::Error>) -> synckit_core::Error {
    let error = error.into();
    if matches!(error, redb::Error::Io(_) | redb::Error::PreviousIo) {
        failed.store(true, Ordering::Release);
    }
    engine(error)
}

/// What the database holds; the version of a store is the business of what is in the table.
fn found(transaction: &ReadTransaction) -> Result<Found, redb::Error> {
    match transaction.open_table(ENTRIES) {
        Ok(_) => return Ok(Found::Store(1)),
        Err(TableError::Storage(error)) => return Err(error.into()),
        Err(TableError::TableDoesNotExist(_)) => {}
        Err(_) => return Ok(Found::Foreign),
    }
    let nothing =
        transaction.list_tables()?.next().is_none() && transaction.list_multimap_tables()?.next().is_none();
    Ok(if nothing { Found::Nothing } else { Found::Foreign })
}

fn make_table(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(ENTRIES)?;
    Ok(transaction.commit()?)
}

/// The table at one moment.
pub(crate) struct Entries {
    table: ReadOnlyTable<&'static [u8], &'static [u8]>,
    failed: Arc<AtomicBool>,
}

/// A key or a value, where redb holds it.
pub(crate) struct Bytes(AccessGuard<'static, &'static [u8]>);

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self.0.value()
    }
}

impl Snapshot for Entries {
    type Bytes = Bytes;

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let value = self.table.get(key).map_err(|error| failed(&self.failed, error))?;
        Ok(value.map(Bytes))
    }

    fn scan(&self, keys: Range<Vec<u8>>) -> Result<impl Iterator<Item = Result<(Bytes, Bytes)>>> {
        let range = self.table.range(keys.start.as_slice()..keys.end.as_slice());
        let range = range.map_err(|error| failed(&self.failed, error))?;
        Ok(range.map(|entry| match entry {
            Ok((key, value)) => Ok((Bytes(key), Bytes(value))),
            Err(error) => Err(failed(&self.failed, error)),
        }))
    }
}
