//! Whose database it is, and how it is opened and created.
//!
//! A store is told by the table `synckit`, which holds the version of the format.

use std::fs;
use std::path::Path;

use redb::{
    Builder, Database, ReadTransaction, ReadableDatabase, StorageBackend, TableDefinition, TableError,
};
use synckit_core::notes::{self, Identity};
use synckit_core::{Error, ErrorKind, NodeId, Plan, Result, Secret, StoreId};

use crate::config::RedbConfig;
use crate::error::engine;
use crate::tables::{Snapshot, Tables};

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("synckit");
const FORMAT_KEY: &str = "format";
/// The version of the tables. That of the rows stands in each row.
const FORMAT: u64 = 1;

/// Opens the database in a file, or makes the file where the configuration says so.
pub(crate) fn open_file(config: &RedbConfig) -> Result<Database> {
    let path = &config.path;
    if path.as_os_str().is_empty() {
        return Err(Error::invalid("the path of the store must name a file"));
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let create = config.create && config.node.is_some();
    // An empty file is no store yet: a process that ended while it created one leaves it.
    let there = fs::metadata(path).is_ok_and(|file| file.is_dir() || file.len() > 0);
    if !there && !parent.is_dir() {
        return Err(absent("the directory of the store does not exist"));
    }
    if !there && !create {
        return Err(not_created(config.node.as_ref()));
    }
    let mut builder = Builder::new();
    builder.set_cache_size(config.cache_bytes);
    let database = if create { builder.create(path) } else { builder.open(path) };
    let database = database.map_err(engine)?;
    if !there {
        sync_directory(parent).map_err(|error| engine(redb::Error::Io(error)))?;
    }
    Ok(database)
}

/// Opens the database on a storage of the caller's, or makes it where the storage is empty.
pub(crate) fn open_backend(backend: impl StorageBackend) -> Result<Database> {
    let mut builder = Builder::new();
    builder.set_cache_size(RedbConfig::default().cache_bytes);
    builder.create_with_backend(backend).map_err(engine)
}

/// Checks that this is a store, of the node if one is given; creates it where there is nothing yet.
pub(crate) fn set_up(database: &Database, node: Option<&NodeId>, create: bool) -> Result<Identity> {
    if !is_store(&database.begin_read().map_err(engine)?)? {
        let node = node.filter(|_| create).ok_or_else(|| not_created(node))?;
        let (id, secret) = (StoreId::from_bytes(random()?), Secret::from_bytes(random()?));
        let put = notes::of_new_store(node.clone(), id, secret)?.into();
        let plan = Plan { put, ..Plan::default() };
        make(database, &plan).map_err(engine)?;
    }
    let snapshot = Snapshot::open(&database.begin_read().map_err(engine)?).map_err(engine)?;
    let identity = identity(&snapshot)?;
    node.map_or(Ok(()), |node| identity.expect(node))?;
    snapshot.head()?;
    Ok(identity)
}

/// Who the store belongs to.
pub(crate) fn identity(snapshot: &Snapshot) -> Result<Identity> {
    notes::identity(snapshot.note(notes::NODE)?.as_deref())
}

/// Whether the database holds a store; `false` where there is nothing at all yet.
fn is_store(transaction: &ReadTransaction) -> Result<bool> {
    let foreign = || {
        let message = "this database belongs to another application; give the store a file of its own";
        Error::new(ErrorKind::Conflict, message)
    };
    let meta = match transaction.open_table(META) {
        Ok(meta) => meta,
        Err(TableError::TableDoesNotExist(_)) => {
            let tables = transaction.list_tables().map_err(engine)?.count();
            let multimaps = transaction.list_multimap_tables().map_err(engine)?.count();
            return if tables + multimaps == 0 { Ok(false) } else { Err(foreign()) };
        }
        Err(TableError::Storage(error)) => return Err(engine(error)),
        Err(error) => return Err(foreign().with_source(error)),
    };
    let format = redb::ReadableTable::get(&meta, FORMAT_KEY).map_err(engine)?.map(|format| format.value());
    match format {
        Some(FORMAT) => Ok(true),
        Some(format @ 1..) => {
            let message = "this store was made by a newer synckit; upgrade synckit to open it";
            let error = Error::new(ErrorKind::Unsupported, message);
            Err(error.with("format", format).with("newest known", FORMAT))
        }
        _ => Err(Error::corrupt("the format of this store makes no sense")),
    }
}

/// Makes the tables with these first notes, all in one transaction.
fn make(database: &Database, plan: &Plan) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(META)?.insert(FORMAT_KEY, FORMAT)?;
    Tables::open(&transaction)?.write(0, plan)?;
    Ok(transaction.commit()?)
}

fn random() -> Result<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::Internal, "the system gives no random numbers")
            .with_source(std::io::Error::other(error.to_string()))
    })?;
    Ok(bytes)
}

/// Makes the name of a new file durable; without it, a power cut may take the file with all that was committed.
#[cfg(unix)]
fn sync_directory(directory: &Path) -> std::io::Result<()> {
    fs::File::open(directory)?.sync_all()
}

/// Elsewhere a directory cannot be synced and names are durable with the file.
#[cfg(not(unix))]
fn sync_directory(_: &Path) -> std::io::Result<()> {
    Ok(())
}

fn not_created(node: Option<&NodeId>) -> Error {
    absent(match node {
        None => "there is no store here; give the node id to create one for",
        Some(_) => "there is no store here; allow it to be created",
    })
}

fn absent(message: &str) -> Error {
    Error::new(ErrorKind::NotFound, message)
}
