//! The store: one thread that writes, and readers beside it.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use synckit_core::{
    Error, ErrorKind, EventStore, Facts, Identity, LogHead, Needs, NodeId, Note, NoteQuery, Page, Planner,
    Position, Query, Result,
};
use tokio::sync::Semaphore;

use super::apply::apply;
use super::copy::copy;
use super::engine::{Batch, KeyValue, Tree};
use super::keys;
use super::log::Log;
use super::overlay::Overlay;
use crate::group::{Answers, GroupWriter, Job};
use crate::{Growth, Opening, closed};

/// How many reads run at once; more wait.
const READERS: usize = 8;

/// A store over a [`KeyValue`] engine, of which it has everything. Clones share it.
///
/// All commits that wait go into one batch. A read has a snapshot, and waits for no commit. Dropping the last handle without
/// [`close`](EventStore::close) ends the store as well: the drop waits for the commit and the reads that run, and what still
/// waits for its turn is not done. `close` waits without blocking. It needs a Tokio runtime.
pub struct KeyValueLog<E>(Arc<Inner<E>>);

struct Inner<E> {
    opening: Opening,
    node: NodeId,
    shared: Arc<Shared<E>>,
    writer: GroupWriter,
    reading: Arc<Semaphore>,
}

/// What the threads share. They never hold the store itself, so that its last handle is never dropped on them.
struct Shared<E> {
    /// `None` once closed. The thread that writes holds the lock while it commits, readers while they read.
    engine: RwLock<Option<E>>,
    growth: Growth,
}

impl<E: KeyValue> KeyValueLog<E> {
    /// Opens the store that is in an engine, or makes it where the engine is empty; see [`KeyValue`] for an example.
    /// `engine` opens the engine, on a thread that may block.
    ///
    /// Can be dropped at any time: a new store is then there as a whole or not at all, and the engine is held until the
    /// work that was begun has ended.
    ///
    /// # Errors
    /// Those of [`Opening::check`] and [`Opening::identity`], and those of the engine.
    pub async fn open(
        opening: Opening,
        engine: impl FnOnce(&Opening) -> Result<E> + Send + 'static,
    ) -> Result<Self> {
        let blame = opening.clone();
        let opened = blocking(move || KeyValueLog::start(engine(&opening)?, opening));
        opened.await.map_err(|error| blame.blame("open", error))
    }

    fn start(engine: E, opening: Opening) -> Result<Self> {
        let snapshot = engine.snapshot()?;
        if !opening.check(Log(&snapshot).found()?, keys::VERSION..=keys::VERSION)? {
            let mut batch = Batch::default();
            batch.put(Tree::Notes, keys::FORMAT.to_vec(), keys::VERSION.to_be_bytes().to_vec());
            for note in opening.new_store()? {
                batch.put(Tree::Notes, keys::note(&note.key), note.value);
            }
            engine.write(&batch)?;
        }
        let arrival = opening.arrive(Log(&engine.snapshot()?).arrival()?.each_ref().map(Option::as_deref))?;
        if !arrival.is_empty() {
            let mut batch = Batch::default();
            for note in arrival {
                batch.put(Tree::Notes, keys::note(&note.key), note.value);
            }
            engine.write(&batch)?;
        }
        let snapshot = engine.snapshot()?;
        let node = Log(&snapshot).identity(&opening)?.node;
        let growth = Growth::new(Log(&snapshot).head()?.position);
        let shared = Arc::new(Shared { engine: RwLock::new(Some(engine)), growth });
        let writes = Arc::clone(&shared);
        let writer = GroupWriter::start("synckit-writer", move |jobs| writes.commit(jobs))?;
        let reading = Arc::new(Semaphore::new(READERS));
        Ok(KeyValueLog(Arc::new(Inner { opening, node, shared, writer, reading })))
    }

    /// The node id the store was created with.
    pub fn node(&self) -> &NodeId {
        &self.0.node
    }

    /// Reads who the store belongs to and under which name it authors now. Can be dropped at any time.
    ///
    /// # Errors
    /// Those of the engine, `Closed`, and `Corrupt` when it cannot be read.
    pub async fn identity(&self) -> Result<Identity> {
        let anyone = Opening::new("");
        self.0.read("identity", move |log| log.identity(&anyone)).await
    }

    /// Copies everything, as it is at one moment, into another engine, which must be empty. Reads and commits go on
    /// meanwhile. `engine` opens the engine, on a thread that may block; it is dropped when the copy is whole.
    ///
    /// The copy has the identity of the store: give it one of its own before both are in use. Dropping the future does not
    /// end the copying. After an error there is a part of a copy.
    ///
    /// # Errors
    /// `Conflict` when the engine is not empty, and those of both engines.
    pub async fn copy_to<F: KeyValue>(
        &self,
        engine: impl FnOnce() -> Result<F> + Send + 'static,
    ) -> Result<()> {
        self.0.read("backup", move |log| copy(log.0, &engine()?)).await
    }
}

impl<E: KeyValue> EventStore for KeyValueLog<E> {
    /// Hands the planner to the thread that writes. A caller that drops the future leaves the commit to be made as a whole
    /// or, when it fails or its turn had not come, not at all.
    async fn commit<P: Planner>(&self, planner: P) -> Result<P::Outcome> {
        let outcome = self.0.writer.commit(planner).await;
        outcome.map_err(|error| self.0.opening.blame("commit", error))
    }

    async fn facts(&self, needs: Needs) -> Result<Facts> {
        self.0.read("facts", |log| log.facts(needs)).await
    }

    async fn read(&self, query: Query) -> Result<Page> {
        self.0.read("read", move |log| log.read(&query)).await
    }

    async fn notes(&self, query: NoteQuery) -> Result<Vec<Note>> {
        self.0.read("notes", |log| log.notes(query)).await
    }

    async fn head(&self) -> Result<LogHead> {
        self.0.read("head", |log| log.head()).await
    }

    async fn moved(&self, after: Position) -> Result<Position> {
        let moved = self.0.shared.growth.moved(after).await;
        moved.map_err(|error| self.0.opening.blame("moved", error))
    }

    /// Waits for the commits and the reads that run; those that wait for their turn end with `Closed`. The engine is
    /// dropped then.
    async fn close(&self) -> Result<()> {
        self.0.refuse();
        let inner = Arc::clone(&self.0);
        let ended = blocking(move || {
            inner.end();
            Ok(())
        });
        ended.await.map_err(|error| self.0.opening.blame("close", error))
    }
}

impl<E: KeyValue> Shared<E> {
    /// Commits a group.
    fn commit(&self, jobs: &mut [Job]) -> Result<Answers> {
        let engine = self.engine.read().unwrap_or_else(PoisonError::into_inner);
        let engine = engine.as_ref().ok_or_else(closed)?;
        let committed = commit(engine, jobs);
        // A write that failed may have been made all the same.
        let last = engine.snapshot().and_then(|snapshot| Log(&snapshot).last());
        if let Ok(last) = last {
            self.growth.grown_to(last);
        }
        committed
    }
}

/// Plans each job on what those before it write, and writes all of it.
fn commit(engine: &impl KeyValue, jobs: &mut [Job]) -> Result<Answers> {
    let snapshot = engine.snapshot()?;
    let mut group = Overlay::on(&snapshot);
    let mut answers = Vec::with_capacity(jobs.len());
    for job in jobs {
        let planned = job.plan(|needs| Log(&group).facts(needs));
        let applied = planned.and_then(|(plan, outcome)| Ok((apply(&group, &plan)?, outcome)));
        answers.push(applied.map(|(batch, outcome)| {
            group.batch.append(batch);
            outcome
        }));
    }
    // An engine that copies what a snapshot shares has nothing to copy now.
    let batch = group.batch;
    drop(snapshot);
    // What is returned without having changed anything was durable before.
    if !batch.is_empty() {
        engine.write(&batch)?;
    }
    Ok(answers)
}

impl<E> Inner<E> {
    /// Lets nothing begin any more.
    fn refuse(&self) {
        self.reading.close();
        self.writer.refuse();
        self.shared.growth.close();
    }

    /// Waits for what runs and lets go of the engine. The thread never waits for a runtime, so this ends.
    fn end(&self) {
        self.writer.end();
        self.shared.engine.write().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl<E: KeyValue> Inner<E> {
    /// Runs a read on a snapshot, on a thread that may block.
    async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        read: impl FnOnce(Log<'_, E::Snapshot>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let done = async {
            let permit = Arc::clone(&self.reading).acquire_owned().await.map_err(|_| closed())?;
            let shared = Arc::clone(&self.shared);
            let work = move || {
                // Held until the read has ended, also when nobody waits for it any more.
                let _permit = permit;
                let engine = shared.engine.read().unwrap_or_else(PoisonError::into_inner);
                let engine = engine.as_ref().filter(|_| !shared.growth.is_closed()).ok_or_else(closed)?;
                read(Log(&engine.snapshot()?))
            };
            blocking(work).await
        };
        done.await.map_err(|error| self.opening.blame(operation, error))
    }
}

impl<E> Drop for Inner<E> {
    fn drop(&mut self) {
        self.refuse();
        self.end();
    }
}

impl<E> Clone for KeyValueLog<E> {
    fn clone(&self) -> Self {
        KeyValueLog(Arc::clone(&self.0))
    }
}

impl<E> fmt::Debug for KeyValueLog<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyValueLog").field("opening", &self.0.opening).field("node", &self.0.node).finish()
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(Error::new(ErrorKind::Internal, "the work was broken off").with_source(error)),
    }
}
