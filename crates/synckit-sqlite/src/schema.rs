//! Whose file it is, and how it is set up and brought up to date.
//!
//! A store is told by SQLite's `application_id`; its schema version is `user_version`.

use std::time::Duration;

use sqlx::{Connection, Row, SqliteConnection, raw_sql};
use synckit_core::{Error, ErrorKind, Identity, Note, Result};
use synckit_store::{Found, Opening};
use tokio::time::{Instant, sleep};

use crate::error::{engine, is_busy};

/// How long to wait before the next try to switch to write-ahead logging.
const RETRY: Duration = Duration::from_millis(10);

/// `SYNK` in ASCII.
const APPLICATION_ID: i64 = 0x5359_4e4b;

/// The steps from each schema version to the next. A step, once released, never changes.
///
/// In `events`, `mark` and `time` have the bits of the mark and of the timestamp, `checksum` is over all that the row
/// says of the event ([`checksum`](synckit_store::checksum)), and the type of `data` is the kind of data: TEXT is JSON,
/// BLOB is bytes. `data` stands last, so that a scan that skips a row does not read it.
///
/// The index of aggregates goes by stretches of the log: new entries stay together however long the log is, and reading
/// an aggregate looks into each stretch.
const MIGRATIONS: &[&str] = &["
CREATE TABLE events (
    position INTEGER PRIMARY KEY,
    mark INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    id TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    aggregate TEXT NOT NULL,
    origin TEXT,
    counter INTEGER,
    time INTEGER NOT NULL,
    source BLOB,
    clock BLOB NOT NULL,
    metadata TEXT NOT NULL,
    data ANY NOT NULL
) STRICT;
CREATE UNIQUE INDEX events_dot ON events (origin, counter) WHERE origin IS NOT NULL;
CREATE INDEX events_aggregate ON events (position >> 14, aggregate);
CREATE TABLE notes (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
PRAGMA application_id = 0x53594e4b;
"];

/// The version of the schema after the first step. No store has an older one.
const OLDEST: u64 = 2;
/// The version of the schema after all steps.
const NEWEST: u64 = OLDEST - 1 + MIGRATIONS.len() as u64;

/// Checks that this is a store, of the node if one is given; creates or migrates it where that is needed.
///
/// Everything is written in one transaction, begun as a writer: of several processes that come at once, one
/// creates the store and the others find it.
pub(crate) async fn set_up(connection: &mut SqliteConnection, opening: &Opening) -> Result<Identity> {
    if found(connection).await? == Found::Store(NEWEST) && arrival(connection, opening).await?.is_empty() {
        return identity(connection, opening).await;
    }
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(engine)?;
    let found = found(&mut transaction).await?;
    let is_store = opening.check(found, OLDEST..=NEWEST)?;
    let version = if let Found::Store(version) = found { version } else { 0 };
    migrate(&mut transaction, version).await?;
    if !is_store {
        put(&mut transaction, opening.new_store()?).await?;
    }
    let arrival = arrival(&mut transaction, opening).await?;
    put(&mut transaction, arrival).await?;
    let identity = identity(&mut transaction, opening).await?;
    transaction.commit().await.map_err(engine)?;
    Ok(identity)
}

async fn put(connection: &mut SqliteConnection, notes: impl IntoIterator<Item = Note>) -> Result<()> {
    for Note { key, value } in notes {
        let put = "INSERT OR REPLACE INTO notes (key, value) VALUES (?, ?)";
        sqlx::query(put).bind(key).bind(value).execute(&mut *connection).await.map_err(engine)?;
    }
    Ok(())
}

/// What is to be put when the store is opened: nothing, unless it is on another machine than before.
async fn arrival(connection: &mut SqliteConnection, opening: &Opening) -> Result<Vec<Note>> {
    let mut found: [Option<Vec<u8>>; 3] = [const { None }; 3];
    for (value, key) in found.iter_mut().zip(Opening::ARRIVAL) {
        let sql = "SELECT value FROM notes WHERE key = ?";
        let select = sqlx::query_scalar(sql).bind(key).fetch_optional(&mut *connection);
        *value = select.await.map_err(engine)?;
    }
    opening.arrive(found.each_ref().map(Option::as_deref))
}

/// Who the store belongs to, checked against how it is opened.
pub(crate) async fn identity(connection: &mut SqliteConnection, opening: &Opening) -> Result<Identity> {
    let sql = "SELECT value FROM notes WHERE key = ?";
    let found: Option<Vec<u8>> =
        sqlx::query_scalar(sql).bind(Note::NODE).fetch_optional(connection).await.map_err(engine)?;
    opening.identity(found.as_deref())
}

/// Switches the file to write-ahead logging. The engine does not wait for the lock this takes.
pub(crate) async fn write_ahead(connection: &mut SqliteConnection, patience: Duration) -> Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        match sqlx::query("PRAGMA journal_mode = WAL").fetch_one(&mut *connection).await {
            Ok(row) if row.try_get::<&str, _>(0).map_err(engine)? == "wal" => return Ok(()),
            Ok(_) => {
                let message = "the file system of the store has no write-ahead logging; use a local disk";
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
            Err(error) if is_busy(&error) && Instant::now() < deadline => sleep(RETRY).await,
            Err(error) => return Err(engine(error)),
        }
    }
}

async fn migrate(connection: &mut SqliteConnection, from: u64) -> Result<()> {
    for (version, step) in (OLDEST..).zip(MIGRATIONS).filter(|(version, _)| *version > from) {
        raw_sql(*step).execute(&mut *connection).await.map_err(engine)?;
        let version = format!("PRAGMA user_version = {version}");
        raw_sql(sqlx::AssertSqlSafe(version)).execute(&mut *connection).await.map_err(engine)?;
    }
    Ok(())
}

/// What stands in the file; the version is that of the schema.
async fn found(connection: &mut SqliteConnection) -> Result<Found> {
    let sql = "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema), encoding
               FROM pragma_application_id, pragma_user_version, pragma_encoding";
    let (application, version, objects, encoding): (i64, i64, i64, String) =
        sqlx::query_as(sql).fetch_one(connection).await.map_err(engine)?;
    if encoding != "UTF-8" {
        let message = "the texts of this database are not UTF-8; open the pool without another encoding";
        return Err(Error::new(ErrorKind::Unsupported, message).with("encoding", encoding));
    }
    Ok(match (application, version, objects) {
        (0, 0, 0) => Found::Nothing,
        (APPLICATION_ID, version, _) => Found::Store(u64::try_from(version).unwrap_or(0)),
        _ => Found::Foreign,
    })
}
