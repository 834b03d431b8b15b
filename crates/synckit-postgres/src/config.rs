//! Where the database is and how it is used.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use synckit_core::{NodeId, Result};

use crate::url::Place;

/// Where a database is, which log of it is meant, and how it is used. Every field but the URL has a default.
///
/// ```
/// use synckit_postgres::PostgresConfig;
///
/// let config = PostgresConfig::new("postgres://hub:secret@db.example.org/teams?log=acme");
/// assert_eq!(config.max_connections, 8);
/// assert!(!format!("{config:?}").contains("secret"));
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PostgresConfig {
    /// The URL of the database: `postgres://USER:PASSWORD@HOST:PORT/DATABASE?log=NAME`, with `sslmode`, `sslrootcert`
    /// and the other parameters of libpq. Without `log`, the log has the name `default`.
    pub url: String,
    /// The node that writes through the store. `None` opens an existing log under the node id it has.
    pub node: Option<NodeId>,
    /// Whether the tables and the log are made where there are none; that takes a node id. `true`.
    pub create: bool,
    /// The most connections, besides the one that listens for commits of other processes. 8.
    pub max_connections: u32,
    /// How long to try to reach the server. 10 seconds; in milliseconds where it is text.
    #[serde(rename = "connect_timeout_ms", with = "synckit_store::millis")]
    pub connect_timeout: Duration,
    /// How long a statement may take. 30 seconds; in milliseconds where it is text.
    #[serde(rename = "statement_timeout_ms", with = "synckit_store::millis")]
    pub statement_timeout: Duration,
    /// How long to wait for another process that writes the same log. 10 seconds; in milliseconds where it is text.
    #[serde(rename = "lock_timeout_ms", with = "synckit_store::millis")]
    pub lock_timeout: Duration,
    /// How often to look for commits of other processes whose notice has not come. 3 seconds; in milliseconds where it is
    /// text.
    #[serde(rename = "poll_interval_ms", with = "synckit_store::millis")]
    pub poll_interval: Duration,
}

impl Default for PostgresConfig {
    /// Everything but the URL, which is empty and leads nowhere.
    fn default() -> Self {
        PostgresConfig {
            url: String::new(),
            node: None,
            create: true,
            max_connections: 8,
            connect_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(10),
            poll_interval: Duration::from_secs(3),
        }
    }
}

impl PostgresConfig {
    /// Creates the settings for the database at this URL, with the defaults.
    pub fn new(url: impl Into<String>) -> Self {
        PostgresConfig { url: url.into(), ..PostgresConfig::default() }
    }

    /// Sets the node that writes through the store.
    pub fn with_node(mut self, node: NodeId) -> Self {
        self.node = Some(node);
        self
    }

    /// Sets whether the tables and the log are made where there are none.
    pub fn with_create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Sets the most connections.
    pub fn with_max_connections(mut self, connections: u32) -> Self {
        self.max_connections = connections;
        self
    }

    /// Sets how long to try to reach the server.
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how long a statement may take.
    pub fn with_statement_timeout(mut self, timeout: Duration) -> Self {
        self.statement_timeout = timeout;
        self
    }

    /// Sets how long to wait for another process that writes the same log.
    pub fn with_lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// Sets how often to look for commits of other processes whose notice has not come.
    pub fn with_poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// Returns the URL without the password and the parameters, for messages.
    pub fn shown_url(&self) -> String {
        self.place().map_or_else(|_| "postgres://…".to_owned(), |place| place.to_string())
    }

    /// What the URL names.
    pub(crate) fn place(&self) -> Result<Place> {
        Place::of(&self.url)
    }

    /// What the driver is to connect to.
    pub(crate) fn options(&self, place: &Place) -> Result<PgConnectOptions> {
        let options: PgConnectOptions = place.url.parse().map_err(crate::error::engine)?;
        let named = options.get_application_name().is_some();
        let options = if named { options } else { options.application_name("synckit") };
        Ok(options.disable_statement_logging())
    }
}

impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresConfig")
            .field("url", &self.shown_url())
            .field("node", &self.node)
            .field("create", &self.create)
            .field("max_connections", &self.max_connections)
            .field("connect_timeout", &self.connect_timeout)
            .field("statement_timeout", &self.statement_timeout)
            .field("lock_timeout", &self.lock_timeout)
            .field("poll_interval", &self.poll_interval)
            .finish()
    }
}
