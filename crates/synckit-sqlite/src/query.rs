//! Reading: pages of the log, and the notebook.

use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use synckit_core::notes::Note;
use synckit_core::{Needs, NoteQuery, Page, Query, Result};

use crate::error::engine;
use crate::row;

/// How many events a read with `except_source` looks at before it answers, so that a long stretch of the log
/// from that source costs several short reads and not a long one.
const SCAN: u64 = 10_000;
/// Reads a page of the log.
pub(crate) async fn read(connection: &mut SqliteConnection, query: Query) -> Result<Page> {
    let after = query.after;
    // The head is read first and the page in one statement up to it: nothing at or below the head is missed.
    let head = row::head(connection).await?.position.max(after);
    let mut page = Page { events: Vec::new(), scanned_to: after, more: after < head };
    if !page.more || query.max_events == 0 {
        return Ok(page);
    }
    let (aggregate, source) = (query.aggregate.as_ref(), query.except_source);
    let end = match (aggregate, source) {
        (_, None) => head,
        (None, Some(_)) => head.min(after.saturating_add(SCAN)),
        (Some(aggregate), Some(_)) => {
            let sql = "SELECT position FROM events INDEXED BY events_aggregate
                       WHERE aggregate = ? AND position > ? AND position <= ?
                       ORDER BY position LIMIT 1 OFFSET ?";
            let last = sqlx::query_scalar::<_, i64>(sql)
                .bind(aggregate.as_str().to_owned())
                .bind(signed(after))
                .bind(signed(head))
                .bind(signed(SCAN - 1));
            last.fetch_optional(&mut *connection).await.map_err(engine)?.map_or(head, i64::cast_unsigned)
        }
    };
    let index = if aggregate.is_some() { "INDEXED BY events_aggregate" } else { "NOT INDEXED" };
    let mut sql = format!("SELECT {} FROM events {index} WHERE position > ? AND position <= ?", row::COLUMNS);
    sql.push_str(if aggregate.is_some() { " AND aggregate = ?" } else { "" });
    sql.push_str(if source.is_some() { " AND source IS NOT ?" } else { "" });
    sql.push_str(" ORDER BY position LIMIT ?");
    let mut select = sqlx::query(AssertSqlSafe(sql)).bind(signed(after)).bind(signed(end));
    if let Some(aggregate) = aggregate {
        select = select.bind(aggregate.as_str().to_owned());
    }
    if let Some(source) = source {
        select = select.bind(source.as_bytes().to_vec());
    }
    let limit = u64::try_from(query.max_events).unwrap_or(u64::MAX);
    let mut rows = select.bind(signed(limit)).fetch(connection);
    let mut bytes = 0_usize;
    let mut full = false;
    while let Some(row) = rows.try_next().await.map_err(engine)? {
        let stored = row::stored(&row)?;
        bytes = bytes.saturating_add(stored.event.size());
        if bytes > query.max_bytes && !page.events.is_empty() {
            full = true;
            break;
        }
        page.events.push(stored);
    }
    page.scanned_to = match page.events.last() {
        Some(last) if full || page.events.len() == query.max_events => last.position,
        _ => end,
    };
    page.more = page.scanned_to < head;
    Ok(page)
}

/// Reads the notebook.
pub(crate) async fn notes(connection: &mut SqliteConnection, query: NoteQuery) -> Result<Vec<Note>> {
    match query {
        NoteQuery::Keys(mut keys) => {
            keys.sort_unstable();
            keys.dedup();
            let needs = Needs { notes: keys, ..Needs::default() };
            let mut notes = if row::is_one_statement(&needs) {
                row::notes(connection, &needs.notes).await?
            } else {
                let mut transaction = connection.begin().await.map_err(engine)?;
                let notes = row::notes(&mut transaction, &needs.notes).await?;
                transaction.rollback().await.map_err(engine)?;
                notes
            };
            notes.sort_unstable_by(|left, right| left.key.cmp(&right.key));
            notes.dedup_by(|left, right| left.key == right.key);
            Ok(notes)
        }
        NoteQuery::Prefix { prefix, after, limit } => {
            let end = after_prefix(&prefix);
            let (begins, start) =
                if after.is_empty() || after < prefix { (">=", prefix) } else { (">", after) };
            let sql =
                format!("SELECT key, value FROM notes WHERE key {begins} ? AND key < ? ORDER BY key LIMIT ?");
            let select = sqlx::query(AssertSqlSafe(sql)).bind(start);
            // Every BLOB is greater than every TEXT: no bound at all.
            let select = match end {
                Some(end) => select.bind(end),
                None => select.bind(Vec::new()),
            };
            let limit = signed(u64::try_from(limit).unwrap_or(u64::MAX));
            let rows = select.bind(limit).fetch_all(connection).await.map_err(engine)?;
            rows.iter().map(row::note).collect()
        }
    }
}

/// The least text greater than every text that begins so; `None` when there is none.
///
/// UTF-8 sorts by code point, so the last character that has a successor is replaced by it.
fn after_prefix(prefix: &str) -> Option<String> {
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
