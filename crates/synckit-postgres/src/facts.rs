//! Reading facts: whatever a plan needs, in one statement, so that all of it is of one moment.

use std::collections::HashMap;
use std::pin::pin;

use futures_util::TryStreamExt;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use synckit_core::{
    AggregateId, Dot, Error, EventId, Facts, Held, LogHead, Mark, Needs, Note, Position, Result,
};
use synckit_store::{dot_key, note_keys, row};

use crate::error::{engine, gone};

/// Where an index is looked into with many keys, they come as one array: a join with them would be planned as if the log
/// were short. Rows come one at a time, and of the events held only the digests are kept.
const ASK: &str = "
SELECT 0::smallint AS kind, l.fence AS number, n.value AS key, NULL::bytea AS payload
    FROM synckit.logs AS l LEFT JOIN synckit.notes AS n ON n.log = l.log AND n.key = $2 WHERE l.log = $1
UNION ALL
SELECT 1::smallint, l.head, NULL::bytea, substring(e.row FOR 30)
    FROM synckit.logs AS l LEFT JOIN synckit.events AS e ON e.log = l.log AND e.position = l.head WHERE l.log = $1
UNION ALL
SELECT 2::smallint, 0::bigint, n.key, n.value FROM synckit.notes AS n WHERE n.log = $1 AND n.key = ANY($3)
UNION ALL
SELECT 2::smallint, 0::bigint, n.key, n.value
    FROM unnest($4::bytea[], $5::bytea[]) AS range(low, high)
    CROSS JOIN LATERAL (SELECT key, value FROM synckit.notes
        WHERE log = $1 AND key >= low AND key < high ORDER BY key) AS n
UNION ALL
SELECT 3::smallint, e.position, e.id, e.row FROM synckit.events AS e WHERE e.log = $1 AND e.id = ANY($6)
UNION ALL
SELECT 4::smallint, 0::bigint, e.dot, e.id FROM synckit.events AS e WHERE e.log = $1 AND e.dot = ANY($7)
UNION ALL
SELECT 5::smallint, e.position, NULL::bytea, substring(e.row FOR 30)
    FROM synckit.events AS e WHERE e.log = $1 AND e.position = ANY($8)
UNION ALL
SELECT 6::smallint, e.position, e.aggregate, e.row FROM synckit.events AS e
    WHERE e.log = $1 AND e.aggregate = ANY($9)";

/// Facts, and the fence of the log at that moment.
pub(crate) struct Asked {
    pub(crate) facts: Facts,
    pub(crate) fence: i64,
}

/// Asks for facts.
pub(crate) async fn ask(connection: &mut PgConnection, log: i32, needs: &Needs) -> Result<Asked> {
    let ranges = needs.under.iter().map(|prefix| note_keys(prefix, ""));
    let (low, high): (Vec<_>, Vec<_>) = ranges.map(|range| (range.start, range.end)).unzip();
    let mut reading = Reading::of(needs);
    let rows = sqlx::query(ASK)
        .bind(log)
        .bind(Note::STORE.as_bytes())
        .bind(needs.notes.iter().map(String::as_bytes).collect::<Vec<_>>())
        .bind(low)
        .bind(high)
        .bind(needs.ids.iter().map(EventId::as_bytes).collect::<Vec<_>>())
        .bind(reading.dots.keys().map(Vec::as_slice).collect::<Vec<_>>())
        // None beyond the range can be in the table.
        .bind(needs.places.iter().filter_map(|position| i64::try_from(*position).ok()).collect::<Vec<_>>())
        .bind(needs.histories.iter().map(AggregateId::as_bytes).collect::<Vec<_>>())
        .fetch(connection);
    let mut rows = pin!(rows);
    while let Some(row) = rows.try_next().await.map_err(engine)? {
        reading.take(&row)?;
    }
    reading.finish()
}

/// What was read so far.
struct Reading {
    facts: Facts,
    dots: HashMap<Vec<u8>, Dot>,
    fence: Option<i64>,
}

impl Reading {
    fn of(needs: &Needs) -> Self {
        let head = LogHead { store: synckit_core::StoreId::from_bytes([0; 16]), position: 0, mark: None };
        let mut facts = Facts::at(head);
        facts.histories.extend(needs.histories.iter().map(|aggregate| (aggregate.clone(), Vec::new())));
        facts.notes.reserve(needs.notes.len());
        let dots = needs.dots.iter().map(|dot| (dot_key(dot), dot.clone())).collect();
        Reading { facts, dots, fence: None }
    }

    fn take(&mut self, row: &PgRow) -> Result<()> {
        let (kind, number): (i16, i64) = (row.try_get(0).map_err(engine)?, row.try_get(1).map_err(engine)?);
        let bytes = |column: usize| row.try_get::<Option<&[u8]>, _>(column).map_err(engine);
        let (key, payload) = (bytes(2)?, bytes(3)?);
        let position = number.cast_unsigned();
        match kind {
            0 => {
                self.fence = Some(number);
                self.facts.head.store = Note::read_store_id(key)?;
            }
            1 => {
                self.facts.head.position = position;
                self.facts.head.mark = mark(position, payload);
            }
            5 => self.facts.places.extend(mark(position, payload).map(|mark| (position, mark))),
            _ => self.found(kind, position, key.unwrap_or_default(), payload.unwrap_or_default())?,
        }
        Ok(())
    }

    fn found(&mut self, kind: i16, position: Position, key: &[u8], payload: &[u8]) -> Result<()> {
        match kind {
            2 => {
                self.facts.notes.insert(text(key)?.to_owned(), payload.to_vec());
            }
            3 => {
                let id: EventId = text(key)?.parse()?;
                match row::decode(position, payload) {
                    Ok(stored) => drop(self.facts.held.insert(id, Held::of(position, &stored.event))),
                    Err(_) => drop(self.facts.damaged.insert(id, position)),
                }
            }
            4 => {
                let id: EventId = text(payload)?.parse()?;
                self.facts.dots.extend(self.dots.get(key).map(|dot| (dot.clone(), id)));
            }
            _ => {
                let history = self.facts.histories.entry(text(key)?.parse()?).or_default();
                history.extend(row::decode(position, payload).ok());
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Asked> {
        for history in self.facts.histories.values_mut() {
            history.sort_by_key(|stored| stored.position);
        }
        Ok(Asked { facts: self.facts, fence: self.fence.ok_or_else(gone)? })
    }
}

/// The mark in the first bytes of a row, if they can be read.
pub(crate) fn mark(position: Position, row: Option<&[u8]>) -> Option<Mark> {
    Some(row::beside(position, row?).ok()?.mark)
}

/// A key as text.
pub(crate) fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes)
        .map_err(|error| Error::corrupt("a stored name cannot be read").with_source(error))
}
