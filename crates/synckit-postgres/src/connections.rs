//! The connections to the server, opened as they are needed.
//!
//! The driver's pool asks the server whenever a connection comes back, which is a round trip for each use. Here it is not
//! asked: one that turns out to be lost is dropped, and what only reads is done again with another.

use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};
use synckit_core::{Error, ErrorKind, Result};
use synckit_store::closed;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::config::PostgresConfig;
use crate::error::{engine, is_lost, late};

/// Reads what is asked for with a connection.
pub(crate) type Read<A, T> =
    for<'c> fn(&'c mut PgConnection, Arc<A>) -> Pin<Box<dyn Future<Output = Result<T>> + Send + 'c>>;

/// The oldest server, as `server_version_num`.
const OLDEST: u32 = 130_000;
/// How long to wait before the first try to connect again, and at most.
const RETRY: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(500)];
/// How much longer the server may take to say that a statement took too long.
const GRACE: Duration = Duration::from_secs(5);

/// Connections to one database.
pub(crate) struct Connections {
    options: PgConnectOptions,
    settings: String,
    connect_timeout: Duration,
    patience: Duration,
    idle: Mutex<Vec<PgConnection>>,
    /// One permit for each connection that may be in use.
    room: Semaphore,
    most: u32,
}

/// A connection that nobody else uses meanwhile. One that is dropped and not [given back](Lease::give_back) is closed,
/// which ends whatever it was doing.
pub(crate) struct Lease<'a> {
    connection: PgConnection,
    /// Whether it was used before: the server may have closed it since.
    pub(crate) is_used: bool,
    of: &'a Connections,
    _room: SemaphorePermit<'a>,
}

impl Connections {
    pub(crate) fn new(options: PgConnectOptions, config: &PostgresConfig) -> Self {
        let most = config.max_connections.max(1);
        Connections {
            options,
            settings: settings(config),
            connect_timeout: config.connect_timeout,
            patience: config.statement_timeout.saturating_add(config.lock_timeout).saturating_add(GRACE),
            idle: Mutex::default(),
            room: Semaphore::new(most as usize),
            most,
        }
    }

    pub(crate) async fn lease(&self) -> Result<Lease<'_>> {
        let room = self.room.acquire().await.map_err(|_| closed())?;
        let idle = self.idle().pop();
        let is_used = idle.is_some();
        let connection = match idle {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        Ok(Lease { connection, is_used, of: self, _room: room })
    }

    /// Opens a connection with the settings of a session.
    pub(crate) async fn connect(&self) -> Result<PgConnection> {
        let connect = async {
            let mut connection = self.options.connect().await.map_err(engine)?;
            let version = connection.server_version_num().unwrap_or(0);
            if version < OLDEST {
                let message = "this server is too old; PostgreSQL 13 is the oldest that is supported";
                return Err(Error::new(ErrorKind::Unsupported, message).with("server", version / 10_000));
            }
            connection.execute(AssertSqlSafe(self.settings.clone())).await.map_err(engine)?;
            // The server looks whether its client is still there; not every system can tell.
            let _ = connection.execute("SET client_connection_check_interval = 200").await;
            Ok(connection)
        };
        timeout(self.connect_timeout, connect).await.map_err(|_| late())?
    }

    /// Opens a connection; tries again until the deadline while the server is not there.
    pub(crate) async fn connect_until(&self, deadline: Instant) -> Result<PgConnection> {
        let mut pause = RETRY[0];
        loop {
            match timeout_at(deadline, self.connect()).await.map_err(|_| late())? {
                Err(error) if error.is_retryable() && Instant::now() + pause < deadline => {
                    sleep(pause).await;
                    pause = (pause * 2).min(RETRY[1]);
                }
                other => return other,
            }
        }
    }

    /// How long to try to reach the server.
    pub(crate) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// Reads with a connection of its own; once more where it was lost while nobody used it.
    pub(crate) async fn read<A, T>(&self, asked: A, read: Read<A, T>) -> Result<T> {
        let asked = Arc::new(asked);
        loop {
            let mut lease = self.lease().await?;
            match self.in_time(read(&mut lease, Arc::clone(&asked))).await {
                Err(error) if is_lost(&error) && lease.is_used => self.forget(),
                Err(error) if is_lost(&error) => return Err(error),
                done => {
                    lease.give_back();
                    return done;
                }
            }
        }
    }

    /// Waits for the server at most as long as it may take.
    pub(crate) async fn in_time<T>(&self, answer: impl Future<Output = Result<T>>) -> Result<T> {
        timeout(self.patience, answer).await.map_err(|_| late())?
    }

    /// Drops the connections that nobody uses: the server was away.
    pub(crate) fn forget(&self) {
        self.idle().clear();
    }

    /// Waits for those in use and closes all.
    pub(crate) async fn close(&self) {
        let Ok(_all) = self.room.acquire_many(self.most).await else { return };
        self.room.close();
        let idle = std::mem::take(&mut *self.idle());
        for connection in idle {
            // One that is lost already is closed as well.
            let _ = timeout(GRACE, connection.close()).await;
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<PgConnection>> {
        // No code that can panic runs under the lock.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease<'_> {
    /// Gives a connection back that is in no transaction and whose answers were all read.
    pub(crate) fn give_back(self) {
        self.of.idle().push(self.connection);
    }
}

impl Deref for Lease<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Lease<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

/// The settings of a session.
///
/// Statements are planned once, whatever their parameters, and every look into a table goes through the index that has all
/// it looks for. By itself the server looks through the whole log where it has no statistics yet, and that plan stays.
/// A commit is durable when it returns, also where the database says otherwise. What an owner has set to more than `on`,
/// such as waiting for a standby, stays.
fn settings(config: &PostgresConfig) -> String {
    format!(
        "SET statement_timeout = {}; SET lock_timeout = {}; SET idle_in_transaction_session_timeout = {};
         SET default_transaction_isolation = 'read committed'; SET plan_cache_mode = 'force_generic_plan';
         SET enable_seqscan = off; SET enable_bitmapscan = off; SET jit = off;
         SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
        millis(config.statement_timeout),
        millis(config.lock_timeout),
        millis(config.lock_timeout),
    )
}

/// A timeout as the server takes it; 0 would be none.
fn millis(timeout: Duration) -> i32 {
    i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX).max(1)
}
