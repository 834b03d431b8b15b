//! Reading: pages of the log, and the notebook.

use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};
use synckit_core::{
    AggregateId, Error, LogHead, Mark, Needs, Note, NoteQuery, Page, Position, Query, Result,
};
use synckit_store::PageBuilder;

use crate::error::{engine, unreadable};
use crate::facts::{self, Begin};
use crate::packed::{self, Fields};

/// At most as many rows as the third parameter says. It stands in a sum, since for a parameter alone the engine prepares
/// the statement again whenever another value is bound.
const LIMIT: &str = "LIMIT ?3 + 0";

/// Reads a page of the log: one statement, one row, one snapshot.
pub(crate) async fn read(connection: &mut SqliteConnection, mut query: Query) -> Result<Page> {
    if let Some(aggregates) = &mut query.aggregates {
        aggregates.sort_unstable();
        aggregates.dedup();
    }
    loop {
        match read_once(connection, &query).await {
            // A page ends before an event that cannot be read.
            Err((readable, _)) if readable > 0 => query.max_events = readable,
            Err((_, error)) => return Err(error),
            Ok(page) => return Ok(page),
        }
    }
}

/// Reads a page; where an event of it cannot be read, also tells how many come before it.
async fn read_once(connection: &mut SqliteConnection, query: &Query) -> Result<Page, (usize, Error)> {
    let row = select(connection, query).await.map_err(|error| (0, error))?;
    page(&row, query)
}

async fn select(connection: &mut SqliteConnection, query: &Query) -> Result<SqliteRow> {
    let aggregates = &query.aggregates;
    let kind = Kind {
        aggregates: aggregates.as_ref().map(Vec::len),
        except_source: query.except_source.is_some(),
        any_number: query.max_events == usize::MAX,
    };
    let count = |number: usize| signed(u64::try_from(number).unwrap_or(u64::MAX));
    let select = sqlx::query(AssertSqlSafe(kind.sql()))
        .bind(Note::STORE)
        .bind(signed(query.after))
        .bind(count(query.max_events))
        .bind(count(query.max_bytes))
        .bind(query.except_source.map(|source| source.as_bytes().to_vec()))
        .bind(packed::array(aggregates.iter().flatten().map(AggregateId::as_str))?);
    select.fetch_one(connection).await.map_err(engine)
}

/// What a page is asked for, as far as it makes the statement another.
struct Kind {
    /// Of how many aggregates, if not of all.
    aggregates: Option<usize>,
    except_source: bool,
    /// Whether as many events may come as fit into the bytes.
    any_number: bool,
}

impl Kind {
    /// Writes the statement for a page.
    ///
    /// A page is limited in events and in bytes. How far it may go is found first, over the sizes of the rows,
    /// which takes no look at their data; the sum of all is cheaper than a running one, and most often it is enough.
    fn sql(&self) -> String {
        let Kind { aggregates, except_source, any_number } = *self;
        let scan = PageBuilder::SCAN;
        let after = match aggregates {
            None => "FROM events NOT INDEXED WHERE position > ?2".to_owned(),
            Some(_) => {
                "FROM stretches CROSS JOIN json_each(?6) AS one CROSS JOIN events INDEXED BY events_aggregate
                     ON position >> 14 = stretch AND aggregate = one.value WHERE position > ?2"
                    .to_owned()
            }
        };
        // Of one aggregate, rows come stretch by stretch and in each by position: in log order without being sorted.
        let order = if aggregates == Some(1) { "" } else { "ORDER BY position" };
        let first = if any_number { String::new() } else { format!("{order} {LIMIT}") };
        let end = match (aggregates, except_source) {
            (_, false) => "9223372036854775807".to_owned(),
            (None, true) => format!("min(?2, 9223372036854775807 - {scan}) + {scan}"),
            (Some(_), true) => {
                let last = format!("SELECT position {after} {order} LIMIT 1 OFFSET {}", scan - 1);
                format!("ifnull(({last}), 9223372036854775807)")
            }
        };
        let wanted = match except_source {
            true => format!("{after} AND source IS NOT ?5 AND position <= (SELECT place FROM reach)"),
            false => after,
        };
        // Rows that took a search each are found again by their positions.
        let (kept, chosen) = match aggregates {
        None => ("", format!("{wanted} AND position <= last")),
        Some(_) => (
            "MATERIALIZED",
            "FROM sizes CROSS JOIN events ON events.position = sizes.position WHERE sizes.position <= last"
                .to_owned(),
        ),
    };
        format!(
        "WITH RECURSIVE stretches (stretch) AS (
             SELECT ?2 >> 14 UNION ALL
             SELECT stretch + 1 FROM stretches WHERE stretch < (SELECT max(position) >> 14 FROM events)),
         reach (head, place) AS MATERIALIZED (SELECT (SELECT ifnull(max(position), 0) FROM events), {end}),
         sizes (position, size) AS {kept} (SELECT position, {size} {wanted} {first}),
         span (last, furthest) AS MATERIALIZED (
             SELECT CASE WHEN sum(size) <= ?4 THEN max(position) ELSE ifnull(
                 (SELECT max(position) FROM
                     (SELECT position, sum(size) OVER (ORDER BY position) AS upto FROM sizes) WHERE upto <= ?4),
                 min(position)) END, max(position)
             FROM sizes)
         SELECT (SELECT value FROM notes WHERE key = ?1), head, place,
             (SELECT mark FROM events WHERE position = ?2),
             (SELECT mark FROM events WHERE position = min(head, place)),
             last < furthest,
             (SELECT {all} {chosen}),
             (SELECT mark FROM events WHERE position = head)
         FROM reach, span",
        size = packed::EVENT_SIZE,
        all = packed::all(packed::EVENT),
    )
    }
}

fn page(row: &SqliteRow, query: &Query) -> Result<Page, (usize, Error)> {
    let ends = ends(row, query).map_err(|error| (0, error))?;
    let mut fields = Fields::new(ends.packed);
    let mut events = Vec::new();
    let mut page = PageBuilder::new(query, ends.head, ends.from);
    if page.has_room() {
        while !fields.is_empty() {
            let stored = fields.stored().map_err(|(named, error)| unreadable(named, error));
            events.push(stored.map_err(|error| (events.len(), error))?);
        }
    }
    // The engine promises no order in what it puts together.
    events.sort_by_key(|stored| stored.position);
    let taken =
        events.into_iter().try_for_each(|stored| match page.take(stored.position, |_| Ok(Some(stored))) {
            Ok(true) => Ok(()),
            Ok(false) => Err(None),
            Err(error) => Err(Some(error)),
        });
    if let Err(Some(error)) = taken {
        return Err((0, error));
    }
    if !ends.cut {
        page.looked_up_to(ends.place);
    }
    page.finish(|_| Ok(ends.upto)).map_err(|error| (0, error))
}

/// Where a page starts and may end, and its rows put together.
struct Ends<'r> {
    head: LogHead,
    from: Option<Mark>,
    /// The furthest position that was looked at, and the mark there or at the end of the log before it.
    place: Position,
    upto: Option<Mark>,
    /// Whether there are rows up to there that were left out.
    cut: bool,
    packed: &'r [u8],
}

fn ends<'r>(row: &'r SqliteRow, query: &Query) -> Result<Ends<'r>> {
    let store = Note::read_store_id(row.try_get(0).map_err(engine)?)?;
    let (head, place): (i64, i64) = (row.try_get(1).map_err(engine)?, row.try_get(2).map_err(engine)?);
    let mark = |column: usize| -> Result<Option<Mark>> {
        let mark: Option<i64> = row.try_get(column).map_err(engine)?;
        Ok(mark.map(|mark| Mark(mark.cast_unsigned())))
    };
    let cut: Option<bool> = row.try_get(5).map_err(engine)?;
    let packed: Option<&[u8]> = row.try_get(6).map_err(engine)?;
    let (head, place) = (head.cast_unsigned(), place.cast_unsigned());
    Ok(Ends {
        head: LogHead { store, position: head, mark: mark(7)? },
        from: mark(3)?,
        place: place.min(head.max(query.after)),
        upto: mark(4)?,
        cut: cut == Some(true),
        packed: packed.unwrap_or_default(),
    })
}

/// Reads the notebook.
pub(crate) async fn notes(connection: &mut SqliteConnection, query: NoteQuery) -> Result<Vec<Note>> {
    let mut notes = match query {
        NoteQuery::Keys(keys) => {
            let needs = Needs { notes: keys, ..Needs::default() };
            let asked = facts::ask(connection, Begin::Nothing, &needs).await?;
            asked.facts.notes.into_iter().map(|(key, value)| Note { key, value }).collect()
        }
        NoteQuery::Prefix { prefix, after, limit } => under(connection, prefix, after, limit).await?,
    };
    notes.sort_unstable_by(|left, right| left.key.cmp(&right.key));
    Ok(notes)
}

async fn under(
    connection: &mut SqliteConnection,
    prefix: String,
    after: String,
    limit: usize,
) -> Result<Vec<Note>> {
    let end = after_prefix(&prefix);
    let (begins, start) = if after.is_empty() || after < prefix { (">=", prefix) } else { (">", after) };
    let sql = format!(
        "SELECT {} FROM
             (SELECT key, value FROM notes WHERE key {begins} ?1 AND key < ?2 ORDER BY key {LIMIT})",
        packed::all("concat_ws(x'ff', key, octet_length(value), value)")
    );
    let select = sqlx::query(AssertSqlSafe(sql)).bind(start);
    // Every BLOB is greater than every TEXT: no bound at all.
    let select = match end {
        Some(end) => select.bind(end),
        None => select.bind(Vec::new()),
    };
    let limit = signed(u64::try_from(limit).unwrap_or(u64::MAX));
    let row = select.bind(limit).fetch_one(connection).await.map_err(engine)?;
    let packed: Option<&[u8]> = row.try_get(0).map_err(engine)?;
    let unreadable = |error| Error::corrupt("a note cannot be read").with_source(error);
    let mut fields = Fields::new(packed.unwrap_or_default());
    let mut notes = Vec::new();
    while !fields.is_empty() {
        let key = fields.text().map_err(unreadable)?.to_owned();
        notes.push(Note { key, value: fields.value().map_err(unreadable)?.to_vec() });
    }
    Ok(notes)
}

/// Returns the least text greater than every text with this prefix; `None` when there is none.
///
/// UTF-8 sorts by code point, so the last character that has a successor is replaced by it.
pub(crate) fn after_prefix(prefix: &str) -> Option<String> {
    let mut end = prefix.to_owned();
    while let Some(last) = end.pop() {
        if let Some(next) = (last..=char::MAX).nth(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

/// A position or a limit as SQLite has it. None beyond the range can be in the table.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_next_text() {
        assert_eq!(after_prefix("peer/").as_deref(), Some("peer0"));
        assert_eq!(after_prefix("a\u{7f}").as_deref(), Some("a\u{80}"));
        assert_eq!(after_prefix("a\u{d7ff}").as_deref(), Some("a\u{e000}"));
        assert_eq!(after_prefix("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(after_prefix("\u{10ffff}"), None);
        assert_eq!(after_prefix(""), None);
    }
}
