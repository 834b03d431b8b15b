//! The five methods of a store. Each record of the file is the plan of one commit.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use synckit_core::{notes::{self, Note}, plan::{Intent, Outcome}, Error, ErrorKind, EventStore, LogHead, MemoryLog, NodeId, NoteQuery, Page, Plan, Query, Result, Secret, StoreId};

use crate::file::LogFile;

/// A store in one append-only file, open in one process at a time. Clones share it.
///
/// Every call runs to its end on a thread that may block, also when its future is dropped.
#[derive(Clone, Debug)]
pub struct FileStore(Arc<Mutex<Option<Log>>>);

/// **Invariant**: `memory` is what the records of `file` add up to.
#[derive(Debug)]
struct Log {
    file: LogFile,
    memory: MemoryLog,
}

impl FileStore {
    /// Opens the store of this node in a file, or makes it. What a crash left of a commit is cut off.
    ///
    /// # Errors
    /// - `Conflict`: the store belongs to another node, or the file to another application.
    /// - `Busy`: the file is open already, here or in another process.
    /// - `Corrupt`: the file is damaged before its last record.
    /// - `Invalid`: the file is to be made for a node id with a `~`.
    /// - `Denied`, `Internal`: those of the file system.
    pub async fn open(path: impl Into<PathBuf>, node: NodeId) -> Result<Self> {
        let (store, path) = (FileStore(Arc::default()), path.into());
        let open = move |opened: &mut Option<Log>| {
            let (file, plans) = LogFile::open(&path).map_err(engine)?;
            let mut log = Log { file, memory: MemoryLog::default() };
            plans.into_iter().try_for_each(|plan| log.memory.apply(plan))?;
            if log.memory.head().is_err() {
                let random = || uuid::Uuid::new_v4().into_bytes();
                let (id, secret) = (StoreId::from_bytes(random()), Secret::from_bytes(random()));
                let put = notes::of_new_store(node.clone(), id, secret)?.into();
                log.write(Plan { put, ..Plan::default() })?;
            }
            log.memory.identity()?.expect(&node)?;
            *opened = Some(log);
            Ok(())
        };
        store.run("open", open).await.map(|()| store)
    }

    /// Does the work on a thread that may block. It is done to its end, also when this future is dropped.
    async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Option<Log>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let log = Arc::clone(&self.0);
        let work = move || work(&mut log.lock().unwrap_or_else(PoisonError::into_inner));
        let done = tokio::task::spawn_blocking(work).await.map_err(io::Error::from).map_err(engine);
        done.flatten().map_err(|error| error.at("file", operation))
    }
}

impl EventStore for FileStore {
    async fn commit(&self, intent: Intent) -> Result<Outcome> {
        self.run("commit", |log| {
            let log = opened(log)?;
            let (plan, outcome) = log.memory.plan(intent)?;
            log.write(plan).map(|()| outcome)
        })
        .await
    }

    async fn read(&self, query: Query) -> Result<Page> {
        self.run("read", move |log| opened(log)?.memory.read(&query)).await
    }

    async fn notes(&self, query: NoteQuery) -> Result<Vec<Note>> {
        self.run("notes", |log| Ok(opened(log)?.memory.notes(query))).await
    }

    async fn head(&self) -> Result<LogHead> {
        self.run("head", |log| opened(log)?.memory.head()).await
    }

    async fn close(&self) -> Result<()> {
        self.run("close", |log| Ok(log.take())).await.map(drop)
    }
}

impl Log {
    /// Makes a plan durable, and only then visible.
    fn write(&mut self, plan: Plan) -> Result<()> {
        if plan != Plan::default() {
            self.file.append(&plan).map_err(engine)?;
        }
        self.memory.apply(plan)
    }
}

fn opened(log: &mut Option<Log>) -> Result<&mut Log> {
    log.as_mut().ok_or_else(|| Error::new(ErrorKind::Closed, "the store is closed"))
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
