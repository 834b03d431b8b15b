//! What the tests share: servers, logs in them, and commits that go on when a server comes back.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test binary uses its part of it")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use synckit_core::{EventStore, Planner, Position, Query, Result, StoredEvent};
use synckit_postgres::{PostgresConfig, PostgresStore};
use synckit_testkit::PostgresServer;
pub use synckit_testkit::plans::{Fixed, note, one, record};
pub use synckit_testkit::samples::{Author, new_event, node};

/// The server that the tests of a binary share; `None`, and a line that says so, where PostgreSQL is not installed.
#[expect(clippy::print_stdout, reason = "a skipped test is printed as skipped")]
pub fn server(test: &str) -> Option<&'static PostgresServer> {
    match PostgresServer::shared() {
        Ok(server) => Some(server),
        Err(why) => {
            println!("skipped: {test}: {why}");
            None
        }
    }
}

/// The URL of a log that nobody else uses.
pub fn fresh(server: &PostgresServer) -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    format!("{}?log={}-{number}", server.url("postgres"), std::process::id())
}

pub async fn open(url: &str) -> PostgresStore {
    PostgresStore::open_as(url, node("n")).await.expect("opens")
}

/// Opens a log with a poll that is too rare for the tests: what is heard in time was told by the server.
pub fn rarely(url: &str) -> PostgresConfig {
    PostgresConfig::new(url).with_node(node("n")).with_poll_interval(Duration::from_secs(600))
}

/// Runs SQL in the database at this URL.
pub async fn sql(url: &str, sql: &str) {
    use sqlx::{AssertSqlSafe, Connection, Executor};
    let mut connection = sqlx::PgConnection::connect(url).await.expect("connects");
    connection.execute(AssertSqlSafe(sql.to_owned())).await.expect("runs");
    connection.close().await.expect("closes");
}

/// Calls something again for as long as the error says that it may help.
macro_rules! retrying {
    ($call:expr) => {
        loop {
            match $call.await {
                Err(error) if error.is_retryable() => tokio::time::sleep($crate::support::PAUSE).await,
                done => break done,
            }
        }
    };
}
pub(crate) use retrying;

/// How long to wait before something is called again.
pub const PAUSE: Duration = Duration::from_millis(5);

/// Commits, and does it again for as long as the error says that it may help.
pub async fn insist<P: Planner>(store: &impl EventStore, planner: P) -> Result<P::Outcome> {
    retrying!(store.commit(planner.clone()))
}

/// The whole log, page by page; checks that the positions have no gaps.
pub async fn log(store: &impl EventStore) -> Vec<StoredEvent> {
    let (mut log, mut after) = (Vec::new(), 0);
    loop {
        let page = retrying!(store.read(Query::after(after))).expect("reads");
        log.extend(page.events);
        after = page.scanned_to;
        if !page.more {
            break;
        }
    }
    check_positions(&log);
    log
}

pub fn check_positions(log: &[StoredEvent]) {
    assert!(log.iter().map(|stored| stored.position).eq(1..=log.len() as Position), "positions have no gaps");
}
