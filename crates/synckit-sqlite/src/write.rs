//! Writing a plan.
//!
//! Events are inserted many at a time, in a few fixed numbers of rows, so that the connection's cache of prepared
//! statements finds them again. The last of them, the notes and the end of the transaction are one visit to the
//! connection's thread.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, Encode, Sqlite, SqliteConnection, Type};
use synckit_core::notes::{self, Note};
use synckit_core::plan::Intent;
use synckit_core::{Data, Error, Event, Plan, Position, Result, StoreId};

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
const INSERT: &str = "INSERT OR FAIL INTO events (position, mark, id, type, aggregate, origin, counter, time, source, clock, \
     metadata, data) VALUES ";
const ROW: &str = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
const COLUMNS: usize = 12;
/// The ids that the rows have in between are longer than an id may be.
const FREE: &str = "UPDATE events SET id = printf('%0300d', position), origin = NULL, counter = NULL \
     WHERE position IN (SELECT value FROM json_each(?1))";
const RESTAMP: &str =
    "UPDATE events SET id = ?, origin = ?, counter = ?, time = ?, clock = ?, data = ? WHERE position = ?";

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
    let mut rows = Rows::after(head, &plan);
    let Plan { append, derived, restamp, put, delete, .. } = plan;
    write_stamps(connection, &restamp).await?;
    if !delete.is_empty() {
        execute(connection, DELETE, keys(&delete)?).await?;
    }
    let mut rest = both(append, derived).into_iter();
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
        let (sql, mut arguments) = (ENDS[rest.len()].as_str(), note_arguments(&put)?);
        rows.bind(&mut arguments, rest)?;
        Ok((sql, arguments))
    };
    let (sql, arguments) = after(connection, ready, prepare).await?;
    execute(connection, sql, arguments).await
}

/// Gives events in the log other stamps. All give up their ids and dots before any takes a new one.
async fn write_stamps(connection: &mut SqliteConnection, restamp: &[(Position, Event)]) -> Result<()> {
    if restamp.is_empty() {
        return Ok(());
    }
    let mut arguments = SqliteArguments::default();
    add(&mut arguments, packed::array(restamp.iter().map(|(position, _)| position.cast_signed()))?)?;
    let freed = sqlx::query_with(FREE, arguments).execute(&mut *connection).await.map_err(engine)?;
    if freed.rows_affected() != restamp.len() as u64 {
        return Err(Error::corrupt("a plan changes an event that is not there"));
    }
    for (position, event) in restamp {
        let mut arguments = SqliteArguments::default();
        add(&mut arguments, Arc::<str>::from(event.id.as_str()))?;
        let origin = event.dot.as_ref().map(|dot| Arc::from(dot.node.as_str()));
        bind_stamp(&mut arguments, event, origin)?;
        add(&mut arguments, clock(event))?;
        bind_data(&mut arguments, &event.data)?;
        add(&mut arguments, position.cast_signed())?;
        execute(connection, RESTAMP, arguments).await?;
    }
    Ok(())
}

/// The events that a plan appends.
fn both(mut append: Vec<Event>, mut derived: Vec<Event>) -> Vec<Event> {
    append.append(&mut derived);
    append
}

/// Whether the plan of an intent may be small. Only these are copied to be tried.
pub(crate) fn may_be_small(intent: &Intent) -> bool {
    match intent {
        Intent::Record(record) => record.events.len() <= LAST,
        Intent::Receive(receive) => receive.events.len() <= LAST,
        _ => false,
    }
}

/// Whether a plan is one visit, if nobody has written meanwhile. What comes with forks and renewals, which are rare, is not.
pub(crate) fn is_small(plan: &Plan) -> bool {
    let Plan { append, source: _, derived, mark: _, restamp, put, delete } = plan;
    let plain = derived.is_empty() && restamp.is_empty() && delete.is_empty();
    plain && append.len() <= LAST && !put.is_empty() && put.iter().all(|note| note.key != notes::STORE)
}

/// Writes a small plan for a log that ends here, as a transaction. It fails, and has to be rolled back, where another
/// connection has written since this version.
pub(crate) async fn write_whole(
    connection: &mut SqliteConnection,
    version: i64,
    head: Position,
    plan: Plan,
) -> Result<()> {
    let mut rows = Rows::after(head, &plan);
    let mut arguments = note_arguments(&plan.put)?;
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
        return execute(connection, &PUT, note_arguments(put)?).await;
    }
    execute(connection, BEGIN_DELETE, keys(delete)?).await?;
    execute(connection, &ENDS[0], note_arguments(put)?).await
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
struct Rows {
    last: i64,
    mark: i64,
    source: Option<StoreId>,
    /// The last row that came from the source; those behind it were derived here.
    sourced: i64,
    /// The type and the origin of the last row: most often those of the next as well.
    names: [Option<Arc<str>>; 2],
}

impl Rows {
    /// The rows of a plan for a log that ends here.
    fn after(head: Position, plan: &Plan) -> Self {
        let sourced = (head + plan.append.len() as u64).cast_signed();
        let mark = plan.mark.0.cast_signed();
        Rows { last: head.cast_signed(), mark, source: plan.source, sourced, names: [None, None] }
    }

    /// Binds rows in the order of the columns of [`INSERT`].
    fn bind(&mut self, arguments: &mut SqliteArguments, rows: impl Iterator<Item = Event>) -> Result<()> {
        for event in rows {
            self.last += 1;
            add(arguments, self.last)?;
            add(arguments, self.mark)?;
            add(arguments, Arc::<str>::from(event.id.as_str()))?;
            add(arguments, self.name(0, event.event_type.as_str()))?;
            add(arguments, Arc::<str>::from(event.aggregate_id.as_str()))?;
            let origin = event.dot.as_ref().map(|dot| self.name(1, dot.node.as_str()));
            bind_stamp(arguments, &event, origin)?;
            let source = self.source.filter(|_| self.last <= self.sourced);
            add(arguments, source.map(|source| source.as_bytes().to_vec()))?;
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

#[cfg(test)]
mod tests {
    use sqlx::Connection;
    use synckit_core::{
        AggregateId, Dot, ErrorKind, EventId, EventType, Mark, Metadata, Needs, NodeId, Query, StoredEvent,
        Timestamp, VectorClock,
    };

    use super::*;
    use crate::facts::{self, Begin};
    use crate::{query, schema};

    async fn commit(connection: &mut SqliteConnection, plan: Plan) -> Result<()> {
        let (facts, _) = facts::all(connection, Begin::Writing, &Needs::default()).await?;
        write(connection, facts.head.position, plan).await
    }

    fn event(id: &str, counter: u64) -> Event {
        let node = NodeId::new("n").expect("valid");
        Event {
            id: EventId::new(id).expect("valid"),
            event_type: EventType::new("T").expect("valid"),
            aggregate_id: AggregateId::new("x").expect("valid"),
            data: Data::json("1").expect("valid"),
            metadata: Metadata::default(),
            dot: Some(Dot::new(node.clone(), counter)),
            clock: VectorClock::from_entries([(node, counter)]).expect("valid"),
            time: Timestamp::from_millis(1),
        }
    }

    /// A plan of a log of two events from elsewhere: they swap their dots, the first takes another id, and what it gave up
    /// is taken by an event that is appended.
    fn swap() -> (Plan, Plan) {
        let source = Some(StoreId::from_bytes([7; 16]));
        let append = vec![event("a", 1), event("b", 2)];
        let first = Plan { append, source, mark: Mark(u64::MAX), ..Plan::default() };
        let restamp = vec![(1, event("c", 2)), (2, event("b", 1))];
        let (append, derived) = (vec![event("d", 3)], vec![Event { dot: None, ..event("a", 4) }]);
        let put = vec![Note { key: "k".to_owned(), value: Vec::new() }];
        let second = Plan { append, source, derived, mark: Mark(5), restamp, put, delete: Vec::new() };
        (first, second)
    }

    /// Position, mark, source and event of each row after both plans.
    fn expected() -> Vec<StoredEvent> {
        let source = Some(StoreId::from_bytes([7; 16]));
        let row = |position, mark, source, event| StoredEvent { position, mark: Mark(mark), source, event };
        vec![
            row(1, u64::MAX, source, event("c", 2)),
            row(2, u64::MAX, source, event("b", 1)),
            row(3, 5, source, event("d", 3)),
            row(4, 5, None, Event { dot: None, ..event("a", 4) }),
        ]
    }

    #[tokio::test]
    async fn stamps_are_free_before_any_is_taken() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.expect("connects");
        let node = NodeId::new("n").expect("valid");
        schema::set_up(&mut connection, Some(&node), true).await.expect("is made");
        let (first, second) = swap();
        commit(&mut connection, first).await.expect("commits");
        commit(&mut connection, second).await.expect("commits");
        let page = query::read(&mut connection, Query::after(0)).await.expect("reads");
        assert_eq!(page.events, expected());
        let dots: Vec<Dot> = (1..=3).map(|counter| Dot::new(node.clone(), counter)).collect();
        let ids = ["a", "b", "c", "d"].map(|id| EventId::new(id).expect("valid")).to_vec();
        let needs = Needs { dots: dots.clone(), ids, ..Needs::default() };
        let facts = facts::all(&mut connection, Begin::Nothing, &needs).await.expect("answers").0;
        let named: Vec<_> = dots.iter().map(|dot| facts.dots[dot].as_str()).collect();
        assert_eq!(named, ["b", "c", "d"]);
        let places: Vec<_> = needs.ids.iter().map(|id| facts.held[id].position).collect();
        assert_eq!(places, [4, 2, 1, 3]);
    }

    #[tokio::test]
    async fn a_stamp_for_an_event_that_is_not_there_is_refused() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.expect("connects");
        let node = NodeId::new("n").expect("valid");
        schema::set_up(&mut connection, Some(&node), true).await.expect("is made");
        let plan = Plan { restamp: vec![(1, event("a", 1))], ..Plan::default() };
        let error = commit(&mut connection, plan).await.expect_err("is not there");
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }
}
