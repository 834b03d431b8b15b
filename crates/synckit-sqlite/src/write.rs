//! Writing a plan.
//!
//! Events are inserted many at a time, in a few fixed numbers of rows, so that the connection's cache of prepared
//! statements finds them again. The last of them, the notes and the end of the transaction are one visit to the
//! connection's thread.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, Encode, Sqlite, SqliteConnection, Type};
use synckit_core::notes::Note;
use synckit_core::plan::Intent;
use synckit_core::{Data, Event, Plan, Position, Result, StoreId};

use crate::error::engine;
use crate::packed::{self, Bytes};

/// How many rows a statement by itself inserts.
const BATCHES: [usize; 3] = [200, 20, 8];
/// The most rows that are inserted together with the notes.
const LAST: usize = 8;

/// The statements of [`BATCHES`].
static INSERTS: LazyLock<[String; BATCHES.len()]> =
    LazyLock::new(|| BATCHES.map(|rows| format!("{INSERT}{}", vec![ROW; rows].join(", "))));

/// For each number of rows: the notes and these rows, at the end of a transaction.
static ENDS: LazyLock<[String; LAST + 1]> = LazyLock::new(|| std::array::from_fn(|rows| end(rows, 2)));
/// The same as a whole transaction, which fails where another connection has written.
static WHOLE: LazyLock<[String; LAST + 1]> = LazyLock::new(|| std::array::from_fn(whole));
/// The notes alone, which is a transaction of its own.
static PUT: LazyLock<String> = LazyLock::new(|| put("place.key"));

const DELETE: &str = "DELETE FROM notes WHERE key IN (SELECT value FROM json_each(?1))";
const BEGIN_DELETE: &str =
    "BEGIN IMMEDIATE; DELETE FROM notes WHERE key IN (SELECT value FROM json_each(?1))";
const INSERT: &str = "INSERT OR FAIL INTO events (position, id, type, aggregate, origin, counter, time, source, clock, metadata, \
     data) VALUES ";
const ROW: &str = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
const COLUMNS: usize = 11;

/// Replacing a row takes one search, updating it would take two.
fn put(key: &str) -> String {
    let value = packed::bytes("?2", "place.value");
    format!("REPLACE INTO notes (key, value) SELECT {key}, {value} FROM json_each(?1) AS place")
}

/// No key is NULL: the notes cannot be put where the version is another.
fn whole(rows: usize) -> String {
    let put = put("CASE WHEN (SELECT data_version FROM pragma_data_version) = ?3 THEN place.key END");
    format!("BEGIN IMMEDIATE; {put}{}", insert_and_commit(rows, 3))
}

fn end(rows: usize, notes: usize) -> String {
    put("place.key") + &insert_and_commit(rows, notes)
}

/// Parameters are numbered, since those of the notes, so many, are used more than once.
fn insert_and_commit(rows: usize, notes: usize) -> String {
    let mut sql = String::new();
    for row in 0..rows {
        sql.push_str(if row == 0 { "; " } else { ", " });
        sql.push_str(if row == 0 { INSERT } else { "" });
        for column in 0..COLUMNS {
            // Writing into a text never fails.
            let _ = write!(
                sql,
                "{}?{}",
                if column == 0 { "(" } else { ", " },
                notes + row * COLUMNS + column + 1
            );
        }
        sql.push(')');
    }
    sql.push_str("; COMMIT");
    sql
}

/// Writes a plan for a log that ends here, and ends the transaction. While one statement runs, the next is prepared.
pub(crate) async fn write(connection: &mut SqliteConnection, head: Position, plan: Plan) -> Result<()> {
    let Plan { append, source, restamp, put, delete } = plan;
    for (position, event) in &restamp {
        let sql = "UPDATE events SET id = ?, origin = ?, counter = ?, time = ?, clock = ?, data = ? WHERE position = ?";
        let mut arguments = SqliteArguments::default();
        let origin = event.dot.as_ref().map(|dot| Arc::from(dot.node.as_str()));
        add(&mut arguments, event.id.as_str().to_owned())?;
        bind_stamp(&mut arguments, event, origin)?;
        add(&mut arguments, clock(event))?;
        bind_data(&mut arguments, &event.data)?;
        add(&mut arguments, position.cast_signed())?;
        execute(connection, sql, arguments).await?;
    }
    if !delete.is_empty() {
        execute(connection, DELETE, keys(&delete)?).await?;
    }
    let mut rest = append.into_iter();
    let mut rows = Rows::after(head, source);
    let mut ready = None;
    while let Some((length, sql)) = batch(rest.len()) {
        let prepare = async {
            let mut arguments = SqliteArguments::default();
            arguments.reserve(length * COLUMNS, 0);
            rows.bind(&mut arguments, rest.by_ref().take(length))?;
            Ok((sql, arguments))
        };
        ready = Some(after(connection, ready, prepare).await?);
    }
    let prepare = async {
        let (sql, mut arguments) = (ENDS[rest.len()].as_str(), notes(&put)?);
        rows.bind(&mut arguments, rest)?;
        Ok((sql, arguments))
    };
    let (sql, arguments) = after(connection, ready, prepare).await?;
    execute(connection, sql, arguments).await
}

/// Whether the plan of an intent may be small. Only these are copied to be tried.
pub(crate) fn may_be_small(intent: &Intent) -> bool {
    match intent {
        Intent::Record(record) => record.events.len() <= LAST,
        Intent::Receive(receive) => receive.events.len() <= LAST,
        _ => false,
    }
}

/// Whether a plan is one visit, if nobody has written meanwhile.
pub(crate) fn is_small(plan: &Plan) -> bool {
    plan.append.len() <= LAST && plan.restamp.is_empty() && plan.delete.is_empty() && !plan.put.is_empty()
}

/// Writes a small plan for a log that ends here, as a transaction. It fails, and has to be rolled back, where another
/// connection has written since this version.
pub(crate) async fn write_whole(
    connection: &mut SqliteConnection,
    version: i64,
    head: Position,
    plan: Plan,
) -> Result<()> {
    let mut rows = Rows::after(head, plan.source);
    let mut arguments = notes(&plan.put)?;
    add(&mut arguments, version)?;
    let sql = &WHOLE[plan.append.len()];
    rows.bind(&mut arguments, plan.append.into_iter())?;
    execute(connection, sql, arguments).await
}

/// The statement for the next rows of so many, unless they are few.
fn batch(rows: usize) -> Option<(usize, &'static str)> {
    let mut batches = BATCHES.into_iter().zip(INSERTS.iter());
    let (length, sql) = batches.find(|(length, _)| rows > LAST && *length <= rows)?;
    Some((length, sql))
}

type Prepared = (&'static str, SqliteArguments);

/// Executes what is ready, if anything, and prepares the next meanwhile.
async fn after(
    connection: &mut SqliteConnection,
    ready: Option<Prepared>,
    prepare: impl Future<Output = Result<Prepared>>,
) -> Result<Prepared> {
    let Some((sql, arguments)) = ready else { return prepare.await };
    // The statement is sent off first.
    let (executed, prepared) = tokio::join!(biased; execute(connection, sql, arguments), prepare);
    executed.and(prepared)
}

/// Puts and deletes notes, in a transaction of its own.
pub(crate) async fn edit(connection: &mut SqliteConnection, put: &[Note], delete: &[String]) -> Result<()> {
    if delete.is_empty() {
        return execute(connection, &PUT, notes(put)?).await;
    }
    execute(connection, BEGIN_DELETE, keys(delete)?).await?;
    execute(connection, &ENDS[0], notes(put)?).await
}

async fn execute(
    connection: &mut SqliteConnection,
    sql: &'static str,
    arguments: SqliteArguments,
) -> Result<()> {
    sqlx::query_with(sql, arguments).execute(connection).await.map_err(engine)?;
    Ok(())
}

fn notes(put: &[Note]) -> Result<SqliteArguments> {
    let mut values = Bytes::new();
    let places: Vec<_> = put.iter().map(|note| (note.key.as_str(), values.push(&note.value))).collect();
    let mut arguments = SqliteArguments::default();
    add(&mut arguments, packed::object(&places)?)?;
    add(&mut arguments, values.into_parameter())?;
    Ok(arguments)
}

fn keys(keys: &[String]) -> Result<SqliteArguments> {
    let mut arguments = SqliteArguments::default();
    add(&mut arguments, packed::array(keys.iter().map(String::as_str))?)?;
    Ok(arguments)
}

/// Binds rows that follow each other.
struct Rows {
    next: i64,
    source: Option<StoreId>,
    /// The type and the origin of the last row: most often those of the next as well.
    names: [Option<Arc<str>>; 2],
}

impl Rows {
    fn after(head: Position, source: Option<StoreId>) -> Self {
        Rows { next: head.cast_signed(), source, names: [None, None] }
    }

    /// Binds rows in the order of the columns of [`INSERT`].
    fn bind(&mut self, arguments: &mut SqliteArguments, rows: impl Iterator<Item = Event>) -> Result<()> {
        for event in rows {
            self.next += 1;
            add(arguments, self.next)?;
            add(arguments, Arc::<str>::from(event.id.as_str()))?;
            add(arguments, self.name(0, event.event_type.as_str()))?;
            add(arguments, Arc::<str>::from(event.aggregate_id.as_str()))?;
            let origin = event.dot.as_ref().map(|dot| self.name(1, dot.node.as_str()));
            bind_stamp(arguments, &event, origin)?;
            add(arguments, self.source.map(|source| source.as_bytes().to_vec()))?;
            add(arguments, clock(&event))?;
            add(arguments, event.metadata.shared_json())?;
            bind_data(arguments, &event.data)?;
        }
        Ok(())
    }

    fn name(&mut self, of: usize, name: &str) -> Arc<str> {
        match &self.names[of] {
            Some(last) if **last == *name => last.clone(),
            _ => self.names[of].insert(Arc::from(name)).clone(),
        }
    }
}

fn bind_stamp(arguments: &mut SqliteArguments, event: &Event, origin: Option<Arc<str>>) -> Result<()> {
    add(arguments, origin)?;
    add(arguments, event.dot.as_ref().map(|dot| dot.counter.cast_signed()))?;
    add(arguments, event.time.to_bits().cast_signed())
}

fn bind_data(arguments: &mut SqliteArguments, data: &Data) -> Result<()> {
    match data.shared_json() {
        Some(json) => add(arguments, json),
        None => add(arguments, data.as_bytes().to_vec()),
    }
}

fn add<'t, T: Encode<'t, Sqlite> + Type<Sqlite>>(arguments: &mut SqliteArguments, value: T) -> Result<()> {
    arguments.add(value).map_err(|error| engine(sqlx::Error::Encode(error)))
}

fn clock(event: &Event) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    event.clock.encode(&mut bytes);
    bytes
}
