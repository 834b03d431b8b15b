//! The store: a log over the tables of a database.

use std::fmt;
use std::io;
use std::path::PathBuf;

use redb::StorageBackend;
use redb::backends::InMemoryBackend;
use synckit_core::{
    EventStore, Facts, Identity, LogHead, Needs, NodeId, Note, NoteQuery, Page, Planner, Position, Query,
    Result,
};
use synckit_store::{KeyValueLog, Opening};

use crate::config::RedbConfig;
use crate::engine::{Open, Redb};
use crate::file;

/// A store in one redb file, in memory, or on a storage of the caller's. Clones share it.
///
/// Dropping the last handle without [`close`](EventStore::close) ends the store as well: the drop waits for the
/// commit and the reads that run, and what still waits for its turn is not done. `close` waits without blocking.
#[derive(Clone)]
pub struct RedbStore(KeyValueLog<Redb>);

impl RedbStore {
    /// Opens the store in a file, or creates it where the configuration says so.
    ///
    /// Can be dropped at any time: a new store is then there as a whole or not at all, and the file stays locked
    /// until the work that was begun has ended.
    ///
    /// ```
    /// use synckit_core::NodeId;
    /// use synckit_redb::{RedbConfig, RedbStore};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> synckit_core::Result<()> {
    /// # let directory = tempfile::tempdir().expect("a directory");
    /// # let path = directory.path().join("notes.redb");
    /// let config = RedbConfig::new(path).with_node(NodeId::new("laptop")?).with_cache_bytes(8 << 20);
    /// let store = RedbStore::open(config).await?;
    /// assert_eq!(store.node().as_str(), "laptop");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// - `NotFound`: there is no store and none may be created, or the directory does not exist.
    /// - `Busy`: the file is open already, here or in another process.
    /// - `Conflict`: the store belongs to another node, or the file to another application.
    /// - `Unsupported`: the store was made by a newer synckit or an older redb.
    /// - `Corrupt`: the file is not a redb database, or it is damaged.
    /// - `Denied`: the file cannot be opened or written.
    /// - `Unavailable`: the disk fails, or is full.
    /// - `Invalid`: the path is empty, or a store is to be created for a node id with a `~`.
    pub async fn open(config: RedbConfig) -> Result<Self> {
        let opening = Opening::new("redb").with_path(&config.path).with_create(config.create);
        let opening = opening.with_node(config.node.clone());
        let opening = opening.with_machine(config.machine.clone()).with_this_machine();
        RedbStore::start(opening, move |opening| file::file(&config, opening)).await
    }

    /// Opens the store of this node in a file, or creates it, with the defaults of [`RedbConfig`].
    ///
    /// ```
    /// # use synckit_core::NodeId;
    /// # use synckit_redb::RedbStore;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> synckit_core::Result<()> {
    /// # let directory = tempfile::tempdir().expect("a directory");
    /// # let path = directory.path().join("notes.redb");
    /// let store = RedbStore::open_as(path, NodeId::new("laptop")?).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`RedbStore::open`].
    pub async fn open_as(path: impl Into<PathBuf>, node: NodeId) -> Result<Self> {
        RedbStore::open(RedbConfig::new(path).with_node(node)).await
    }

    /// Makes a new store for this node, in memory. It ends with its last handle, or when it is closed.
    ///
    /// Can be dropped at any time.
    ///
    /// ```
    /// # use synckit_core::NodeId;
    /// # use synckit_redb::RedbStore;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> synckit_core::Result<()> {
    /// let store = RedbStore::in_memory(NodeId::new("laptop")?).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Invalid` when the node id has a `~`, `Internal` when the system has no randomness or no thread to spare.
    pub async fn in_memory(node: NodeId) -> Result<Self> {
        RedbStore::open_backend(|| Ok(InMemoryBackend::new()), node).await
    }

    /// Opens the store of this node on a storage of the caller's, or creates it where the storage is empty.
    ///
    /// `storage` opens the storage: once, and again after it failed, when the one before is closed. An acknowledged event
    /// survives what the storage survives: it is written and then synced by [`StorageBackend::sync_data`]. Can be dropped
    /// at any time.
    ///
    /// ```
    /// use redb::backends::FileBackend;
    /// use synckit_core::NodeId;
    /// use synckit_redb::RedbStore;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> synckit_core::Result<()> {
    /// # let directory = tempfile::tempdir().expect("a directory");
    /// # let path = directory.path().join("notes.redb");
    /// let storage = move || {
    ///     let file = std::fs::File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
    ///     FileBackend::new(file).map_err(std::io::Error::other)
    /// };
    /// let store = RedbStore::open_backend(storage, NodeId::new("laptop")?).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`RedbStore::open`], and those of the storage.
    pub async fn open_backend<B: StorageBackend>(
        storage: impl Fn() -> io::Result<B> + Send + Sync + 'static,
        node: NodeId,
    ) -> Result<Self> {
        let opening = Opening::new("redb").with_node(node);
        RedbStore::start(opening, move |_| Ok(file::backend(storage))).await
    }

    async fn start(
        opening: Opening,
        open: impl FnOnce(&Opening) -> Result<Open> + Send + 'static,
    ) -> Result<Self> {
        let log = KeyValueLog::open(opening, |opening| Redb::open(open(opening)?, opening)).await?;
        Ok(RedbStore(log))
    }

    /// Copies the store, as it is at one moment, into a file that does not exist or is empty. Reads and commits go on
    /// meanwhile. The copy is durable when this returns.
    ///
    /// The copy has the identity of the store: give it one of its own before both are in use.
    ///
    /// Dropping the future does not end the copying. After an error the file holds nothing of use and is to be deleted.
    ///
    /// # Errors
    /// `Conflict` when the file holds something, and those of [`RedbStore::open`] for it.
    pub async fn backup(&self, path: impl Into<PathBuf>) -> Result<()> {
        let config = RedbConfig::new(path).with_node(self.node().clone());
        let path = config.path.clone();
        let opening = Opening::new("redb").with_node(self.node().clone());
        let copied = self.0.copy_to(move || Redb::open(file::file(&config, &opening)?, &opening)).await;
        copied.map_err(|error| error.with("backup", path.display()))
    }

    /// The node id the store was created with.
    pub fn node(&self) -> &NodeId {
        self.0.node()
    }

    /// Reads who the store belongs to and under which name it authors now.
    ///
    /// Can be dropped at any time.
    ///
    /// # Errors
    /// Those of the engine, `Closed`, and `Corrupt` when it cannot be read.
    pub async fn identity(&self) -> Result<Identity> {
        self.0.identity().await
    }
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedbStore").field(&self.0).finish()
    }
}

impl EventStore for RedbStore {
    async fn commit<P: Planner>(&self, planner: P) -> Result<P::Outcome> {
        self.0.commit(planner).await
    }

    async fn facts(&self, needs: Needs) -> Result<Facts> {
        self.0.facts(needs).await
    }

    async fn read(&self, query: Query) -> Result<Page> {
        self.0.read(query).await
    }

    async fn notes(&self, query: NoteQuery) -> Result<Vec<Note>> {
        self.0.notes(query).await
    }

    async fn head(&self) -> Result<LogHead> {
        self.0.head().await
    }

    async fn moved(&self, after: Position) -> Result<Position> {
        self.0.moved(after).await
    }

    /// Waits for the commit and the reads that run; those that wait for their turn end with `Closed`. The file can
    /// be opened again afterwards.
    async fn close(&self) -> Result<()> {
        self.0.close().await
    }
}
