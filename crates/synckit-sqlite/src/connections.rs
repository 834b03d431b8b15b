//! The connections of a store: its own, or those of somebody's pool.
//!
//! A connection has a thread of its own, and every call is a visit to it. A pool visits it once more whenever it takes
//! a connection back. Connections that belong to the store alone are kept here, and need no such visit.

use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Sqlite, SqliteConnection, SqlitePool};
use tokio::sync::{Semaphore, SemaphorePermit};

pub(crate) enum Connections {
    Own(Box<Own>),
    Pool(SqlitePool),
}

/// Connections to a file, opened as they are needed.
pub(crate) struct Own {
    options: SqliteConnectOptions,
    idle: Mutex<Vec<SqliteConnection>>,
    /// One permit for each connection that may be in use.
    room: Semaphore,
    most: u32,
}

/// A connection that nobody else uses meanwhile. One of the store's own that is dropped and not
/// [given back](Connections::give_back) is closed, which ends whatever it was doing.
pub(crate) enum Lease<'a> {
    Own(SqliteConnection, Option<SemaphorePermit<'a>>),
    Pool(PoolConnection<Sqlite>),
}

impl Connections {
    /// Opens at most this many connections, one of which writes; at least one more reads.
    pub(crate) fn own(options: SqliteConnectOptions, most: u32) -> Self {
        let most = most.saturating_sub(1).max(1);
        Connections::Own(Box::new(Own {
            options,
            idle: Mutex::default(),
            room: Semaphore::new(most as usize),
            most,
        }))
    }

    pub(crate) async fn lease(&self) -> Result<Lease<'_>, sqlx::Error> {
        match self {
            Connections::Pool(pool) => Ok(Lease::Pool(pool.acquire().await?)),
            Connections::Own(own) => {
                let room = own.room.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
                let idle = own.idle().pop();
                let connection = match idle {
                    Some(connection) => connection,
                    None => own.options.connect().await?,
                };
                Ok(Lease::Own(connection, Some(room)))
            }
        }
    }

    /// The connection that writes, beside the others: the one that was kept, if any.
    pub(crate) async fn writer(&self, kept: Option<SqliteConnection>) -> Result<Lease<'_>, sqlx::Error> {
        match (self, kept) {
            (Connections::Pool(pool), _) => Ok(Lease::Pool(pool.acquire().await?)),
            (Connections::Own(_), Some(kept)) => Ok(Lease::Own(kept, None)),
            (Connections::Own(own), None) => {
                let idle = own.idle().pop();
                let connection = match idle {
                    Some(connection) => connection,
                    None => own.options.connect().await?,
                };
                Ok(Lease::Own(connection, None))
            }
        }
    }

    /// Takes a connection back that is in no transaction and has answered everything.
    pub(crate) fn give_back(&self, lease: Lease<'_>) {
        if let (Connections::Own(own), Lease::Own(connection, _room)) = (self, lease) {
            own.idle().push(connection);
        }
    }

    /// Takes the connection that wrote to the others, to be closed with them.
    pub(crate) fn keep(&self, connection: SqliteConnection) {
        if let Connections::Own(own) = self {
            own.idle().push(connection);
        }
    }

    /// Waits for those in use and closes the store's own. A pool is its owner's to close.
    pub(crate) async fn close(&self) {
        let Connections::Own(own) = self else { return };
        let Ok(_all) = own.room.acquire_many(own.most).await else { return };
        own.room.close();
        let idle = mem::take(&mut *own.idle());
        for connection in idle {
            // What is not tidied up now is when the file is opened the next time.
            let _ = connection.close().await;
        }
    }
}

impl Own {
    fn idle(&self) -> MutexGuard<'_, Vec<SqliteConnection>> {
        // No code that can panic runs under the lock.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease<'_> {
    /// The connection, to be kept; that of a pool goes back to it.
    pub(crate) fn into_kept(self) -> Option<SqliteConnection> {
        match self {
            Lease::Own(connection, _) => Some(connection),
            Lease::Pool(_) => None,
        }
    }

    /// Closes the connection: in what state it is, is not known.
    pub(crate) async fn give_up(self) {
        let _ = match self {
            Lease::Own(connection, _room) => connection.close_hard().await,
            Lease::Pool(connection) => connection.detach().close_hard().await,
        };
    }
}

impl Deref for Lease<'_> {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        match self {
            Lease::Own(connection, _) => connection,
            Lease::Pool(connection) => connection,
        }
    }
}

impl DerefMut for Lease<'_> {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        match self {
            Lease::Own(connection, _) => connection,
            Lease::Pool(connection) => connection,
        }
    }
}
