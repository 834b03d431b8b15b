//! Where the file is and how it is kept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use synckit_core::{Error, NodeId, Result};

use crate::file::Way;

/// The page cache of a connection, as SQLite takes it: minus its size in KB. A page of events that touches a thousand
/// aggregates does not fit into the 2 MB it has by itself, and would be written to the disk twice.
const CACHE: &str = "-8000";

/// Where a store's file is and how it is kept. Every field but the path has a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SqliteConfig {
    /// The file. SQLite keeps two more beside it while it is open, with `-wal` and `-shm` at the end.
    pub path: PathBuf,
    /// The node that writes through the store. `None` opens an existing store under the node id it has.
    pub node: Option<NodeId>,
    /// Whether a store is made where there is none; that takes a node id. `true`.
    pub create: bool,
    /// The id of the machine. `None` takes the one that the system tells, if it does. When a file is opened on another
    /// machine than before, it goes on under a fresh name, since the file it was copied from may still be in use. Set it
    /// where the system tells nothing, as on phones.
    pub machine: Option<String>,
    /// When the disk is waited for. [`Synchronous::Full`].
    pub synchronous: Synchronous,
    /// How long to wait for a lock that another process holds. 5 seconds; in milliseconds where it is text.
    #[serde(rename = "busy_timeout_ms", with = "synckit_store::millis")]
    pub busy_timeout: Duration,
    /// The most connections, each with a thread and up to 8 MB of page cache of its own: one writes, the others read;
    /// at least one of each. 4.
    pub max_connections: u32,
    /// After how many pages of 4 KiB the write-ahead log is brought into the file. 8,000, which is 32 MiB.
    pub wal_autocheckpoint: u32,
    /// To how many bytes the write-ahead log is cut once it was brought into the file. 64 MiB.
    pub journal_size_limit: u64,
}

impl Default for SqliteConfig {
    /// Everything but the path, which is empty and cannot be opened.
    fn default() -> Self {
        SqliteConfig {
            path: PathBuf::new(),
            node: None,
            create: true,
            machine: None,
            synchronous: Synchronous::Full,
            busy_timeout: Duration::from_secs(5),
            max_connections: 4,
            wal_autocheckpoint: 8_000,
            journal_size_limit: 64 << 20,
        }
    }
}

synckit_store::file_config!(SqliteConfig);

impl SqliteConfig {
    /// When the disk is waited for.
    pub fn with_synchronous(mut self, synchronous: Synchronous) -> Self {
        self.synchronous = synchronous;
        self
    }

    /// How long to wait for a lock that another process holds.
    pub fn with_busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// The most connections: one that writes, and at least one that reads.
    pub fn with_max_connections(mut self, connections: u32) -> Self {
        self.max_connections = connections;
        self
    }

    /// After how many pages the write-ahead log is brought into the file.
    pub fn with_wal_autocheckpoint(mut self, pages: u32) -> Self {
        self.wal_autocheckpoint = pages;
        self
    }

    /// To how many bytes the write-ahead log is cut once it was brought into the file.
    pub fn with_journal_size_limit(mut self, bytes: u64) -> Self {
        self.journal_size_limit = bytes;
        self
    }

    pub(crate) fn may_create(&self) -> bool {
        self.create && self.node.as_ref().is_some_and(|node| node.check_chosen().is_ok())
    }

    /// What the driver is to open.
    pub(crate) fn options(&self, way: Way) -> Result<SqliteConnectOptions> {
        let path = &self.path;
        if path.as_os_str().is_empty() || path == Path::new(":memory:") {
            let message = "the path of the store must name a file; for a store in memory use `from_pool` or another store";
            return Err(Error::invalid(message));
        }
        // A relative path beginning with `file:` would be read as a URI.
        let path = if path.is_relative() { Path::new(".").join(path) } else { path.clone() };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(way == Way::Write && self.may_create())
            .read_only(way != Way::Write)
            .immutable(way == Way::Read { alone: true })
            .busy_timeout(self.busy_timeout)
            .synchronous(self.synchronous.into())
            .pragma("wal_autocheckpoint", self.wal_autocheckpoint.to_string())
            .pragma("cache_size", CACHE)
            .pragma("journal_size_limit", self.journal_size_limit.to_string())
            .disable_statement_logging();
        Ok(options)
    }
}

/// When SQLite waits for the disk (`PRAGMA synchronous`).
///
/// Only [`Full`](Synchronous::Full) and [`Extra`](Synchronous::Extra) keep the promise that an acknowledged
/// event survives a power cut. With the others a crash of the process alone loses nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Synchronous {
    /// At every commit.
    #[default]
    Full,
    /// Only when the write-ahead log is brought into the file: a power cut may undo the last commits.
    Normal,
    /// At every commit, and the directory too.
    Extra,
    /// Never: a power cut may destroy the file. For tests and for what can be pulled again.
    Off,
}

impl From<Synchronous> for SqliteSynchronous {
    fn from(synchronous: Synchronous) -> Self {
        match synchronous {
            Synchronous::Full => SqliteSynchronous::Full,
            Synchronous::Normal => SqliteSynchronous::Normal,
            Synchronous::Extra => SqliteSynchronous::Extra,
            Synchronous::Off => SqliteSynchronous::Off,
        }
    }
}
