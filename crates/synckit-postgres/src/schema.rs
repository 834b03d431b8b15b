//! The tables of synckit, creating and migrating them, and the logs in them.

use sqlx::{PgConnection, Row, raw_sql};
use synckit_core::{Error, ErrorKind, Identity, Note, Position, Result};
use synckit_store::{Found, Opening};

use crate::error::{engine, gone, has_code};

/// The steps from each version of the tables to the next. A step, once released, never changes.
///
/// Names, keys and ids are bytes: they sort as Rust sorts them, and may have NUL characters. The log is the first column of
/// every key, so that the rows of one log stay together. In `events`, `row` is the whole event
/// ([`row`](synckit_store::row)), and the other columns repeat what is looked for: `dot` is
/// [`dot_key`](synckit_store::dot_key), `size` is `Event::size`, `source` is the store it came from.
///
/// Each commit gives its log another `fence`, at random, also one that appends nothing. `writers` has the fence of the last
/// commit of each open store, by which a commit is found whose answer was lost.
const MIGRATIONS: &[&str] = &["
CREATE TABLE synckit.format (version bigint NOT NULL);
INSERT INTO synckit.format (version) VALUES (0);
CREATE TABLE synckit.logs (
    log integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name bytea NOT NULL UNIQUE,
    fence bigint NOT NULL DEFAULT 0,
    head bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
CREATE TABLE synckit.events (
    log integer NOT NULL,
    position bigint NOT NULL,
    size integer NOT NULL,
    id bytea NOT NULL,
    aggregate bytea NOT NULL,
    dot bytea,
    source bytea,
    row bytea NOT NULL,
    PRIMARY KEY (log, position),
    CONSTRAINT events_id UNIQUE (log, id),
    CONSTRAINT events_dot UNIQUE (log, dot)
);
CREATE INDEX events_aggregate ON synckit.events (log, aggregate, position);
CREATE TABLE synckit.notes (
    log integer NOT NULL,
    key bytea NOT NULL,
    value bytea NOT NULL,
    PRIMARY KEY (log, key)
);
CREATE TABLE synckit.writers (
    log integer NOT NULL,
    writer bytea NOT NULL,
    fence bigint NOT NULL,
    seen timestamptz NOT NULL,
    PRIMARY KEY (log, writer)
) WITH (fillfactor = 50);
"];

/// The version of the tables after all steps.
const NEWEST: u64 = MIGRATIONS.len() as u64;

/// The advisory lock under which tables and logs are made: `synckit` in ASCII.
const LOCK: i64 = 0x0073_796e_636b_6974;

/// A log of the database.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log {
    pub(crate) number: i32,
    pub(crate) head: Position,
}

/// Finds the log of this name, checked against how it is opened; creates tables and log where that is asked for.
///
/// What is written is written in one transaction under a lock: of several processes that come at once, one creates the log
/// and the others find it.
pub(crate) async fn open(
    connection: &mut PgConnection,
    name: &str,
    opening: &Opening,
) -> Result<(Log, Identity)> {
    let found = found(connection).await?;
    if opening.check(found, 1..=NEWEST)? {
        match find(connection, name).await? {
            Some(log) if found == Found::Store(NEWEST) => {
                return Ok((log, identity(connection, log.number, opening).await?));
            }
            None if !opening.may_create() => return Err(opening.absent()),
            _ => {}
        }
    }
    raw_sql("BEGIN").execute(&mut *connection).await.map_err(engine)?;
    let made = make(connection, name, opening).await;
    let end = if made.is_ok() { "COMMIT" } else { "ROLLBACK" };
    raw_sql(end).execute(&mut *connection).await.map_err(engine)?;
    made
}

/// Makes what is not there, within a transaction.
async fn make(connection: &mut PgConnection, name: &str, opening: &Opening) -> Result<(Log, Identity)> {
    let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK);
    lock.execute(&mut *connection).await.map_err(engine)?;
    // Another process may have been quicker.
    let found = found(connection).await?;
    opening.check(found, 1..=NEWEST)?;
    let version = if let Found::Store(version) = found { version } else { 0 };
    migrate(connection, version).await?;
    let log = match find(connection, name).await? {
        Some(log) => log,
        None => {
            let notes = opening.new_store()?;
            let insert = sqlx::query("INSERT INTO synckit.logs (name) VALUES ($1) RETURNING log");
            let row = insert.bind(name.as_bytes()).fetch_one(&mut *connection).await.map_err(engine)?;
            let number = row.try_get(0).map_err(engine)?;
            for Note { key, value } in notes {
                let put = sqlx::query("INSERT INTO synckit.notes (log, key, value) VALUES ($1, $2, $3)");
                let put = put.bind(number).bind(key.into_bytes()).bind(value);
                put.execute(&mut *connection).await.map_err(engine)?;
            }
            Log { number, head: 0 }
        }
    };
    Ok((log, identity(connection, log.number, opening).await?))
}

/// What stands in the schema; the version is that of the tables.
async fn found(connection: &mut PgConnection) -> Result<Found> {
    let sql = "SELECT to_regclass('synckit.format') IS NOT NULL,
                   EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace('synckit'))";
    let row = sqlx::query(sql).fetch_one(&mut *connection).await.map_err(engine)?;
    match (row.try_get(0).map_err(engine)?, row.try_get(1).map_err(engine)?) {
        (true, _) => {}
        (false, false) => return Ok(Found::Nothing),
        (false, true) => {
            let message =
                "the schema synckit of this database belongs to something else; use another database";
            return Err(Error::new(ErrorKind::Conflict, message));
        }
    }
    let version = sqlx::query_scalar("SELECT version FROM synckit.format").fetch_one(connection).await;
    let version: i64 = version.map_err(engine)?;
    Ok(Found::Store(u64::try_from(version).unwrap_or(0)))
}

async fn migrate(connection: &mut PgConnection, from: u64) -> Result<()> {
    if from == NEWEST {
        return Ok(());
    }
    if from == 0 {
        raw_sql("CREATE SCHEMA IF NOT EXISTS synckit").execute(&mut *connection).await.map_err(engine)?;
    }
    for (_, step) in (1..).zip(MIGRATIONS).filter(|(version, _)| *version > from) {
        raw_sql(*step).execute(&mut *connection).await.map_err(engine)?;
    }
    let update = sqlx::query("UPDATE synckit.format SET version = $1").bind(NEWEST.cast_signed());
    update.execute(connection).await.map_err(engine)?;
    Ok(())
}

async fn find(connection: &mut PgConnection, name: &str) -> Result<Option<Log>> {
    let select = sqlx::query("SELECT log, head FROM synckit.logs WHERE name = $1").bind(name.as_bytes());
    let Some(row) = select.fetch_optional(connection).await.map_err(engine)? else { return Ok(None) };
    let head: i64 = row.try_get(1).map_err(engine)?;
    Ok(Some(Log { number: row.try_get(0).map_err(engine)?, head: head.cast_unsigned() }))
}

/// Who the log belongs to, checked against how it is opened.
pub(crate) async fn identity(connection: &mut PgConnection, log: i32, opening: &Opening) -> Result<Identity> {
    let select = sqlx::query_scalar("SELECT value FROM synckit.notes WHERE log = $1 AND key = $2");
    let select = select.bind(log).bind(Note::NODE.as_bytes());
    let value: Option<Vec<u8>> = select.fetch_optional(connection).await.map_err(engine)?;
    if value.is_none() {
        return Err(gone());
    }
    opening.identity(value.as_deref())
}

/// The names of all logs, in order.
pub(crate) async fn logs(connection: &mut PgConnection) -> Result<Vec<String>> {
    let names = sqlx::query_scalar("SELECT name FROM synckit.logs ORDER BY name").fetch_all(connection).await;
    let names: Vec<Vec<u8>> = match names {
        Err(error) if has_code(&error, &["3F000", "42P01"]) => Vec::new(),
        names => names.map_err(engine)?,
    };
    let name = |name| {
        String::from_utf8(name)
            .map_err(|error| Error::corrupt("the name of a log cannot be read").with_source(error))
    };
    names.into_iter().map(name).collect()
}
