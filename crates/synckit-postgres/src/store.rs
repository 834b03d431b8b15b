//! The store: one log of a database.

use std::fmt;
use std::sync::Arc;

use synckit_core::{
    EventStore, Facts, Identity, LogHead, Needs, NodeId, Note, NoteQuery, Page, Planner, Position, Query,
    Result,
};
use synckit_store::group::Turns;
use synckit_store::{Opening, closed, random_bytes};

use crate::commit::{LIGHT, Writer};
use crate::config::PostgresConfig;
use crate::connections::{Connections, Read};
use crate::database::{self, PostgresDatabase};
use crate::notify::Notify;
use crate::watch::Watched;
use crate::{facts, query, schema};

/// A store in one log of a PostgreSQL database. Clones share it; several processes may open the same log.
#[derive(Clone)]
pub struct PostgresStore(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) database: PostgresDatabase,
    name: String,
    node: NodeId,
    pub(crate) log: i32,
    /// Tells this store from all others that write the same log.
    pub(crate) writer: [u8; 16],
    /// The commits that wait, and whose turn it is to write.
    turns: Turns<Writer>,
    pub(crate) watched: Arc<Watched>,
    pub(crate) notify: Notify,
    /// Whether the database was opened for this log alone, and is closed with it.
    is_alone: bool,
}

impl PostgresStore {
    /// Connects to a database and opens the log that the URL names, or creates it where the settings say so. To open
    /// several logs over the same connections, use [`PostgresDatabase`].
    ///
    /// Can be dropped at any time: a new log is then there as a whole or not at all.
    ///
    /// ```no_run
    /// use synckit_core::{EventStore, NodeId};
    /// use synckit_postgres::{PostgresConfig, PostgresStore};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> synckit_core::Result<()> {
    /// let config = PostgresConfig::new("postgres://hub@localhost/teams?log=acme");
    /// let store = PostgresStore::open(config.with_node(NodeId::new("hub")?)).await?;
    /// println!("{} events", store.head().await?.position);
    /// store.close().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`PostgresDatabase::connect`] and [`PostgresDatabase::open`].
    pub async fn open(config: PostgresConfig) -> Result<Self> {
        let node = config.node.clone();
        let database = PostgresDatabase::connect(config).await?;
        let log = database.0.place.log.clone();
        let mut store = database.open(&log, node).await?;
        drop(database);
        if let Some(inner) = Arc::get_mut(&mut store.0) {
            inner.is_alone = true;
        }
        Ok(store)
    }

    /// Opens the log that the URL names for this node, or creates it, with the defaults of [`PostgresConfig`].
    ///
    /// # Errors
    /// As [`PostgresStore::open`].
    pub async fn open_as(url: impl Into<String>, node: NodeId) -> Result<Self> {
        PostgresStore::open(PostgresConfig::new(url).with_node(node)).await
    }

    pub(crate) fn new(
        database: PostgresDatabase,
        name: String,
        log: i32,
        node: NodeId,
        head: Position,
    ) -> Result<Self> {
        let watched = database.0.watch.add(log, head);
        Ok(PostgresStore(Arc::new(Inner {
            database,
            name,
            node,
            log,
            writer: random_bytes()?,
            turns: Turns::new(Writer::default()),
            watched,
            notify: Notify::default(),
            is_alone: false,
        })))
    }

    /// The node id the log was created with.
    pub fn node(&self) -> &NodeId {
        &self.0.node
    }

    /// Reads who the log belongs to and under which name it authors now. Can be dropped at any time.
    ///
    /// # Errors
    /// Those of the server, `Closed`, and `Corrupt` when it cannot be read.
    pub async fn identity(&self) -> Result<Identity> {
        let read: Read<i32, Identity> = |connection, log| {
            Box::pin(async move { schema::identity(connection, *log, &Opening::new("")).await })
        };
        self.0.read("identity", self.0.log, read).await
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("database", &self.0.database)
            .field("log", &self.0.name)
            .field("node", &self.0.node)
            .finish()
    }
}

impl EventStore for PostgresStore {
    /// Commits together with what waits, in a task of its own. A caller that drops the future leaves the commit to be made
    /// as a whole or, when it fails or its turn had not come, not at all.
    ///
    /// Where the connection breaks before the server has answered, it is found out whether the commit was made. If it was
    /// not, or the server stays away, the error is `Unavailable`.
    async fn commit<P: Planner>(&self, planner: P) -> Result<P::Outcome> {
        let inner = &self.0;
        let run = |turn, jobs| Arc::clone(inner).together(turn, jobs);
        self.0.blame("commit", self.0.turns.commit(planner, LIGHT, run).await)
    }

    async fn facts(&self, needs: Needs) -> Result<Facts> {
        let read: Read<(i32, Needs), Facts> = |connection, asked| {
            Box::pin(async move { Ok(facts::ask(connection, asked.0, &asked.1).await?.facts) })
        };
        self.0.read("facts", (self.0.log, needs), read).await
    }

    async fn read(&self, query: Query) -> Result<Page> {
        let read: Read<(i32, Query), Page> =
            |connection, asked| Box::pin(async move { query::read(connection, asked.0, &asked.1).await });
        self.0.read("read", (self.0.log, query), read).await
    }

    async fn notes(&self, query: NoteQuery) -> Result<Vec<Note>> {
        let read: Read<(i32, NoteQuery), Vec<Note>> =
            |connection, asked| Box::pin(async move { query::notes(connection, asked.0, &asked.1).await });
        self.0.read("notes", (self.0.log, query), read).await
    }

    async fn head(&self) -> Result<LogHead> {
        Ok(self.facts(Needs::default()).await?.head)
    }

    /// Hears of commits through this store and its clones at once, and of those of other processes by a notice of the
    /// server, within milliseconds. A notice that is lost costs a wait of `poll_interval`.
    async fn moved(&self, after: Position) -> Result<Position> {
        let moved = self.0.database.0.watch.moved(&self.0.watched, after).await;
        self.0.blame("moved", moved)
    }

    /// Waits for the commit that runs; those that wait for their turn end with `Closed`. The database stays open if it was
    /// opened for several logs.
    async fn close(&self) -> Result<()> {
        self.0.watched.growth.close();
        self.0.turns.refuse();
        drop(self.0.turns.end().await);
        self.0.tell(0).await;
        if self.0.is_alone {
            self.0.database.close().await;
        }
        Ok(())
    }
}

impl Inner {
    pub(crate) fn connections(&self) -> &Connections {
        &self.database.0.connections
    }

    async fn read<A, T>(&self, operation: &'static str, asked: A, read: Read<A, T>) -> Result<T> {
        let done = match self.watched.growth.is_closed() {
            true => Err(closed()),
            false => self.connections().read(asked, read).await,
        };
        self.blame(operation, done)
    }

    fn blame<T>(&self, operation: &'static str, result: Result<T>) -> Result<T> {
        result.map_err(|error| database::blame(operation, &self.database.0.place, &self.name, error))
    }
}
