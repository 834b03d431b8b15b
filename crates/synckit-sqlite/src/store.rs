//! The store: one pool of connections, one writer at a time.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{Connection, Sqlite, SqliteConnection, SqlitePool};
use synckit_core::notes::{Identity, Note};
use synckit_core::plan::{Edit, Intent, Outcome, Planning, Step};
use synckit_core::{
    Error, ErrorKind, EventStore, Facts, LogHead, NodeId, NoteQuery, Page, Position, Query, Result, Watch,
};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::timeout;

use crate::config::SqliteConfig;
use crate::error::{cannot_open, engine, no_file};
use crate::{query, row, schema};

/// How often [`Watch::moved`] looks for commits of other processes.
const POLL: Duration = Duration::from_millis(250);

/// A store in one SQLite file. Clones share it; several processes may open the same file.
#[derive(Clone)]
pub struct SqliteStore(Arc<Inner>);

struct Inner {
    pool: SqlitePool,
    /// Whether the pool was made here and is closed with the store.
    owned: bool,
    path: Option<PathBuf>,
    node: NodeId,
    /// One permit: a commit waits here, not in the engine, so that waiting takes no connection from readers.
    writer: Semaphore,
    /// Whether the store is closed. Also notified when a commit here has moved the log.
    closed: watch::Sender<bool>,
}

impl SqliteStore {
    /// Opens the store in a file, or creates it where the configuration says so.
    ///
    /// Can be dropped at any time: a new store is then there as a whole or not at all.
    ///
    /// # Errors
    /// - `NotFound`: there is no store and none may be created, or the directory does not exist.
    /// - `Conflict`: the store belongs to another node, or the file to another application.
    /// - `Unsupported`: the store was made by a newer synckit, or its file system has no shared memory.
    /// - `Corrupt`: the file is not a SQLite database, or it is damaged.
    /// - `Denied`: the file cannot be opened or written.
    /// - `Invalid`: the path is empty, not UTF-8, or `:memory:`.
    /// - `Busy`: another process held the lock for too long.
    pub async fn open(config: SqliteConfig) -> Result<Self> {
        let path = config.path.clone();
        let opened = SqliteStore::open_file(config).await;
        opened.map_err(|error| error.with("path", path.display()).at("sqlite", "open"))
    }

    /// Opens the store of this node in a file, or creates it, with the defaults of [`SqliteConfig`].
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub async fn open_as(path: impl Into<PathBuf>, node: NodeId) -> Result<Self> {
        SqliteStore::open(SqliteConfig::new(path).with_node(node)).await
    }

    /// Opens the store of this node in the database of a pool, or creates it there when the database is empty.
    ///
    /// Journal mode, synchronous and busy timeout stay as the pool's owner has set them: it is up to them
    /// whether an acknowledged event survives a power cut. [`EventStore::close`] leaves the pool open. A pool of
    /// an in-memory database must have exactly one connection, which is never closed while idle.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub async fn from_pool(pool: SqlitePool, node: NodeId) -> Result<Self> {
        let set_up = async {
            let mut connection = pool.acquire().await.map_err(engine)?;
            schema::set_up(&mut connection, Some(&node), true).await
        };
        let identity = set_up.await.map_err(|error| error.at("sqlite", "open"))?;
        Ok(SqliteStore::new(pool, false, None, identity))
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
        let read = async { schema::identity(&mut *self.0.connection().await?).await };
        self.0.blame("identity", read.await)
    }

    async fn open_file(config: SqliteConfig) -> Result<Self> {
        let node = config.node.as_ref();
        let options = config.options()?;
        let pool = SqlitePoolOptions::new()
            .max_connections(config.max_connections.max(1))
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_lazy_with(options);
        let set_up = async {
            let mut connection = match pool.acquire().await {
                Err(error) if cannot_open(&error) => return Err(no_file(&config, error).await),
                other => other.map_err(engine)?,
            };
            let identity = schema::set_up(&mut connection, node, config.create).await?;
            schema::write_ahead(&mut connection, config.busy_timeout).await?;
            Ok(identity)
        };
        match set_up.await {
            Ok(identity) => Ok(SqliteStore::new(pool, true, Some(config.path), identity)),
            Err(error) => {
                pool.close().await;
                Err(error)
            }
        }
    }

    fn new(pool: SqlitePool, owned: bool, path: Option<PathBuf>, identity: Identity) -> Self {
        let (writer, closed) = (Semaphore::new(1), watch::Sender::new(false));
        SqliteStore(Arc::new(Inner { pool, owned, path, node: identity.node, writer, closed }))
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.0.path).field("node", &self.0.node).finish()
    }
}

impl EventStore for SqliteStore {
    /// Runs the whole transaction in a task of its own: a caller that drops the future leaves it to end, and the
    /// commit is then made as a whole or, when it fails, not at all.
    async fn commit(&self, intent: Intent) -> Result<Outcome> {
        let inner = Arc::clone(&self.0);
        let outcome = match tokio::spawn(async move { inner.commit(intent).await }).await {
            Ok(outcome) => outcome,
            Err(error) => {
                Err(Error::new(ErrorKind::Internal, "the commit was broken off").with_source(error))
            }
        };
        self.0.blame("commit", outcome)
    }

    async fn read(&self, query: Query) -> Result<Page> {
        let page = async { query::read(&mut *self.0.connection().await?, query).await };
        self.0.blame("read", page.await)
    }

    async fn notes(&self, query: NoteQuery) -> Result<Vec<Note>> {
        let notes = async { query::notes(&mut *self.0.connection().await?, query).await };
        self.0.blame("notes", notes.await)
    }

    async fn head(&self) -> Result<LogHead> {
        let head = async { row::head(&mut *self.0.connection().await?).await };
        self.0.blame("head", head.await)
    }

    /// Waits for the commit that runs; those that wait for their turn answer `Closed`.
    async fn close(&self) -> Result<()> {
        self.0.closed.send_replace(true);
        // The permit comes when the running commit has ended.
        let _turn = self.0.turn().await?;
        if self.0.owned {
            self.0.pool.close().await;
        }
        Ok(())
    }
}

impl Watch for SqliteStore {
    /// Is told of commits through this store and its clones at once, and looks for others every quarter second.
    async fn moved(&self, after: Position) -> Result<Position> {
        // Subscribed before the head is read: a commit in between is not missed.
        let mut signal = self.0.closed.subscribe();
        loop {
            signal.mark_unchanged();
            let head = self.head().await?.position;
            if head > after {
                return Ok(head);
            }
            // A timeout and a signal mean the same: look again.
            let _ = timeout(POLL, signal.changed()).await;
        }
    }
}

impl Inner {
    async fn commit(&self, intent: Intent) -> Result<Outcome> {
        // What only asks needs no lock: its facts are of one snapshot.
        let asks = matches!(intent, Intent::Ask(_));
        if let Intent::Ask(needs) = &intent
            && row::is_one_statement(needs)
        {
            return Ok(Outcome::Facts(row::facts(&mut *self.connection().await?, needs).await?));
        }
        let _turn = if asks { None } else { Some(self.turn().await?) };
        let mut connection = self.connection().await?;
        if let Intent::Edit(Edit { put, delete }) = &intent
            && delete.is_empty()
            && put.len() <= row::ONE_PUT
        {
            // One statement is a transaction of its own.
            row::put(&mut connection, put).await?;
            return Ok(Outcome::Edited);
        }
        let begin = if asks { "BEGIN" } else { "BEGIN IMMEDIATE" };
        let mut transaction = connection.begin_with(begin).await.map_err(engine)?;
        let (planned, sound) = match plan(&mut transaction, intent).await {
            Ok(planned) => match transaction.commit().await {
                Ok(()) => (Ok(planned), true),
                Err(error) => (Err(engine(error)), false),
            },
            Err(error) => (Err(error), transaction.rollback().await.is_ok()),
        };
        if !sound {
            // Whether a transaction is still open on this connection is not known: it is not used again.
            let _ = connection.close().await;
        }
        let (outcome, moved) = planned?;
        if moved {
            self.closed.send_modify(|_| {});
        }
        Ok(outcome)
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>> {
        let closed = |error| Error::new(ErrorKind::Closed, "the store is closed").with_source(error);
        self.writer.acquire().await.map_err(closed)
    }

    async fn connection(&self) -> Result<PoolConnection<Sqlite>> {
        if *self.closed.borrow() {
            return Err(Error::new(ErrorKind::Closed, "the store is closed"));
        }
        self.pool.acquire().await.map_err(engine)
    }

    fn blame<T>(&self, operation: &'static str, result: Result<T>) -> Result<T> {
        result.map_err(|error| match &self.path {
            Some(path) => error.with("path", path.display()).at("sqlite", operation),
            None => error.at("sqlite", operation),
        })
    }
}

/// Plans an intent and writes the plan; also tells whether the log has grown.
async fn plan(connection: &mut SqliteConnection, intent: Intent) -> Result<(Outcome, bool)> {
    let head = row::head(connection).await?;
    let mut planning = Planning::new(head, intent);
    let mut facts = Facts::default();
    loop {
        match planning.step(facts)? {
            Step::Fetch(needs) => facts = row::facts(connection, &needs).await?,
            Step::Write(plan, outcome) => {
                row::write(connection, head.position, &plan).await?;
                return Ok((outcome, !plan.append.is_empty()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Synchronous;

    #[tokio::test]
    async fn the_settings_are_in_force_on_every_connection() {
        for (synchronous, expected) in
            [(Synchronous::Off, 0), (Synchronous::Normal, 1), (Synchronous::Full, 2), (Synchronous::Extra, 3)]
        {
            let directory = tempfile::tempdir().expect("a directory");
            let config = SqliteConfig::new(directory.path().join("s"))
                .with_node(NodeId::new("a").expect("valid"))
                .with_synchronous(synchronous)
                .with_busy_timeout(Duration::from_millis(1_234))
                .with_wal_autocheckpoint(77)
                .with_journal_size_limit(4_096);
            let store = SqliteStore::open(config).await.expect("opens");
            let (mut one, mut two) =
                (store.0.pool.acquire().await.expect("one"), store.0.pool.acquire().await.expect("another"));
            for connection in [&mut one, &mut two] {
                for (pragma, expected) in [
                    ("PRAGMA synchronous", expected),
                    ("PRAGMA busy_timeout", 1_234),
                    ("PRAGMA wal_autocheckpoint", 77),
                    ("PRAGMA journal_size_limit", 4_096),
                ] {
                    let value: i64 =
                        sqlx::query_scalar(pragma).fetch_one(&mut **connection).await.expect("a value");
                    assert_eq!(value, expected, "{pragma}");
                }
                let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
                    .fetch_one(&mut **connection)
                    .await
                    .expect("a mode");
                assert_eq!(mode, "wal");
            }
        }
    }
}
