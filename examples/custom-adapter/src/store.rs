//! A map in memory whose every change is a record of the file: an engine for `KeyValueLog`.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use synckit_core::{Error, ErrorKind, NodeId, Result};
use synckit_store::{Batch, KeyValue, KeyValueLog, Opening, Snapshot, Tree};

use crate::file::LogFile;

/// A store in one append-only file, open in one process at a time.
pub type FileStore = KeyValueLog<FileMap>;

/// Opens the store of this node in a file, or makes it. Cuts off what a crash left of a commit.
///
/// # Errors
/// - `Conflict`: the store belongs to another node, or the file to another application.
/// - `Busy`: the file is open already, here or in another process.
/// - `Corrupt`: the file is damaged before its last record.
/// - `Invalid`: the file is to be made for a node id with a `~`.
/// - `Denied`, `Internal`: those of the file system.
pub async fn open(path: impl Into<PathBuf>, node: NodeId) -> Result<FileStore> {
    let path = path.into();
    let open = move |_: &Opening| {
        let (file, batches) = LogFile::open(&path).map_err(engine)?;
        let mut entries = Entries::default();
        batches.into_iter().for_each(|batch| apply(&mut entries, batch));
        Ok(FileMap { state: Mutex::new((file, Arc::new(entries))) })
    };
    KeyValueLog::open(Opening::new("file").with_node(node), open).await
}

/// A tree of the log, by its number, and a key in it.
type Key = (u8, Vec<u8>);
type Entries = BTreeMap<Key, Vec<u8>>;

/// A map and its file. **Invariant**: the map is what the records of the file add up to.
#[derive(Debug)]
pub struct FileMap {
    state: Mutex<(LogFile, Arc<Entries>)>,
}

impl KeyValue for FileMap {
    type Snapshot = Moment;

    fn snapshot(&self) -> Result<Moment> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Moment(Arc::clone(&state.1)))
    }

    fn write(&self, batch: &Batch) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let changes: Vec<Change> = batch
            .iter()
            .map(|(tree, key, value)| ((tree as u8, key.to_vec()), value.map(<[u8]>::to_vec)))
            .collect();
        state.0.append(&changes).map_err(engine)?;
        // Copied where a reader still has it.
        apply(Arc::make_mut(&mut state.1), changes);
        Ok(())
    }
}

/// A key and its new value, if it has one.
type Change = (Key, Option<Vec<u8>>);

fn apply(entries: &mut Entries, changes: Vec<Change>) {
    for (key, value) in changes {
        match value {
            Some(value) => entries.insert(key, value),
            None => entries.remove(&key),
        };
    }
}

/// The map at one moment.
#[derive(Debug)]
pub struct Moment(Arc<Entries>);

impl Snapshot for Moment {
    type Bytes = Vec<u8>;

    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.0.get(&(tree as u8, key.to_vec())).cloned())
    }

    fn scan(
        &self,
        tree: Tree,
        keys: Range<Vec<u8>>,
    ) -> Result<impl Iterator<Item = Result<(Vec<u8>, Vec<u8>)>>> {
        let entries = self.0.range((tree as u8, keys.start)..(tree as u8, keys.end));
        Ok(entries.map(|((_, key), value)| Ok((key.clone(), value.clone()))))
    }
}

fn engine(error: io::Error) -> Error {
    let (kind, message) = match error.kind() {
        io::ErrorKind::AlreadyExists => (ErrorKind::Conflict, "the file belongs to another application"),
        io::ErrorKind::WouldBlock => (ErrorKind::Busy, "the file is open already, here or elsewhere"),
        io::ErrorKind::InvalidData => (ErrorKind::Corrupt, "the file is damaged before its last record"),
        io::ErrorKind::PermissionDenied => (ErrorKind::Denied, "the file may not be read or written"),
        _ => (ErrorKind::Internal, "the file cannot be read or written"),
    };
    Error::new(kind, message).with_source(error)
}
