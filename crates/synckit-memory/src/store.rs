//! The store: a log in memory behind one lock.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use synckit_core::notes::{self, Note};
use synckit_core::plan::{Intent, Outcome};
use synckit_core::{
    Error, ErrorKind, EventStore, LogHead, MemoryLog, NodeId, NoteQuery, Page, Plan, Position, Query, Result,
    Secret, StoreId, Watch,
};
use tokio::sync::watch;

/// An in-memory [`EventStore`]. Clones share the log.
///
/// No call waits for anything, so every future is ready at once and can be dropped at any time.
#[derive(Clone)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    head: watch::Sender<Position>,
}

#[derive(Clone)]
struct State {
    log: MemoryLog,
    closed: bool,
}

impl MemoryStore {
    /// An empty store for this node, under a random store id.
    ///
    /// # Errors
    /// `Internal` when the system has no randomness.
    pub fn new(node: NodeId) -> Result<Self> {
        MemoryStore::with_id(node, StoreId::from_bytes(random()?))
    }

    /// An empty store for this node under this store id, which must be unique.
    ///
    /// # Errors
    /// `Invalid` when the node id has a `~`, `Internal` when the system has no randomness.
    pub fn with_id(node: NodeId, id: StoreId) -> Result<Self> {
        let mut log = MemoryLog::default();
        let first = notes::of_new_store(node, id, Secret::from_bytes(random()?))?;
        log.apply(Plan { put: first.into(), ..Plan::default() })?;
        Ok(MemoryStore::from_state(State { log, closed: false }))
    }

    /// An independent copy with the same store id, as copying a database file makes one. It is open, also when
    /// this store is closed.
    pub fn copy(&self) -> Self {
        MemoryStore::from_state(State { closed: false, ..self.locked().clone() })
    }

    fn from_state(state: State) -> Self {
        let head = watch::Sender::new(state.last());
        MemoryStore { state: Arc::new(Mutex::new(state)), head }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        // A plan is applied only once it is whole, so a panic elsewhere cannot have left half of one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, operation: &'static str) -> Result<MutexGuard<'_, State>> {
        let state = self.locked();
        if state.closed {
            return Err(Error::new(ErrorKind::Closed, "the store is closed").at("memory", operation));
        }
        Ok(state)
    }
}

impl EventStore for MemoryStore {
    async fn commit(&self, intent: Intent) -> Result<Outcome> {
        let mut state = self.open("commit")?;
        let (plan, outcome) = state.log.plan(intent)?;
        state.log.apply(plan)?;
        let position = state.last();
        drop(state);
        self.head.send_replace(position);
        Ok(outcome)
    }

    async fn read(&self, query: Query) -> Result<Page> {
        self.open("read")?.log.read(&query)
    }

    async fn notes(&self, query: NoteQuery) -> Result<Vec<Note>> {
        Ok(self.open("notes")?.log.notes(query))
    }

    async fn head(&self) -> Result<LogHead> {
        self.open("head")?.log.head()
    }

    async fn close(&self) -> Result<()> {
        self.locked().closed = true;
        self.head.send_modify(|_| {});
        Ok(())
    }
}

impl Watch for MemoryStore {
    async fn moved(&self, after: Position) -> Result<Position> {
        let mut head = self.head.subscribe();
        loop {
            drop(self.open("moved")?);
            let position = *head.borrow_and_update();
            if position > after {
                return Ok(position);
            }
            if head.changed().await.is_err() {
                return Err(Error::new(ErrorKind::Closed, "the store is closed").at("memory", "moved"));
            }
        }
    }
}

fn random() -> Result<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::Internal, "the system has no randomness for a new store")
            .with_source(std::io::Error::other(error.to_string()))
            .at("memory", "open")
    })?;
    Ok(bytes)
}

impl State {
    fn last(&self) -> Position {
        self.log.head().map_or(0, |head| head.position)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MemoryStore").field(&self.locked().log).finish()
    }
}
