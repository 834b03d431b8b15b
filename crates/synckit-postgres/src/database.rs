//! A database, which has any number of logs.

use std::fmt;
use std::sync::Arc;

use synckit_core::{NodeId, Result};
use synckit_store::Opening;

use crate::config::PostgresConfig;
use crate::connections::Connections;
use crate::schema;
use crate::store::PostgresStore;
use crate::url::{Place, check_name};
use crate::watch::Watch;

/// A PostgreSQL database, which has any number of logs. They share its connections, and the one that listens for commits
/// of other processes. Clones share it.
///
/// ```no_run
/// use synckit_core::{EventStore, NodeId};
/// use synckit_postgres::{PostgresConfig, PostgresDatabase};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> synckit_core::Result<()> {
/// let database = PostgresDatabase::connect(PostgresConfig::new("postgres://hub@localhost/teams")).await?;
/// for team in ["acme", "globex"] {
///     let log = database.open(team, Some(NodeId::new("hub")?)).await?;
///     println!("{team} has {} events", log.head().await?.position);
/// }
/// assert_eq!(database.logs().await?, ["acme", "globex"]);
/// database.close().await;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct PostgresDatabase(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) connections: Arc<Connections>,
    pub(crate) watch: Watch,
    pub(crate) place: Place,
    create: bool,
}

impl PostgresDatabase {
    /// Connects to the database. The log in the URL and the node are not used. Can be dropped at any time.
    ///
    /// # Errors
    /// - `Invalid`: the URL is wrong, or a file that it names cannot be read.
    /// - `Unavailable`, `Timeout`: the server cannot be reached, or the connection cannot be encrypted.
    /// - `Denied`: the server refuses the user or the password.
    /// - `NotFound`: there is no such database.
    /// - `Unsupported`: the server is older than PostgreSQL 13.
    /// - `Busy`: the server has no connection left.
    pub async fn connect(config: PostgresConfig) -> Result<Self> {
        let place = config.place().map_err(|error| error.at("postgres", "connect"))?;
        let connect = async {
            let options = config.options(&place)?;
            let connections = Arc::new(Connections::new(options.clone(), &config));
            connections.lease().await?.give_back();
            let watch = Watch::new(options, Arc::clone(&connections), config.poll_interval);
            Ok(PostgresDatabase(Arc::new(Inner {
                connections,
                watch,
                place: place.clone(),
                create: config.create,
            })))
        };
        connect.await.map_err(|error| blame("connect", &place, &place.log, error))
    }

    /// Opens the log of this name, for this node; creates tables and log where there are none, unless the settings say
    /// otherwise. Without a node, an existing log is opened under the node id it has. Can be dropped at any time.
    ///
    /// A database that can only be read is opened all the same: reads work, and every commit fails with `Denied`.
    ///
    /// # Errors
    /// - `NotFound`: there is no log of this name and none may be created.
    /// - `Conflict`: the log belongs to another node, or the schema `synckit` to something else.
    /// - `Unsupported`: the tables were made by a newer synckit.
    /// - `Denied`: the user lacks a right, or the database can only be read and the log is not there.
    /// - `Invalid`, `TooLarge`: the name is empty or above 255 bytes, or a log is to be created for a node id with a `~`.
    /// - Those of [`PostgresDatabase::connect`].
    pub async fn open(&self, log: &str, node: Option<NodeId>) -> Result<PostgresStore> {
        let opening = Opening::new("postgres").with_node(node).with_create(self.0.create);
        let open = async {
            check_name(log)?;
            let mut lease = self.0.connections.lease().await?;
            let found = self.0.connections.in_time(schema::open(&mut lease, log, &opening)).await?;
            lease.give_back();
            Ok(found)
        };
        let (found, identity) = open.await.map_err(|error| blame("open", &self.0.place, log, error))?;
        PostgresStore::new(self.clone(), log.to_owned(), found.number, identity.node, found.head)
    }

    /// Reads the names of all logs, in order. Can be dropped at any time.
    ///
    /// # Errors
    /// Those of the server.
    pub async fn logs(&self) -> Result<Vec<String>> {
        let names = self.0.connections.read((), |connection, _| Box::pin(schema::logs(connection))).await;
        names.map_err(|error| blame("logs", &self.0.place, "", error))
    }

    /// Closes all connections, once those in use are free. Closes its stores as well. Can be dropped at any time, and
    /// then some connections stay open until the last handle is dropped.
    pub async fn close(&self) {
        self.0.watch.end();
        self.0.connections.close().await;
    }
}

impl fmt::Debug for PostgresDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresDatabase").field("url", &self.0.place.to_string()).finish_non_exhaustive()
    }
}

/// Names component, operation, database and log in an error.
pub(crate) fn blame(
    operation: &'static str,
    place: &Place,
    log: &str,
    error: synckit_core::Error,
) -> synckit_core::Error {
    let error = error.with("database", place);
    let error = if log.is_empty() { error } else { error.with("log", log) };
    error.at("postgres", operation)
}
