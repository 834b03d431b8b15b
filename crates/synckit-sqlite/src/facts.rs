//! What the store knows of what a plan needs: one statement, one row. Histories, asked for rarely, are read page by page.

use std::sync::LazyLock;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use synckit_core::{
    AggregateId, Dot, Error, EventId, Facts, Held, LogHead, Mark, Needs, NodeId, Note, Position, Query,
    Result, StoredEvent,
};

use crate::error::{damaged_row, engine, unreadable};
use crate::packed::{self, Fields, Named, Unreadable};
use crate::query::{self, after_prefix};

/// The largest event, in bytes, whose row comes with the facts. Larger ones are read one by one, so that what a page of
/// them takes in memory is bounded.
const SMALL: usize = 8 << 10;

/// How the facts are asked for.
#[derive(Clone, Copy)]
pub(crate) enum Begin {
    /// By one statement alone.
    Nothing,
    /// In a transaction that reads.
    Reading,
    /// In a transaction that writes.
    Writing,
}

static ALONE: LazyLock<String> = LazyLock::new(|| sql(""));
static READING: LazyLock<String> = LazyLock::new(|| sql("BEGIN; "));
static WRITING: LazyLock<String> = LazyLock::new(|| sql("BEGIN IMMEDIATE; "));

fn sql(begin: &str) -> String {
    let notes = packed::all("concat_ws(x'ff', place.key, octet_length(notes.value), notes.value)");
    let under = packed::all("concat_ws(x'ff', notes.key, octet_length(notes.value), notes.value)");
    let size = packed::EVENT_SIZE;
    let held = packed::all(&format!(
        "CASE WHEN {size} <= {SMALL} THEN concat_ws(x'ff', place.key, 'row', {}) \
         ELSE concat_ws(x'ff', place.key, 'position', events.position, '') END",
        packed::EVENT
    ));
    let dots = packed::all("concat_ws(x'ff', events.origin, events.counter, events.id, '')");
    let places = packed::all("concat_ws(x'ff', events.position, events.mark, '')");
    // An end that is absent is a BLOB, which is greater than every TEXT.
    format!(
        "{begin}SELECT (SELECT max(position) FROM events),
            (SELECT data_version FROM pragma_data_version),
            (SELECT value FROM notes WHERE key = ?1),
            (SELECT {notes} FROM json_each(?2) AS place CROSS JOIN notes ON notes.key = place.value),
            (SELECT {under} FROM json_each(?3) AS place
             CROSS JOIN notes ON notes.key >= place.key AND notes.key < ifnull(place.value, x'')),
            (SELECT {held} FROM json_each(CASE WHEN ?6 > (SELECT max(id) FROM events) THEN '[]' ELSE ?4 END) AS place
             CROSS JOIN events ON events.id = place.value),
            (SELECT {dots} FROM json_each(?5) AS place
             CROSS JOIN events INDEXED BY events_dot ON origin = place.key AND counter = place.value),
            (SELECT {places} FROM json_each(?7) AS place CROSS JOIN events ON events.position = place.value),
            (SELECT mark FROM events ORDER BY position DESC LIMIT 1)"
    )
}

/// The answer of one statement.
pub(crate) struct Asked {
    pub(crate) facts: Facts,
    /// The positions of events that are held but not small, and left out of the facts.
    pub(crate) large: Vec<(EventId, Position)>,
    /// What changes when another connection writes.
    pub(crate) version: i64,
}

/// Asks for facts; those of large events are read one by one and histories page by page, which in a transaction is of
/// the same moment.
pub(crate) async fn all(
    connection: &mut SqliteConnection,
    begin: Begin,
    needs: &Needs,
) -> Result<(Facts, i64)> {
    let Asked { mut facts, large, version } = match ask(connection, begin, needs).await {
        // The transaction has begun.
        Err(error) if damaged_row(&error).is_some() => one_by_one(connection, needs).await?,
        asked => asked?,
    };
    for (id, position) in large {
        match stored(connection, position).await {
            Ok(Some(stored)) => drop(facts.held.insert(id, Held::of(position, &stored.event))),
            Ok(None) => return Err(Error::corrupt("the log has a gap").with("position", position)),
            Err(error) if damaged_row(&error).is_some() => drop(facts.damaged.insert(id, position)),
            Err(error) => return Err(error),
        }
    }
    for aggregate in &needs.histories {
        facts.histories.insert(aggregate.clone(), history(connection, aggregate).await?);
    }
    Ok((facts, version))
}

/// Asks for the rows of events one by one, so that one that is damaged does not keep others from being read.
async fn one_by_one(connection: &mut SqliteConnection, needs: &Needs) -> Result<Asked> {
    let rest = Needs { ids: Vec::new(), ..needs.clone() };
    let mut asked = ask(connection, Begin::Nothing, &rest).await?;
    for id in &needs.ids {
        let one = Needs { ids: vec![id.clone()], ..Needs::default() };
        match ask(connection, Begin::Nothing, &one).await {
            Ok(found) => {
                asked.facts.held.extend(found.facts.held);
                asked.large.extend(found.large);
            }
            Err(error) => {
                let position = damaged_row(&error).ok_or(error)?;
                asked.facts.damaged.insert(id.clone(), position);
            }
        }
    }
    Ok(asked)
}

/// The event at a position, if there is one.
pub(crate) async fn stored(
    connection: &mut SqliteConnection,
    position: Position,
) -> Result<Option<StoredEvent>> {
    static SQL: LazyLock<String> =
        LazyLock::new(|| format!("SELECT CAST({} AS BLOB) FROM events WHERE position = ?", packed::EVENT));
    let query = sqlx::query(SQL.as_str()).bind(position.cast_signed());
    let Some(row) = query.fetch_optional(connection).await.map_err(engine)? else { return Ok(None) };
    let mut fields = Fields::new(row.try_get(0).map_err(engine)?);
    fields.stored().map(Some).map_err(|(named, error)| unreadable(named, error))
}

/// All events of an aggregate that can be read, in log order.
async fn history(connection: &mut SqliteConnection, aggregate: &AggregateId) -> Result<Vec<StoredEvent>> {
    let (mut events, mut after) = (Vec::new(), 0);
    loop {
        match query::read(connection, Query::after(after).of_aggregate(aggregate.clone())).await {
            Ok(page) => {
                events.extend(page.events);
                after = page.scanned_to;
                if !page.more {
                    return Ok(events);
                }
            }
            // A page begins with it.
            Err(error) => after = damaged_row(&error).ok_or(error)?,
        }
    }
}

/// Asks for facts, without histories.
pub(crate) async fn ask(connection: &mut SqliteConnection, begin: Begin, needs: &Needs) -> Result<Asked> {
    let sql = match begin {
        Begin::Nothing => &ALONE,
        Begin::Reading => &READING,
        Begin::Writing => &WRITING,
    };
    let ends: Vec<_> = needs.under.iter().map(|prefix| (prefix.as_str(), after_prefix(prefix))).collect();
    let dots: Vec<_> = needs.dots.iter().map(|dot| (dot.node.as_str(), dot.counter)).collect();
    let query = sqlx::query(sql.as_str())
        .bind(Note::STORE)
        .bind(packed::array(needs.notes.iter().map(String::as_str))?)
        .bind(packed::object(&ends)?)
        .bind(packed::array(needs.ids.iter().map(EventId::as_str))?)
        .bind(packed::object(&dots)?);
    // By their form most ids are in the order of time: a page of new ones is beyond all that are held.
    let query = query.bind(needs.ids.iter().min().map(|id| id.as_str().to_owned()));
    // None beyond the range can be in the table.
    let places = needs.places.iter().filter_map(|position| i64::try_from(*position).ok());
    let query = query.bind(packed::array(places)?);
    let rows = query.fetch_all(connection).await.map_err(engine)?;
    let row = rows.last().ok_or_else(|| Error::corrupt("the engine answered without a row"))?;
    let position: Option<i64> = row.try_get(0).map_err(engine)?;
    let version = row.try_get(1).map_err(engine)?;
    let store = Note::read_store_id(row.try_get(2).map_err(engine)?)?;
    let mark: Option<i64> = row.try_get(8).map_err(engine)?;
    let mark = mark.map(|mark| Mark(mark.cast_unsigned()));
    let mut facts = Facts::at(LogHead { store, position: position.unwrap_or(0).cast_unsigned(), mark });
    let mut large = Vec::new();
    read(row, needs, &mut facts, &mut large)?;
    Ok(Asked { facts, large, version })
}

fn read(
    row: &SqliteRow,
    needs: &Needs,
    facts: &mut Facts,
    large: &mut Vec<(EventId, Position)>,
) -> Result<()> {
    let column = |index: usize| -> Result<Fields<'_>> {
        Ok(Fields::new(row.try_get::<Option<&[u8]>, _>(index).map_err(engine)?.unwrap_or_default()))
    };
    let note = |error: Unreadable| Error::corrupt("a note cannot be read").with_source(error);
    let (mut named, mut under) = (column(3)?, column(4)?);
    facts.notes.reserve(needs.notes.len());
    while !named.is_empty() {
        let key = entry(&needs.notes, &mut named).map_err(note)?;
        facts.notes.insert(key, named.value().map_err(note)?.to_vec());
    }
    while !under.is_empty() {
        let key = under.text().map_err(note)?.to_owned();
        facts.notes.insert(key, under.value().map_err(note)?.to_vec());
    }
    let mut held = column(5)?;
    while !held.is_empty() {
        let asked = |error| unreadable(Named::default(), error);
        let id = entry(&needs.ids, &mut held).map_err(asked)?;
        match held.text().map_err(asked)? {
            "row" => {
                let stored = held.stored().map_err(|(named, error)| unreadable(named, error))?;
                facts.held.insert(id, Held::of(stored.position, &stored.event));
            }
            _ => large.push((id, held.number().map_err(asked)?)),
        }
    }
    let mut dots = column(6)?;
    let dot = |error: Unreadable| Error::corrupt("a dot cannot be read").with_source(error);
    while !dots.is_empty() {
        let node = NodeId::new(dots.text().map_err(dot)?)?;
        let counter = dots.number().map_err(dot)?;
        facts.dots.insert(Dot::new(node, counter), EventId::new(dots.text().map_err(dot)?)?);
    }
    let mut places = column(7)?;
    let place = |error: Unreadable| Error::corrupt("a mark cannot be read").with_source(error);
    while !places.is_empty() {
        let position = places.number().map_err(place)?;
        facts.places.insert(position, places.mark().map_err(place)?);
    }
    Ok(())
}

/// What was asked for at the place that comes next.
fn entry<T: Clone>(asked: &[T], fields: &mut Fields<'_>) -> Result<T, Unreadable> {
    let place: usize = fields.number()?;
    Ok(asked.get(place).ok_or("an answer to nothing that was asked")?.clone())
}
