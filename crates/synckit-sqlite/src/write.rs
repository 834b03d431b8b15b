//! Writing a plan.
//!
//! Events are inserted many at a time, in a few fixed numbers of rows, so that the connection's cache of prepared
//! statements finds them again. The last of them, the notes and the end of the transaction are one visit to the
//! connection's thread.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, Encode, Row as _, Sqlite, SqliteConnection, Type};
use synckit_core::{Data, Error, Event, Mark, Note, Plan, Position, Result, StoreId};
use synckit_store::checksum;

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
const COMMIT: &str = "; COMMIT";

const DELETE: &str = "DELETE FROM notes WHERE key IN (SELECT value FROM json_each(?1))";
const INSERT: &str = "INSERT OR FAIL INTO events (position, mark, checksum, id, type, aggregate, origin, counter, \
     time, source, clock, metadata, data) VALUES ";
const ROW: &str = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
const COLUMNS: usize = 13;
/// The ids that the rows have in between are longer than an id may be.
const FREE: &str = "UPDATE events SET id = printf('%0300d', position), origin = NULL, counter = NULL \
     WHERE position IN (SELECT value FROM json_each(?1))";
const BESIDE: &str = "SELECT mark, source FROM events WHERE position = ?";
const REPLACE: &str = "UPDATE events SET id = ?, type = ?, aggregate = ?, origin = ?, counter = ?, time = ?, clock = ?, \
     metadata = ?, data = ?, checksum = ? WHERE position = ?";
/// As [`checksum::remarked`].
const REMARK: &str = "UPDATE events SET mark = ?2, checksum = (checksum \
         - (mark & 4294967295) - ((mark >> 32) & 4294967295) + (?2 & 4294967295) + ((?2 >> 32) & 4294967295)) \
         & 4294967295 \
     WHERE position >= ?1";

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

/// Parameters are numbered, since those of the notes are used more than once.
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
    sql.push_str(COMMIT);
    sql
}

/// A row to append: the event, its mark, and the store it came from.
type Row = (Event, Mark, Option<StoreId>);

/// What one plan writes, or several together.
#[derive(Default)]
pub(crate) struct Writing {
    replace: Vec<(Position, Event)>,
    /// From which position on events get another mark, and that mark.
    remark: Option<(Position, Mark)>,
    rows: Vec<Row>,
    put: Vec<Note>,
    delete: Vec<String>,
}

impl From<Plan> for Writing {
    fn from(plan: Plan) -> Self {
        let Plan { append, source, derived, mark, replace, remark, put, delete } = plan;
        let remark = remark.map(|from| (from, mark));
        let mut writing = Writing { replace, remark, rows: Vec::new(), put, delete };
        writing.append(append, derived, mark, source);
        writing
    }
}

impl Writing {
    /// Adds a plan that replaces nothing, without its notes.
    pub(crate) fn add(&mut self, plan: Plan) {
        self.append(plan.append, plan.derived, plan.mark, plan.source);
    }

    /// Adds a note to put, or one to delete. Each key comes once.
    pub(crate) fn note(&mut self, key: String, value: Option<Vec<u8>>) {
        match value {
            Some(value) => self.put.push(Note { key, value }),
            None => self.delete.push(key),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        let Writing { replace, remark, rows, put, delete } = self;
        replace.is_empty() && remark.is_none() && rows.is_empty() && put.is_empty() && delete.is_empty()
    }

    /// How many rows it appends.
    pub(crate) fn appends(&self) -> Position {
        self.rows.len() as Position
    }

    fn append(&mut self, append: Vec<Event>, derived: Vec<Event>, mark: Mark, source: Option<StoreId>) {
        self.rows.reserve(append.len() + derived.len());
        self.rows.extend(append.into_iter().map(|event| (event, mark, source)));
        self.rows.extend(derived.into_iter().map(|event| (event, mark, None)));
    }
}

/// Writes to a log that ends here, and ends the transaction where that is asked for. While one statement runs, the next is
/// prepared.
pub(crate) async fn write(
    connection: &mut SqliteConnection,
    head: Position,
    writing: Writing,
    commit: bool,
) -> Result<()> {
    let Writing { replace, remark, rows, put, delete } = writing;
    let mut binding = Binding::after(head);
    write_over(connection, &replace).await?;
    if let Some((from, mark)) = remark {
        let mut arguments = SqliteArguments::default();
        add(&mut arguments, from.cast_signed())?;
        add(&mut arguments, mark.0.cast_signed())?;
        execute(connection, REMARK, arguments).await?;
    }
    if !delete.is_empty() {
        execute(connection, DELETE, keys(&delete)?).await?;
    }
    let mut rest = rows.into_iter();
    let mut ready = None;
    while let Some((length, sql)) = batch(rest.len()) {
        let prepare = async {
            let mut arguments = SqliteArguments::default();
            arguments.reserve(length * COLUMNS, 0);
            binding.bind(&mut arguments, rest.by_ref().take(length))?;
            Ok((sql, arguments))
        };
        ready = Some(after(connection, ready, prepare).await?);
    }
    let prepare = async {
        let (sql, mut arguments) = (ENDS[rest.len()].as_str(), note_arguments(&put)?);
        binding.bind(&mut arguments, rest)?;
        Ok((if commit { sql } else { sql.trim_end_matches(COMMIT) }, arguments))
    };
    let (sql, arguments) = after(connection, ready, prepare).await?;
    execute(connection, sql, arguments).await
}

/// Writes events over those at these positions. All give up their ids and dots before any takes a new one.
async fn write_over(connection: &mut SqliteConnection, replace: &[(Position, Event)]) -> Result<()> {
    if replace.is_empty() {
        return Ok(());
    }
    let mut beside = Vec::with_capacity(replace.len());
    for (position, _) in replace {
        beside.push(beside_event(connection, *position).await?);
    }
    let mut arguments = SqliteArguments::default();
    add(&mut arguments, packed::array(replace.iter().map(|(position, _)| position.cast_signed()))?)?;
    execute(connection, FREE, arguments).await?;
    for ((position, event), (mark, source)) in replace.iter().zip(beside) {
        let mut arguments = SqliteArguments::default();
        for text in [event.id.as_str(), event.event_type.as_str(), event.aggregate_id.as_str()] {
            add(&mut arguments, Arc::<str>::from(text))?;
        }
        let origin = event.dot.as_ref().map(|dot| Arc::from(dot.node.as_str()));
        bind_stamp(&mut arguments, event, origin)?;
        let clock = clock(event);
        let sum = checksum::of(event, &clock, mark, source);
        add(&mut arguments, clock)?;
        add(&mut arguments, event.metadata.shared_json())?;
        bind_data(&mut arguments, &event.data)?;
        add(&mut arguments, i64::from(sum))?;
        add(&mut arguments, position.cast_signed())?;
        execute(connection, REPLACE, arguments).await?;
    }
    Ok(())
}

/// The mark and the source at a position, also of a damaged row.
async fn beside_event(
    connection: &mut SqliteConnection,
    position: Position,
) -> Result<(Mark, Option<StoreId>)> {
    let query = sqlx::query(BESIDE).bind(position.cast_signed());
    let row = query.fetch_optional(connection).await.map_err(engine)?;
    let row = row.ok_or_else(|| Error::corrupt("a plan changes an event that is not there"))?;
    let mark: i64 = row.try_get(0).map_err(engine)?;
    let source: Option<&[u8]> = row.try_get(1).map_err(engine)?;
    let source = source.map(|source| {
        let bytes = source.try_into().map_err(|error| {
            Error::corrupt("the source of an event cannot be read")
                .with("position", position)
                .with_source(error)
        });
        bytes.map(StoreId::from_bytes)
    });
    Ok((Mark(mark.cast_unsigned()), source.transpose()?))
}

/// The most events of a commit that is tried in one visit.
pub(crate) const SMALL: usize = LAST;

/// Whether a plan is one visit, if nobody has written meanwhile. What comes with forks and renewals, which are rare, is not.
pub(crate) fn is_small(plan: &Plan) -> bool {
    let Plan { append, source: _, derived, mark: _, replace, remark, put, delete } = plan;
    let plain = derived.is_empty() && replace.is_empty() && remark.is_none() && delete.is_empty();
    plain && append.len() <= LAST && !put.is_empty() && put.iter().all(|note| note.key != Note::STORE)
}

/// Writes a small plan for a log that ends here, as a transaction. It fails, and has to be rolled back, where another
/// connection has written since this version.
pub(crate) async fn write_whole(
    connection: &mut SqliteConnection,
    version: i64,
    head: Position,
    plan: Plan,
) -> Result<()> {
    let mut arguments = note_arguments(&plan.put)?;
    add(&mut arguments, version)?;
    let sql = &WHOLE[plan.append.len()];
    let rows = plan.append.into_iter().map(|event| (event, plan.mark, plan.source));
    Binding::after(head).bind(&mut arguments, rows)?;
    execute(connection, sql, arguments).await
}

/// The statement for the next of these rows, unless they are few.
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

async fn execute(
    connection: &mut SqliteConnection,
    sql: &'static str,
    arguments: SqliteArguments,
) -> Result<()> {
    sqlx::query_with(sql, arguments).execute(connection).await.map_err(engine)?;
    Ok(())
}

fn note_arguments(put: &[Note]) -> Result<SqliteArguments> {
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
struct Binding {
    last: i64,
    /// The type and the origin of the last row: most often those of the next as well.
    names: [Option<Arc<str>>; 2],
}

impl Binding {
    /// The rows after this position.
    fn after(head: Position) -> Self {
        Binding { last: head.cast_signed(), names: [None, None] }
    }

    /// Binds rows in the order of the columns of [`INSERT`].
    fn bind(&mut self, arguments: &mut SqliteArguments, rows: impl Iterator<Item = Row>) -> Result<()> {
        for (event, mark, source) in rows {
            self.last += 1;
            add(arguments, self.last)?;
            add(arguments, mark.0.cast_signed())?;
            let clock = clock(&event);
            add(arguments, i64::from(checksum::of(&event, &clock, mark, source)))?;
            add(arguments, Arc::<str>::from(event.id.as_str()))?;
            add(arguments, self.name(0, event.event_type.as_str()))?;
            add(arguments, Arc::<str>::from(event.aggregate_id.as_str()))?;
            let origin = event.dot.as_ref().map(|dot| self.name(1, dot.node.as_str()));
            bind_stamp(arguments, &event, origin)?;
            add(arguments, source.map(|source| source.as_bytes().to_vec()))?;
            add(arguments, clock)?;
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
