//! How events and notes stand in the two tables.
//!
//! Everything is read and written in bulk: a statement costs a visit to the connection's thread, and with a
//! row each a page of events would take ten times as long. Lists come in a few fixed lengths, so that the
//! connection's cache of prepared statements finds them again.

use std::error::Error as StdError;
use std::sync::Arc;

use futures_util::TryStreamExt;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Row, Sqlite, SqliteConnection, TypeInfo, ValueRef};
use synckit_core::notes::{self, Note};
use synckit_core::{
    AggregateId, Data, Dot, Error, Event, EventId, EventType, Facts, Held, LogHead, Metadata, Needs, NewRow,
    NodeId, Plan, Position, Result, StoreId, StoredEvent, Timestamp, VectorClock,
};

use crate::error::engine;

/// The columns of an event, in the order in which [`stored`] reads them.
pub(crate) const COLUMNS: &str =
    "position, id, type, aggregate, origin, counter, time, source, clock, metadata, data";

/// How many rows one statement inserts: the longest that still fits, again and again.
const BATCHES: [usize; 6] = [200, 20, 8, 4, 2, 1];
/// How many notes are put in one statement, however many they are below that.
pub(crate) const ONE_PUT: usize = 20;
/// How many keys one statement looks up: the shortest that is enough, filled up with repetitions.
const LOOKUPS: [usize; 4] = [1, 8, 64, 512];

type Statement = Query<'static, Sqlite, SqliteArguments>;

/// The store id and the last position.
pub(crate) async fn head(connection: &mut SqliteConnection) -> Result<LogHead> {
    let sql = "SELECT (SELECT max(position) FROM events), (SELECT value FROM notes WHERE key = ?)";
    let (position, store): (Option<i64>, Option<Vec<u8>>) =
        sqlx::query_as(sql).bind(notes::STORE).fetch_one(connection).await.map_err(engine)?;
    Ok(LogHead { store: notes::store_id(store.as_deref())?, position: position.unwrap_or(0).cast_unsigned() })
}

/// What the store knows of what a plan needs.
pub(crate) async fn facts(connection: &mut SqliteConnection, needs: &Needs) -> Result<Facts> {
    let mut facts = Facts::default();
    for chunk in needs.ids.chunks(longest(&LOOKUPS)) {
        let sql = |list| format!("SELECT {COLUMNS} FROM events WHERE id IN ({list})");
        let mut rows =
            lookup(sql, "?", chunk, |query, id| query.bind(text(id.as_str()))).fetch(&mut *connection);
        // Only the digests are kept: the events themselves may be large.
        while let Some(row) = rows.try_next().await.map_err(engine)? {
            let event = stored(&row)?.event;
            facts.held.insert(event.id.clone(), Held::of(&event));
        }
    }
    for chunk in needs.dots.chunks(longest(&LOOKUPS)) {
        let sql = |list| {
            format!(
                "WITH wanted (origin, counter) AS (VALUES {list}) SELECT origin, counter, id
                 FROM wanted CROSS JOIN events INDEXED BY events_dot USING (origin, counter)"
            )
        };
        let bind = |query: Statement, dot: &Dot| {
            query.bind(dot.node.as_str().to_owned()).bind(dot.counter.cast_signed())
        };
        let rows = lookup(sql, "(?, ?)", chunk, bind).fetch_all(&mut *connection).await.map_err(engine)?;
        for row in rows {
            let (dot, id) =
                named(&row).map_err(|error| Error::corrupt("a dot cannot be read").with_source(error))?;
            facts.dots.insert(dot, id);
        }
    }
    let notes = notes(connection, &needs.notes).await?;
    facts.notes = notes.into_iter().map(|note| (note.key, note.value)).collect();
    Ok(facts)
}

/// Whether one statement finds all of this, so that it is of one snapshot without a transaction.
pub(crate) fn is_one_statement(needs: &Needs) -> bool {
    let Needs { ids, dots, notes } = needs;
    [ids.len(), dots.len(), notes.len()].iter().map(|keys| keys.div_ceil(longest(&LOOKUPS))).sum::<usize>()
        <= 1
}

/// The notes under these keys, in no order; a key given twice may be answered twice.
pub(crate) async fn notes<K: AsRef<str>>(connection: &mut SqliteConnection, keys: &[K]) -> Result<Vec<Note>> {
    let mut found = Vec::new();
    for chunk in keys.chunks(longest(&LOOKUPS)) {
        let sql = |list| format!("SELECT key, value FROM notes WHERE key IN ({list})");
        let rows = lookup(sql, "?", chunk, |query, key| query.bind(text(key.as_ref())));
        for row in rows.fetch_all(&mut *connection).await.map_err(engine)? {
            found.push(note(&row)?);
        }
    }
    Ok(found)
}

/// A note from a row with its key and value.
pub(crate) fn note(row: &SqliteRow) -> Result<Note> {
    Ok(Note { key: row.try_get(0).map_err(engine)?, value: row.try_get(1).map_err(engine)? })
}

/// Writes a plan for a log that ends here.
pub(crate) async fn write(connection: &mut SqliteConnection, head: Position, plan: &Plan) -> Result<()> {
    let mut next = head.cast_signed();
    for batch in batches(&plan.append) {
        let sql = format!(
            "INSERT INTO events ({COLUMNS}) VALUES {}",
            list("(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", batch.len())
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for row in batch {
            next += 1;
            query = bind(query.bind(next), row);
        }
        query.execute(&mut *connection).await.map_err(engine)?;
    }
    for (position, event) in &plan.restamp {
        let (origin, counter, time) = stamp(event);
        let sql =
            "UPDATE events SET origin = ?, counter = ?, time = ?, clock = ?, data = ? WHERE position = ?";
        let query = sqlx::query(sql).bind(origin).bind(counter).bind(time).bind(clock(event));
        let query = bind_data(query, &event.data).bind(position.cast_signed());
        query.execute(&mut *connection).await.map_err(engine)?;
    }
    put(connection, &plan.put).await?;
    for chunk in plan.delete.chunks(longest(&LOOKUPS)) {
        let sql = |list| format!("DELETE FROM notes WHERE key IN ({list})");
        let query = lookup(sql, "?", chunk, |query, key| query.bind(key.clone()));
        query.execute(&mut *connection).await.map_err(engine)?;
    }
    Ok(())
}

/// Puts notes; of two under one key the later stays.
pub(crate) async fn put(connection: &mut SqliteConnection, notes: &[Note]) -> Result<()> {
    let mut rest = notes;
    while let Some(last) = rest.last() {
        // A few are one statement, filled up with repetitions of the last, which put the same again.
        let length = match rest.len() {
            ONE_PUT.. => BATCHES.into_iter().find(|length| *length <= rest.len()),
            few => BATCHES.into_iter().rfind(|length| *length >= few),
        };
        let length = length.unwrap_or(1);
        let (batch, after) = rest.split_at(length.min(rest.len()));
        rest = after;
        let rows = list("(?, ?)", length);
        let sql = format!(
            "INSERT INTO notes (key, value) VALUES {rows} ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        );
        let filled = batch.iter().chain(std::iter::repeat(last)).take(length);
        let query = filled.fold(sqlx::query(AssertSqlSafe(sql)), |query, note| {
            query.bind(note.key.clone()).bind(note.value.clone())
        });
        query.execute(&mut *connection).await.map_err(engine)?;
    }
    Ok(())
}

/// An event from a row with all [`COLUMNS`].
pub(crate) fn stored(row: &SqliteRow) -> Result<StoredEvent> {
    let position: i64 = row.try_get(0).map_err(engine)?;
    let (event, source) = event(row).map_err(|error| {
        Error::corrupt("an event of the log cannot be read").with("position", position).with_source(error)
    })?;
    Ok(StoredEvent { position: position.cast_unsigned(), source, event })
}

type Unreadable = Box<dyn StdError + Send + Sync>;

fn event(row: &SqliteRow) -> Result<(Event, Option<StoreId>), Unreadable> {
    let dot = match (row.try_get::<Option<&str>, _>(4)?, row.try_get::<Option<i64>, _>(5)?) {
        (Some(origin), Some(counter)) => Some(Dot::new(NodeId::new(origin)?, u64::try_from(counter)?)),
        (None, None) => None,
        _ => return Err("half a dot".into()),
    };
    let source = row.try_get::<Option<&[u8]>, _>(7)?.map(<[u8; 16]>::try_from).transpose()?;
    let mut clock: &[u8] = row.try_get(8)?;
    let event = Event {
        id: EventId::new(row.try_get::<&str, _>(1)?)?,
        event_type: EventType::new(row.try_get::<&str, _>(2)?)?,
        aggregate_id: AggregateId::new(row.try_get::<&str, _>(3)?)?,
        data: data(row)?,
        metadata: Metadata::stored_json(row.try_get::<&str, _>(9)?),
        dot,
        clock: VectorClock::decode(&mut clock)?,
        time: Timestamp::from_bits(row.try_get::<i64, _>(6)?.cast_unsigned()),
    };
    if !clock.is_empty() {
        return Err("bytes after the clock".into());
    }
    Ok((event, source.map(StoreId::from_bytes)))
}

fn data(row: &SqliteRow) -> Result<Data, Unreadable> {
    match row.try_get_raw(10)?.type_info().name() {
        "TEXT" => Ok(Data::stored_json(row.try_get::<&str, _>(10)?)),
        "BLOB" => Ok(Data::bytes(row.try_get::<&[u8], _>(10)?)),
        other => Err(format!("data of type {other}").into()),
    }
}

fn named(row: &SqliteRow) -> Result<(Dot, EventId), Unreadable> {
    let counter = u64::try_from(row.try_get::<i64, _>(1)?)?;
    let node = NodeId::new(row.try_get::<&str, _>(0)?)?;
    Ok((Dot::new(node, counter), EventId::new(row.try_get::<&str, _>(2)?)?))
}

fn bind(query: Statement, row: &NewRow) -> Statement {
    let NewRow { event, source } = row;
    let (origin, counter, time) = stamp(event);
    let query = query
        .bind(text(event.id.as_str()))
        .bind(text(event.event_type.as_str()))
        .bind(text(event.aggregate_id.as_str()))
        .bind(origin)
        .bind(counter)
        .bind(time)
        .bind(source.map(|source| source.as_bytes().to_vec()))
        .bind(clock(event))
        .bind(event.metadata.shared_json());
    bind_data(query, &event.data)
}

fn bind_data(query: Statement, data: &Data) -> Statement {
    match data.shared_json() {
        Some(json) => query.bind(json),
        None => query.bind(data.as_bytes().to_vec()),
    }
}

/// A text as the driver's thread takes it: in one piece of memory, where a `String` would be two.
fn text(text: &str) -> Arc<str> {
    Arc::from(text)
}

fn stamp(event: &Event) -> (Option<Arc<str>>, Option<i64>, i64) {
    let origin = event.dot.as_ref().map(|dot| text(dot.node.as_str()));
    let counter = event.dot.as_ref().map(|dot| dot.counter.cast_signed());
    (origin, counter, event.time.to_bits().cast_signed())
}

fn clock(event: &Event) -> Vec<u8> {
    let mut bytes = Vec::new();
    event.clock.encode(&mut bytes);
    bytes
}

/// A statement over a list of keys, none of which may be missing: one chunk of at most the longest look-up.
fn lookup<T>(
    sql: impl Fn(String) -> String,
    place: &str,
    keys: &[T],
    bind: impl Fn(Statement, &T) -> Statement,
) -> Statement {
    let length = LOOKUPS.into_iter().find(|length| *length >= keys.len()).unwrap_or(keys.len());
    let query = sqlx::query(AssertSqlSafe(sql(list(place, length))));
    keys.iter().chain(std::iter::repeat(&keys[keys.len() - 1])).take(length).fold(query, bind)
}

/// The items in batches of the lengths of [`BATCHES`], the longest first.
fn batches<T>(mut items: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let length = BATCHES.into_iter().find(|length| *length <= items.len())?;
        let (batch, rest) = items.split_at(length);
        items = rest;
        Some(batch)
    })
}

fn list(place: &str, length: usize) -> String {
    vec![place; length].join(", ")
}

const fn longest(lengths: &[usize]) -> usize {
    lengths[lengths.len() - 1]
}
