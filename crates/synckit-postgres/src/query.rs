//! Reading: pages of the log, and the notebook.

use sqlx::{PgConnection, Row};
use synckit_core::{AggregateId, Error, LogHead, Note, NoteQuery, Page, Position, Query, Result};
use synckit_store::{PageBuilder, note_keys, row};

use crate::error::{engine, gone};
use crate::facts::{mark, text};

/// The most events and bytes of one page: the server puts a page together in its memory.
const MOST_EVENTS: i64 = 10_000;
const MOST_BYTES: i64 = 64 << 20;

/// A page: one statement, one row, one moment. `$3` is how far it looks, and `$5` and `$6` how much it takes; the first
/// event that is too much comes too.
macro_rules! page {
    ($found:literal) => {
        concat!(
            "SELECT l.head,
                (SELECT value FROM synckit.notes WHERE log = l.log AND key = $7),
                (SELECT substring(row FOR 30) FROM synckit.events WHERE log = l.log AND position = $2),
                (SELECT substring(row FOR 30) FROM synckit.events
                    WHERE log = l.log AND position = least(l.head, $3)),
                (SELECT string_agg(int8send(position) || int4send(octet_length(row)) || row, ''::bytea) FROM
                    (SELECT position, row, sum(size) OVER (ORDER BY position) - size AS before FROM (",
            $found,
            ") AS found) AS summed WHERE before <= $6)
            FROM synckit.logs AS l WHERE l.log = $1"
        )
    };
}

const ALL: &str = page!(
    "SELECT position, row, size FROM synckit.events
         WHERE log = $1 AND position > $2 AND position <= $3 AND ($4::bytea IS NULL OR source IS DISTINCT FROM $4)
         ORDER BY position LIMIT $5"
);

/// Each aggregate is looked for by itself, in log order, which its index gives.
const OF_AGGREGATES: &str = page!(
    "SELECT one.position, one.row, one.size FROM unnest($8::bytea[]) AS wanted(aggregate)
         CROSS JOIN LATERAL (SELECT e.position, e.row, e.size FROM synckit.events AS e
             WHERE e.log = $1 AND e.aggregate = wanted.aggregate AND e.position > $2 AND e.position <= $3
                 AND ($4::bytea IS NULL OR e.source IS DISTINCT FROM $4)
             ORDER BY e.position LIMIT $5) AS one
         ORDER BY one.position LIMIT $5"
);

/// Reads a page of the log.
pub(crate) async fn read(connection: &mut PgConnection, log: i32, query: &Query) -> Result<Page> {
    let reach = match (&query.aggregates, query.except_source) {
        (None, Some(_)) => signed(query.after).saturating_add(PageBuilder::SCAN as i64),
        _ => i64::MAX,
    };
    let most = i64::try_from(query.max_events).unwrap_or(i64::MAX).min(MOST_EVENTS);
    let bytes = i64::try_from(query.max_bytes).unwrap_or(i64::MAX).min(MOST_BYTES);
    let select = sqlx::query(if query.aggregates.is_some() { OF_AGGREGATES } else { ALL })
        .bind(log)
        .bind(signed(query.after))
        .bind(reach)
        .bind(query.except_source.map(|source| source.as_bytes().to_vec()))
        .bind(most)
        .bind(bytes)
        .bind(Note::STORE.as_bytes());
    let select = match &query.aggregates {
        None => select,
        Some(aggregates) => {
            let mut aggregates: Vec<_> = aggregates.iter().map(AggregateId::as_bytes).collect();
            aggregates.sort_unstable();
            aggregates.dedup();
            select.bind(aggregates)
        }
    };
    let found = select.fetch_optional(connection).await.map_err(engine)?.ok_or_else(gone)?;
    let bytes_at = |column: usize| found.try_get::<Option<&[u8]>, _>(column).map_err(engine);
    let last: i64 = found.try_get(0).map_err(engine)?;
    let head =
        LogHead { store: Note::read_store_id(bytes_at(1)?)?, position: last.cast_unsigned(), mark: None };
    let from = mark(query.after, bytes_at(2)?);
    let upto = mark(last.min(reach).cast_unsigned(), bytes_at(3)?);
    let mut page = PageBuilder::new(query, head, from);
    let (mut taken, mut size, mut rest) = (0, 0, bytes_at(4)?.unwrap_or_default());
    while let Some((position, row)) = next(&mut rest)? {
        let has_room = page.take(position, |_| {
            let stored = row::decode(position, row)?;
            size += stored.event.size();
            Ok(Some(stored))
        })?;
        taken += 1;
        if !has_room {
            break;
        }
    }
    // What the limits of a statement cut off is left for the next page.
    if taken < most && i64::try_from(size).unwrap_or(i64::MAX) <= bytes {
        page.looked_up_to(reach.cast_unsigned());
    }
    page.finish(|_| Ok(upto))
}

/// Takes the next row of those that were put together.
fn next<'r>(rest: &mut &'r [u8]) -> Result<Option<(Position, &'r [u8])>> {
    if rest.is_empty() {
        return Ok(None);
    }
    let cut_off = || Error::corrupt("the rows of a page are cut off");
    let (position, after) = rest.split_first_chunk().ok_or_else(cut_off)?;
    let (length, after) = after.split_first_chunk().ok_or_else(cut_off)?;
    let (row, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or_else(cut_off)?;
    *rest = after;
    Ok(Some((Position::from_be_bytes(*position), row)))
}

/// Reads the notebook.
pub(crate) async fn notes(connection: &mut PgConnection, log: i32, query: &NoteQuery) -> Result<Vec<Note>> {
    let rows = match query {
        NoteQuery::Keys(keys) => {
            let sql = "SELECT key, value FROM synckit.notes WHERE log = $1 AND key = ANY($2) ORDER BY key";
            let keys: Vec<_> = keys.iter().map(String::as_bytes).collect();
            sqlx::query(sql).bind(log).bind(keys).fetch_all(connection).await
        }
        NoteQuery::Prefix { prefix, after, limit } => {
            let sql = "SELECT key, value FROM synckit.notes WHERE log = $1 AND key >= $2 AND key < $3
                       ORDER BY key LIMIT $4";
            let range = note_keys(prefix, after);
            let limit = i64::try_from(*limit).unwrap_or(i64::MAX);
            let select = sqlx::query(sql).bind(log).bind(range.start).bind(range.end).bind(limit);
            select.fetch_all(connection).await
        }
    };
    let note = |row: sqlx::postgres::PgRow| {
        let key = text(row.try_get(0).map_err(engine)?)?.to_owned();
        Ok(Note { key, value: row.try_get(1).map_err(engine)? })
    };
    rows.map_err(engine)?.into_iter().map(note).collect()
}

/// A position as PostgreSQL has it. None beyond the range can be in the table.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
