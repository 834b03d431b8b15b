//! The store: one connection that writes, one group of commits at a time, and others that read.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use sqlx::{SqliteConnection, SqlitePool};
use synckit_core::{
    ErrorKind, EventStore, Facts, Identity, LogHead, Needs, NodeId, Note, NoteQuery, Page, Planner, Position,
    Query, Result,
};
use synckit_store::group::{Known, Queue};
use synckit_store::{Growth, Opening, closed};
use tokio::sync::{Mutex, MutexGuard};

use crate::commit::{Writer, rolled_back};
use crate::config::SqliteConfig;
use crate::connections::{Connections, Lease};
use crate::error::{cannot_open, damaged_row, engine, no_file};
use crate::facts::{self, Asked, Begin};
use crate::file::{self, Way};
use crate::watch::Watch;
use crate::{query, schema, write};

/// A store in one SQLite file. Clones share it; several processes may open the same file.
#[derive(Clone)]
pub struct SqliteStore(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) connections: Connections,
    opening: Opening,
    node: NodeId,
    /// The commits that wait.
    pub(crate) queue: Queue,
    /// Whose turn it is to write: a commit waits here, not in the engine.
    pub(crate) writer: Arc<Mutex<Writer>>,
    pub(crate) growth: Growth,
    watch: Watch,
}

impl SqliteStore {
    /// Opens the store in a file, or creates it where the configuration says so.
    ///
    /// Can be dropped at any time: a new store is then there as a whole or not at all. Only the owner of a new file can
    /// read it.
    ///
    /// A file that cannot be written, or whose directory cannot, is opened all the same: reads work, and every commit fails
    /// with `Denied`.
    ///
    /// # Errors
    /// - `NotFound`: there is no store and none may be created, or the directory does not exist.
    /// - `Conflict`: the store belongs to another node, or the file to another application.
    /// - `Unsupported`: the store was made by a newer synckit, or its file system has no shared memory, or its texts are not UTF-8.
    /// - `Corrupt`: the file is not a SQLite database, or it is damaged.
    /// - `Denied`: the file cannot be opened or written.
    /// - `Invalid`: the path is empty, not UTF-8, or `:memory:`, or a store is to be created for a node id with a `~`.
    /// - `Busy`: another process held the lock for too long.
    pub async fn open(config: SqliteConfig) -> Result<Self> {
        let opening = Opening::new("sqlite").with_path(&config.path).with_create(config.create);
        let opening = opening.with_node(config.node.clone());
        let opening = opening.with_machine(config.machine.clone()).with_this_machine();
        let opened = SqliteStore::open_file(config, &opening).await;
        opened.map_err(|error| opening.blame("open", error))
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
        let opening = Opening::new("sqlite").with_node(node);
        let set_up = async {
            let mut connection = pool.acquire().await.map_err(engine)?;
            schema::set_up(&mut connection, &opening).await
        };
        let identity = set_up.await.map_err(|error| opening.blame("open", error))?;
        Ok(SqliteStore::new(Connections::Pool(pool), opening, identity))
    }

    /// The node id the store was created with.
    pub fn node(&self) -> &NodeId {
        &self.0.node
    }

    /// Reads who the store belongs to and under which name it authors now.
    ///
    /// Can be dropped at any time.
    ///
    /// # Errors
    /// Those of the engine, `Closed`, and `Corrupt` when it cannot be read.
    pub async fn identity(&self) -> Result<Identity> {
        self.0
            .read("identity", async |connection| schema::identity(connection, &Opening::new("")).await)
            .await
    }

    async fn open_file(config: SqliteConfig, opening: &Opening) -> Result<Self> {
        config.options(Way::Write)?;
        let way = file::way(&config).await;
        match SqliteStore::open_in_way(&config, opening, way).await {
            // There is none, and none was made because of the name.
            Err(_) if opening.may_create() && !config.may_create() => {
                opening.new_store()?;
                Err(opening.absent())
            }
            // Where nothing can be made beside the file, it can still be read.
            Err(error) if error.kind() == ErrorKind::Denied && way == Way::Write => {
                let Some(way) = file::way_to_read(&config).await else { return Err(error) };
                SqliteStore::open_in_way(&config, opening, way).await.map_err(|_| error)
            }
            opened => opened,
        }
    }

    async fn open_in_way(config: &SqliteConfig, opening: &Opening, way: Way) -> Result<Self> {
        let connections = Connections::own(config.options(way)?, config.max_connections);
        let mut lease = match connections.lease().await {
            Err(error) if cannot_open(&error) => return Err(no_file(config, error).await),
            other => other.map_err(engine)?,
        };
        let set_up = async {
            let identity = schema::set_up(&mut lease, opening).await?;
            if way == Way::Write {
                schema::write_ahead(&mut lease, config.busy_timeout).await?;
            }
            Ok(identity)
        };
        let set_up = set_up.await;
        connections.give_back(lease);
        match set_up {
            Ok(identity) => Ok(SqliteStore::new(connections, opening.clone(), identity)),
            Err(error) => {
                // What is not a store, or not this node's, is left as it was.
                connections.close().await;
                Err(error)
            }
        }
    }

    fn new(connections: Connections, opening: Opening, identity: Identity) -> Self {
        let watch = opening.path().map_or_else(Watch::default, |path| Watch::of(path));
        SqliteStore(Arc::new(Inner {
            connections,
            opening,
            node: identity.node,
            queue: Queue::new(),
            writer: Arc::default(),
            growth: Growth::new(0),
            watch,
        }))
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("path", &self.0.opening.path())
            .field("node", &self.0.node)
            .finish()
    }
}

impl EventStore for SqliteStore {
    async fn commit<P: Planner>(&self, planner: P) -> Result<P::Outcome> {
        self.0.blame("commit", self.0.commit(planner).await)
    }

    async fn facts(&self, needs: Needs) -> Result<Facts> {
        self.0.blame("facts", self.0.facts(&needs).await)
    }

    async fn read(&self, query: Query) -> Result<Page> {
        if let Some(page) = self.0.blame("read", self.0.end_of_writer(&query).await)? {
            return Ok(page);
        }
        self.0.read("read", async |connection| query::read(connection, query).await).await
    }

    async fn notes(&self, query: NoteQuery) -> Result<Vec<Note>> {
        self.0.read("notes", async |connection| query::notes(connection, query).await).await
    }

    async fn head(&self) -> Result<LogHead> {
        let ask = async |connection: &mut SqliteConnection| {
            Ok(facts::ask(connection, Begin::Nothing, &Needs::default()).await?.facts.head)
        };
        self.0.read("head", ask).await
    }

    /// Hears of commits through this store and its clones at once, and of those of other processes when the file system
    /// tells that the file has changed, within milliseconds. Where the file system does not tell, it looks every quarter
    /// second. One looks for all who wait.
    async fn moved(&self, after: Position) -> Result<Position> {
        // In a box, because many wait and one looks.
        let look = |places| Box::pin(self.0.look(places));
        self.0.blame("moved", self.0.watch.moved(&self.0.growth, after, look).await)
    }

    /// Waits for the commits that run; those that wait for their turn end with `Closed`.
    async fn close(&self) -> Result<()> {
        self.0.growth.close();
        self.0.queue.close();
        // The turn comes when the running commits have ended.
        let mut writer = self.0.writer.lock().await;
        if let Some(connection) = writer.release() {
            self.0.connections.keep(connection);
        }
        self.0.connections.close().await;
        Ok(())
    }
}

impl Inner {
    /// Reads where the log ends, and the marks at some places. The connection that writes stays free for commits.
    async fn look(&self, places: Vec<Position>) -> Result<Facts> {
        let needs = Needs { places, ..Needs::default() };
        let ask = async |connection: &mut SqliteConnection| {
            Ok(facts::ask(connection, Begin::Nothing, &needs).await?.facts)
        };
        self.read("moved", ask).await
    }

    /// Reads with a connection of its own.
    pub(crate) async fn read<T>(
        &self,
        operation: &'static str,
        read: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T>,
    ) -> Result<T> {
        let done = async {
            let mut lease = self.lease().await?;
            let done = read(&mut lease).await?;
            self.connections.give_back(lease);
            Ok(done)
        };
        self.blame(operation, done.await)
    }

    /// Reads facts, for which nobody is waited for.
    async fn facts(&self, needs: &Needs) -> Result<Facts> {
        if let Some(facts) = self.facts_of_writer(needs).await? {
            return Ok(facts);
        }
        let mut lease = self.lease().await?;
        if needs.histories.is_empty() {
            match facts::ask(&mut lease, Begin::Nothing, needs).await {
                Ok(Asked { facts, large, .. }) if large.is_empty() => {
                    self.connections.give_back(lease);
                    return Ok(facts);
                }
                Err(error) if damaged_row(&error).is_none() => return Err(error),
                _ => {}
            }
        }
        // More than one statement is of one moment in a transaction alone.
        let asked = facts::all(&mut lease, Begin::Reading, needs).await;
        if rolled_back(&mut lease).await {
            self.connections.give_back(lease);
        } else {
            lease.give_up().await;
        }
        Ok(asked?.0)
    }

    /// Reads a few facts with the connection that writes, if it is idle; what it reads is known to the next commit.
    async fn facts_of_writer(&self, needs: &Needs) -> Result<Option<Facts>> {
        if needs.ids.len() + needs.dots.len() > write::SMALL || !needs.histories.is_empty() {
            return Ok(None);
        }
        let Some((mut writer, mut connection, known)) = self.idle_writer() else { return Ok(None) };
        let asked = match facts::ask(&mut connection, Begin::Nothing, needs).await {
            Err(error) if damaged_row(&error).is_some() => {
                writer.keep(connection, known);
                return Ok(None);
            }
            asked => asked?,
        };
        let Asked { facts, large, version } = asked;
        let known = known.filter(|known| known.version == version);
        let mut known = known.unwrap_or_else(|| Known::new(version, facts.head));
        known.learn(needs, &facts);
        writer.keep(connection, Some(known));
        Ok(large.is_empty().then_some(facts))
    }

    /// Reads the end of the log with the connection that writes, if it is idle.
    async fn end_of_writer(&self, query: &Query) -> Result<Option<Page>> {
        if self.growth.last().saturating_sub(query.after) > write::SMALL as Position {
            return Ok(None);
        }
        let Some((mut writer, mut connection, known)) = self.idle_writer() else { return Ok(None) };
        let page = query::read(&mut connection, query.clone()).await;
        if page.as_ref().err().is_none_or(|error| damaged_row(error).is_some()) {
            writer.keep(connection, known);
        }
        page.map(Some)
    }

    /// Takes the connection that writes, if it is idle, and what it knows. What it wrote last is still in its memory, which
    /// the others have to read again. If it is dropped it is closed, and the next commit opens another.
    fn idle_writer(&self) -> Option<(MutexGuard<'_, Writer>, SqliteConnection, Option<Known>)> {
        let mut writer = self.writer.try_lock().ok().filter(|_| !self.growth.is_closed())?;
        let known = writer.known.take();
        let connection = writer.release()?;
        Some((writer, connection, known))
    }

    async fn lease(&self) -> Result<Lease<'_>> {
        if self.growth.is_closed() {
            return Err(closed());
        }
        self.connections.lease().await.map_err(engine)
    }

    fn blame<T>(&self, operation: &'static str, result: Result<T>) -> Result<T> {
        result.map_err(|error| self.opening.blame(operation, error))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
                (store.0.lease().await.expect("one"), store.0.lease().await.expect("another"));
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
