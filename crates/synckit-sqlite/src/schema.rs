//! Whose file it is, and how it is set up and brought up to date.
//!
//! A store is told by SQLite's `application_id`; its schema version is `user_version`.

use std::time::Duration;

use sqlx::{Connection, Row, SqliteConnection, raw_sql};
use synckit_core::notes::{self, Identity, Note};
use synckit_core::{Error, ErrorKind, NodeId, Result, Secret, StoreId};
use tokio::time::{Instant, sleep};

use crate::error::{engine, is_busy};

/// How long to wait before the next try to switch to write-ahead logging.
const RETRY: Duration = Duration::from_millis(10);

/// `SYNK` in ASCII.
const APPLICATION_ID: i64 = 0x5359_4e4b;

/// The steps from each schema version to the next. A step, once released, never changes.
///
/// In `events`, `mark` and `time` have the bits of the mark and of the timestamp, and the type of `data` is the kind of data: TEXT is JSON,
/// BLOB is bytes. `data` stands last, so that a scan that skips a row does not read it.
///
/// The index of aggregates goes by stretches of the log: new entries stay together however long the log is, and reading
/// an aggregate looks into each stretch.
const MIGRATIONS: &[&str] = &["
CREATE TABLE events (
    position INTEGER PRIMARY KEY,
    mark INTEGER NOT NULL,
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

/// Checks that this is a store, of the node if one is given; creates or migrates it where that is needed.
///
/// Everything is written in one transaction, begun as a writer: of several processes that come at once, one
/// creates the store and the others find it.
pub(crate) async fn set_up(
    connection: &mut SqliteConnection,
    node: Option<&NodeId>,
    create: bool,
) -> Result<Identity> {
    if version(connection).await? == Some(MIGRATIONS.len()) {
        return check(connection, node).await;
    }
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(engine)?;
    let version = version(&mut transaction).await?;
    if version.is_none() {
        let new = match node {
            Some(node) if create => node.clone(),
            Some(_) => return Err(absent("there is no store here; allow it to be created")),
            None => return Err(absent("there is no store here; give the node id to create one for")),
        };
        migrate(&mut transaction, 0).await?;
        let (id, secret) = (StoreId::from_bytes(random()?), Secret::from_bytes(random()?));
        for Note { key, value } in notes::of_new_store(new, id, secret)? {
            let insert = sqlx::query("INSERT INTO notes (key, value) VALUES (?, ?)").bind(key).bind(value);
            insert.execute(&mut *transaction).await.map_err(engine)?;
        }
    } else {
        migrate(&mut transaction, version.unwrap_or(0)).await?;
    }
    let identity = check(&mut transaction, node).await?;
    transaction.commit().await.map_err(engine)?;
    Ok(identity)
}

/// Who the store belongs to.
pub(crate) async fn identity(connection: &mut SqliteConnection) -> Result<Identity> {
    let sql = "SELECT value FROM notes WHERE key = ?";
    let found: Option<Vec<u8>> =
        sqlx::query_scalar(sql).bind(notes::NODE).fetch_optional(connection).await.map_err(engine)?;
    notes::identity(found.as_deref())
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

async fn check(connection: &mut SqliteConnection, node: Option<&NodeId>) -> Result<Identity> {
    let identity = identity(connection).await?;
    node.map_or(Ok(()), |node| identity.expect(node))?;
    Ok(identity)
}

async fn migrate(connection: &mut SqliteConnection, from: usize) -> Result<()> {
    for (index, step) in MIGRATIONS.iter().enumerate().skip(from) {
        raw_sql(*step).execute(&mut *connection).await.map_err(engine)?;
        let version = format!("PRAGMA user_version = {}", index + 1);
        raw_sql(sqlx::AssertSqlSafe(version)).execute(&mut *connection).await.map_err(engine)?;
    }
    Ok(())
}

/// The schema version, or `None` where there is nothing at all yet.
async fn version(connection: &mut SqliteConnection) -> Result<Option<usize>> {
    let sql = "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema), encoding
               FROM pragma_application_id, pragma_user_version, pragma_encoding";
    let (application, version, objects, encoding): (i64, i64, i64, String) =
        sqlx::query_as(sql).fetch_one(connection).await.map_err(engine)?;
    if encoding != "UTF-8" {
        let message = "the texts of this database are not UTF-8; open the pool without another encoding";
        return Err(Error::new(ErrorKind::Unsupported, message).with("encoding", encoding));
    }
    if (application, version, objects) == (0, 0, 0) {
        return Ok(None);
    }
    if application != APPLICATION_ID {
        let message = "this database belongs to another application; give the store a file of its own";
        return Err(Error::new(ErrorKind::Conflict, message).with("application_id", application));
    }
    match usize::try_from(version) {
        Ok(version @ 1..) if version <= MIGRATIONS.len() => Ok(Some(version)),
        Ok(1..) => {
            let message = "this store was made by a newer synckit; upgrade synckit to open it";
            let error = Error::new(ErrorKind::Unsupported, message);
            Err(error.with("schema version", version).with("newest known", MIGRATIONS.len()))
        }
        _ => Err(Error::corrupt("the schema version of this store makes no sense").with("version", version)),
    }
}

fn random() -> Result<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::Internal, "the system gives no random numbers").with_source(io_error(error))
    })?;
    Ok(bytes)
}

fn io_error(error: getrandom::Error) -> std::io::Error {
    std::io::Error::other(error.to_string())
}

fn absent(message: &str) -> Error {
    Error::new(ErrorKind::NotFound, message)
}
