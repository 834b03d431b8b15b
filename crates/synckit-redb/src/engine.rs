//! The tables of a redb database, as an ordered key-value engine.
//!
//! After one failure of the disk redb refuses everything until the database is opened again. That is done here, at the next
//! call: what was committed is durable, and nothing else was acknowledged.

use std::cell::OnceCell;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use redb::{Database, Durability, ReadTransaction, ReadableDatabase};
use synckit_core::Result;
use synckit_store::{Batch, Found, KeyValue, Opening, Snapshot, Tree};

use crate::error::{engine, guarded};
use crate::tables::{self, Bytes, Table};

/// Opens the database, the first time and after the disk failed.
pub(crate) type Open = Box<dyn Fn() -> Result<Database, redb::Error> + Send + Sync>;

/// A database with a table for each tree.
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
    /// Opens the database, and makes the tables where there is nothing yet and a store may be made.
    pub(crate) fn open(open: Open, opening: &Opening) -> Result<Self> {
        let database = guarded(&*open).map_err(engine)?;
        let found = guarded(|| found(&database.begin_read()?)).map_err(engine)?;
        if found != Found::Store(1) {
            opening.check(found, 1..=1)?;
            guarded(|| make_tables(&database)).map_err(engine)?;
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
                let done = guarded(|| work(database)).map_err(|error| failed(&opened.failed, error))?;
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
            opened.database = Some(guarded(|| (self.open)()).map_err(engine)?);
            opened.failed = Arc::default();
        }
        Ok(())
    }
}

impl KeyValue for Redb {
    type Snapshot = Tables;

    fn snapshot(&self) -> Result<Tables> {
        let begin = |database: &Database| Ok(database.begin_read()?);
        let (transaction, failed) = match self.with(begin) {
            // Opened again at once: nothing was begun.
            Err(_) if self.has_failed() => self.with(begin)?,
            begun => begun?,
        };
        Ok(Tables { transaction, opened: Default::default(), failed })
    }

    fn write(&self, batch: &Batch) -> Result<()> {
        self.with(|database| {
            let mut transaction = database.begin_write()?;
            transaction.set_durability(Durability::Immediate)?;
            for tree in Tree::ALL {
                tables::write(&transaction, tree, batch)?;
            }
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

/// What the database holds; the version of a store is the business of what is in the tables.
fn found(transaction: &ReadTransaction) -> Result<Found, redb::Error> {
    let tables = transaction.list_tables()?.count() + transaction.list_multimap_tables()?.count();
    Ok(match tables {
        0 => Found::Nothing,
        _ if tables::are_there(transaction)? => Found::Store(1),
        _ => Found::Foreign,
    })
}

fn make_tables(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    tables::make(&transaction)?;
    Ok(transaction.commit()?)
}

/// The tables at one moment.
pub(crate) struct Tables {
    transaction: ReadTransaction,
    /// Each opened when it is first needed.
    opened: [OnceCell<Table>; Tree::ALL.len()],
    failed: Arc<AtomicBool>,
}

impl Tables {
    fn table(&self, tree: Tree) -> Result<&Table> {
        let opened = &self.opened[tree as usize];
        if let Some(table) = opened.get() {
            return Ok(table);
        }
        let table = guarded(|| Ok(Table::open(&self.transaction, tree)?));
        let table = table.map_err(|error| failed(&self.failed, error))?;
        Ok(opened.get_or_init(|| table))
    }
}

impl Snapshot for Tables {
    type Bytes = Bytes;

    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Bytes>> {
        let table = self.table(tree)?;
        guarded(|| Ok(table.get(key)?)).map_err(|error| failed(&self.failed, error))
    }

    fn scan(&self, tree: Tree, keys: Range<Vec<u8>>) -> Result<impl Iterator<Item = Result<(Bytes, Bytes)>>> {
        let table = self.table(tree)?;
        let mut range = guarded(|| Ok(table.range(keys)?)).map_err(|error| failed(&self.failed, error))?;
        Ok(std::iter::from_fn(move || {
            let next = guarded(|| Ok(range.next().transpose()?));
            next.map_err(|error| failed(&self.failed, error)).transpose()
        }))
    }
}
