//! The store: a log in memory behind one lock.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use synckit_core::{
    Error, EventStore, Facts, LogHead, Needs, NodeId, Note, NoteQuery, Page, Planner, Position, Query,
    Result, Secret, StoreId,
};
use synckit_store::{Growth, MemoryLog, closed, random_bytes};

/// An in-memory [`EventStore`]. Clones share the log.
///
/// No call waits for anything, so every future is ready at once, and can be dropped at any time.
#[derive(Clone)]
pub struct MemoryStore {
    log: Arc<Mutex<MemoryLog>>,
    growth: Arc<Growth>,
}

impl MemoryStore {
    /// Creates an empty store for this node, under a random store id.
    ///
    /// # Errors
    /// As [`MemoryStore::with_id`].
    pub fn new(node: NodeId) -> Result<Self> {
        MemoryStore::with_id(node, StoreId::from_bytes(random_bytes()?))
    }

    /// Creates an empty store for this node under this store id, which must be unique.
    ///
    /// # Errors
    /// `Invalid` when the node id has a `~`, `Internal` when the system has no randomness.
    pub fn with_id(node: NodeId, id: StoreId) -> Result<Self> {
        let log = MemoryLog::new(node, id, Secret::from_bytes(random_bytes()?))?;
        let growth = Growth::new(log.last());
        Ok(MemoryStore { log: Arc::new(Mutex::new(log)), growth: Arc::new(growth) })
    }

    /// Returns an independent copy with the same store id, like a copy of a database file. It is open even if this
    /// store is closed.
    pub fn copy(&self) -> Self {
        let log = self.locked().clone();
        let growth = Growth::new(log.last());
        MemoryStore { log: Arc::new(Mutex::new(log)), growth: Arc::new(growth) }
    }

    /// Replaces the log by that of a copy, like a database file that is restored from a backup while it is in use.
    pub fn restore(&self, copy: &Self) {
        let restored = copy.locked().clone();
        let mut log = self.locked();
        let (before, after) = (log.last(), restored.last());
        *log = restored;
        // As in a commit: whoever waits is woken in the order of the changes.
        self.growth.replaced(before, after);
    }

    fn locked(&self) -> MutexGuard<'_, MemoryLog> {
        // A plan is applied only once it is complete, so a panic elsewhere cannot have left half of one.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, operation: &'static str) -> Result<MutexGuard<'_, MemoryLog>> {
        let log = self.locked();
        if self.growth.is_closed() {
            return Err(blame(operation)(closed()));
        }
        Ok(log)
    }
}

impl EventStore for MemoryStore {
    async fn commit<P: Planner>(&self, planner: P) -> Result<P::Outcome> {
        let mut log = self.open("commit")?;
        let outcome = log.commit(planner)?;
        self.growth.grown_to(log.last());
        Ok(outcome)
    }

    async fn facts(&self, needs: Needs) -> Result<Facts> {
        self.open("facts")?.facts(needs)
    }

    async fn read(&self, query: Query) -> Result<Page> {
        self.open("read")?.read(&query)
    }

    async fn notes(&self, query: NoteQuery) -> Result<Vec<Note>> {
        Ok(self.open("notes")?.notes(query))
    }

    async fn head(&self) -> Result<LogHead> {
        self.open("head")?.head()
    }

    async fn moved(&self, after: Position) -> Result<Position> {
        self.growth.moved(after).await.map_err(blame("moved"))
    }

    async fn close(&self) -> Result<()> {
        let _no_commit_runs = self.locked();
        self.growth.close();
        Ok(())
    }
}

fn blame(operation: &'static str) -> impl Fn(Error) -> Error {
    move |error| error.at("memory", operation)
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MemoryStore").field(&self.locked()).finish()
    }
}
