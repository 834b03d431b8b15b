//! The store: a vector of events, a sorted map of notes, two indexes, one lock.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use synckit_core::notes::{self, Note};
use synckit_core::plan::{Intent, Outcome, Planning};
use synckit_core::{
    AggregateId, Dot, Error, ErrorKind, EventId, EventStore, Facts, Held, LogHead, Needs, NodeId, NoteQuery,
    Page, Plan, Position, Query, Result, StoreId, StoredEvent, Watch,
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

/// **Invariant**: the event at index `i` has position `i + 1`.
#[derive(Clone, Default)]
struct State {
    log: Vec<StoredEvent>,
    notes: BTreeMap<String, Vec<u8>>,
    by_id: HashMap<EventId, usize>,
    by_dot: HashMap<Dot, usize>,
    by_aggregate: HashMap<AggregateId, Vec<usize>>,
    closed: bool,
}

impl MemoryStore {
    /// An empty store for this node, under a random store id.
    ///
    /// # Errors
    /// `Internal` when the system has no randomness.
    pub fn new(node: NodeId) -> Result<Self> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|error| {
            Error::new(ErrorKind::Internal, "the system has no randomness for a store id")
                .with_source(std::io::Error::other(error.to_string()))
                .at("memory", "open")
        })?;
        MemoryStore::with_id(node, StoreId::from_bytes(id))
    }

    /// An empty store for this node under this store id, which must be unique.
    ///
    /// # Errors
    /// None today.
    pub fn with_id(node: NodeId, id: StoreId) -> Result<Self> {
        let notes = notes::of_new_store(node, id)?.map(|note| (note.key, note.value));
        Ok(MemoryStore::from_state(State { notes: notes.into(), ..State::default() }))
    }

    /// An independent copy with the same store id, as copying a database file makes one. It is open, also when
    /// this store is closed.
    pub fn copy(&self) -> Self {
        MemoryStore::from_state(State { closed: false, ..self.locked().clone() })
    }

    fn from_state(state: State) -> Self {
        let head = watch::Sender::new(state.log.len() as Position);
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
        let (plan, outcome) = Planning::run(state.head()?, intent, |needs| Ok(state.fetch(needs)))?;
        state.write(plan);
        let position = state.log.len() as Position;
        drop(state);
        self.head.send_replace(position);
        Ok(outcome)
    }

    async fn read(&self, query: Query) -> Result<Page> {
        self.open("read")?.read(&query)
    }

    async fn notes(&self, query: NoteQuery) -> Result<Vec<Note>> {
        Ok(query.answer(&self.open("notes")?.notes))
    }

    async fn head(&self) -> Result<LogHead> {
        self.open("head")?.head()
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

impl State {
    fn head(&self) -> Result<LogHead> {
        let store = notes::store_id(self.notes.get(notes::STORE).map(Vec::as_slice));
        let store = store.map_err(|error| error.at("memory", "head"))?;
        Ok(LogHead { store, position: self.log.len() as Position })
    }

    fn fetch(&self, needs: Needs) -> Facts {
        let mut facts = Facts::default();
        for id in needs.ids {
            if let Some(at) = self.by_id.get(&id) {
                facts.held.insert(id, Held::of(&self.log[*at].event));
            }
        }
        for dot in needs.dots {
            if let Some(at) = self.by_dot.get(&dot) {
                facts.dots.insert(dot, self.log[*at].event.id.clone());
            }
        }
        for key in needs.notes {
            if let Some(value) = self.notes.get(&key) {
                facts.notes.insert(key, value.clone());
            }
        }
        facts
    }

    fn write(&mut self, plan: Plan) {
        for row in plan.append {
            let at = self.log.len();
            self.by_id.insert(row.event.id.clone(), at);
            self.by_dot.extend(row.event.dot.clone().map(|dot| (dot, at)));
            self.by_aggregate.entry(row.event.aggregate_id.clone()).or_default().push(at);
            self.log.push(StoredEvent { position: at as Position + 1, source: row.source, event: row.event });
        }
        for (position, event) in plan.restamp {
            let at = position as usize - 1;
            if let Some(dot) = &self.log[at].event.dot {
                self.by_dot.remove(dot);
            }
            self.by_dot.extend(event.dot.clone().map(|dot| (dot, at)));
            self.log[at].event = event;
        }
        self.notes.extend(plan.put.into_iter().map(|note| (note.key, note.value)));
        for key in plan.delete {
            self.notes.remove(&key);
        }
    }

    fn read(&self, query: &Query) -> Result<Page> {
        let stored = self.places(query).map(|at| &self.log[at]);
        let wanted =
            stored.filter(|stored| query.except_source.is_none() || stored.source != query.except_source);
        Page::fill(query, self.log.len() as Position, wanted.cloned().map(Ok))
    }

    /// The places a query looks at, in log order.
    fn places(&self, query: &Query) -> Box<dyn Iterator<Item = usize> + '_> {
        let first = usize::try_from(query.after).unwrap_or(usize::MAX);
        match &query.aggregate {
            None => Box::new(first..self.log.len()),
            Some(aggregate) => {
                let places = self.by_aggregate.get(aggregate).map_or(&[][..], Vec::as_slice);
                let from = places.partition_point(|at| *at < first);
                Box::new(places[from..].iter().copied())
            }
        }
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("events", &self.locked().log.len()).finish_non_exhaustive()
    }
}
