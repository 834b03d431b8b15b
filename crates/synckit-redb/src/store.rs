//! The store: one thread that writes, and readers beside it.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::{self, JoinHandle};

use redb::backends::InMemoryBackend;
use redb::{Database, ReadableDatabase, StorageBackend};
use synckit_core::notes::{Identity, Note};
use synckit_core::plan::{Intent, Outcome, Planning};
use synckit_core::{
    Error, ErrorKind, EventStore, LogHead, NodeId, NoteQuery, Page, Position, Query, Result, Watch,
};
use tokio::sync::{Semaphore, oneshot, watch};

use crate::config::RedbConfig;
use crate::error::{closed, engine};
use crate::schema;
use crate::tables::Snapshot;
use crate::writer::{self, Job, Queue};

/// How many commits wait in the queue; more wait before it.
const QUEUE: usize = 256;
/// How many reads run at once; more wait.
const READERS: usize = 8;

/// A store in one redb file, in memory, or on a storage of the caller's. Clones share it.
///
/// Dropping the last handle without [`close`](EventStore::close) ends the store as well: the drop waits for the
/// commit and the reads that run, and what still waits for its turn is not done. `close` waits without blocking.
#[derive(Clone)]
pub struct RedbStore(Arc<Inner>);

struct Inner {
    path: Option<PathBuf>,
    node: NodeId,
    log: Arc<Log>,
    writer: Mutex<Option<JoinHandle<()>>>,
    queued: Arc<Semaphore>,
    reading: Arc<Semaphore>,
}

/// What the threads share. They never hold the store itself, so that its last handle is never dropped on them.
struct Log {
    /// `None` once closed. The thread that writes holds the lock as long as it lives, readers while they read.
    database: RwLock<Option<Database>>,
    queue: Queue,
    /// The last position. Also notified when the store is closed.
    head: watch::Sender<Position>,
}

impl RedbStore {
    /// Opens the store in a file, or creates it where the configuration says so.
    ///
    /// Can be dropped at any time: a new store is then there as a whole or not at all, and the file stays locked
    /// until the work that was begun has ended.
    ///
    /// # Errors
    /// - `NotFound`: there is no store and none may be created, or the directory does not exist.
    /// - `Busy`: the file is open already, here or in another process.
    /// - `Conflict`: the store belongs to another node, or the file to another application.
    /// - `Unsupported`: the store was made by a newer synckit or an older redb.
    /// - `Corrupt`: the file is not a redb database, or it is damaged.
    /// - `Denied`: the file cannot be opened or written.
    /// - `Invalid`: the path is empty, or a store is to be created for a node id with a `~`.
    pub async fn open(config: RedbConfig) -> Result<Self> {
        let path = config.path.clone();
        let opened = blocking(move || {
            let database = schema::open_file(&config)?;
            RedbStore::start(database, config.node.as_ref(), config.create, Some(config.path))
        });
        opened.await.map_err(|error| error.with("path", path.display()).at("redb", "open"))
    }

    /// Opens the store of this node in a file, or creates it, with the defaults of [`RedbConfig`].
    ///
    /// # Errors
    /// As [`RedbStore::open`].
    pub async fn open_as(path: impl Into<PathBuf>, node: NodeId) -> Result<Self> {
        RedbStore::open(RedbConfig::new(path).with_node(node)).await
    }

    /// A new store for this node, in memory. It ends with its last handle, or when it is closed.
    ///
    /// Can be dropped at any time.
    ///
    /// # Errors
    /// `Invalid` when the node id has a `~`, `Internal` when the system has no randomness or no thread to spare.
    pub async fn in_memory(node: NodeId) -> Result<Self> {
        RedbStore::open_backend(InMemoryBackend::new(), node).await
    }

    /// Opens the store of this node on a storage of the caller's, or creates it where the storage is empty.
    ///
    /// An acknowledged event survives what the storage survives: it is written and then synced by
    /// [`StorageBackend::sync_data`]. Can be dropped at any time.
    ///
    /// # Errors
    /// As [`RedbStore::open`], and those of the storage.
    pub async fn open_backend(backend: impl StorageBackend, node: NodeId) -> Result<Self> {
        let opened =
            blocking(move || RedbStore::start(schema::open_backend(backend)?, Some(&node), true, None));
        opened.await.map_err(|error| error.at("redb", "open"))
    }

    /// The node id the store was created with.
    pub fn node(&self) -> &NodeId {
        &self.0.node
    }

    /// Who the store belongs to and under which name it authors now.
    ///
    /// Can be dropped at any time.
    ///
    /// # Errors
    /// Those of the engine, `Closed`, and `Corrupt` when it cannot be read.
    pub async fn identity(&self) -> Result<Identity> {
        self.0.read("identity", schema::identity).await
    }

    fn start(database: Database, node: Option<&NodeId>, create: bool, path: Option<PathBuf>) -> Result<Self> {
        let identity = schema::set_up(&database, node, create)?;
        let last = snapshot(&database)?.head()?.position;
        let log = Arc::new(Log {
            database: RwLock::new(Some(database)),
            queue: Queue::default(),
            head: watch::Sender::new(last),
        });
        let writes = Arc::clone(&log);
        let writer = thread::Builder::new().name("synckit-redb".to_owned()).spawn(move || writes.write());
        let writer = writer.map_err(|error| {
            Error::new(ErrorKind::Internal, "no thread can be started").with_source(error)
        })?;
        Ok(RedbStore(Arc::new(Inner {
            path,
            node: identity.node,
            log,
            writer: Mutex::new(Some(writer)),
            queued: Arc::new(Semaphore::new(QUEUE)),
            reading: Arc::new(Semaphore::new(READERS)),
        })))
    }
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore").field("path", &self.0.path).field("node", &self.0.node).finish()
    }
}

impl EventStore for RedbStore {
    /// Hands the intent to the thread that writes: a caller that drops the future before leaves nothing, and one
    /// that drops it afterwards leaves the commit to be made as a whole or, when it fails, not at all.
    async fn commit(&self, intent: Intent) -> Result<Outcome> {
        if matches!(intent, Intent::Ask(_)) {
            // What only asks does not wait for what writes: its facts are of one snapshot.
            let ask = move |snapshot: &Snapshot| Ok(Planning::run(intent, |needs| snapshot.facts(needs))?.1);
            return self.0.read("commit", ask).await;
        }
        let outcome = async {
            let room = Arc::clone(&self.0.queued).acquire_owned().await.map_err(|_| closed())?;
            let (answer, outcome) = oneshot::channel();
            self.0.log.queue.push(Job { intent, answer, room });
            outcome
                .await
                .unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "the commit was broken off")))
        };
        outcome.await.map_err(|error| self.0.blame("commit", error))
    }

    async fn read(&self, query: Query) -> Result<Page> {
        self.0.read("read", move |snapshot| snapshot.read(&query)).await
    }

    async fn notes(&self, query: NoteQuery) -> Result<Vec<Note>> {
        self.0.read("notes", move |snapshot| snapshot.notes(query)).await
    }

    async fn head(&self) -> Result<LogHead> {
        self.0.read("head", Snapshot::head).await
    }

    /// Waits for the commit and the reads that run; those that wait for their turn answer `Closed`. The file can
    /// be opened again afterwards.
    async fn close(&self) -> Result<()> {
        self.0.refuse();
        let inner = Arc::clone(&self.0);
        blocking(move || {
            inner.end();
            Ok(())
        })
        .await
        .map_err(|error| self.0.blame("close", error))
    }
}

impl Watch for RedbStore {
    async fn moved(&self, after: Position) -> Result<Position> {
        let mut head = self.0.log.head.subscribe();
        loop {
            // Marked as seen before the queue is asked: a close in between is not missed.
            let position = *head.borrow_and_update();
            if self.0.log.queue.is_closed() {
                return Err(self.0.blame("moved", closed()));
            }
            if position > after {
                return Ok(position);
            }
            if head.changed().await.is_err() {
                return Err(self.0.blame("moved", closed()));
            }
        }
    }
}

impl Inner {
    /// Runs a read on a snapshot, on a thread that may block.
    async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        read: impl FnOnce(&Snapshot) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let answer = async {
            let permit = Arc::clone(&self.reading).acquire_owned().await.map_err(|_| closed())?;
            let log = Arc::clone(&self.log);
            blocking(move || {
                // Held until the read has ended, also when nobody waits for it any more.
                let _permit = permit;
                let database = log.database.read().unwrap_or_else(PoisonError::into_inner);
                let database = database.as_ref().filter(|_| !log.queue.is_closed()).ok_or_else(closed)?;
                read(&snapshot(database)?)
            })
            .await
        };
        answer.await.map_err(|error| self.blame(operation, error))
    }

    /// Lets nothing begin any more.
    fn refuse(&self) {
        self.queued.close();
        self.reading.close();
        self.log.queue.close();
        self.log.head.send_modify(|_| {});
    }

    /// Waits for what runs and lets go of the database. The thread never waits for a runtime, so this ends.
    fn end(&self) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writer) = writer.take() {
            // A panic of the thread has been answered to those who waited for it.
            let _ = writer.join();
        }
        self.log.database.write().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn blame(&self, operation: &'static str, error: Error) -> Error {
        match &self.path {
            Some(path) => error.with("path", path.display()).at("redb", operation),
            None => error.at("redb", operation),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.refuse();
        self.end();
    }
}

impl Log {
    /// What the thread that writes does.
    fn write(&self) {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(database) = database.as_ref() {
            writer::run(database, &self.queue, &self.head);
        }
    }
}

fn snapshot(database: &Database) -> Result<Snapshot> {
    Snapshot::open(&database.begin_read().map_err(engine)?).map_err(engine)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(Error::new(ErrorKind::Internal, "the work was broken off").with_source(error)),
    }
}
