//! SQLite by itself: the table and the indexes of the store, prepared statements, one transaction per page.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use synckit::Event;

use crate::measure::{Measured, Sample, Scale};
use crate::sample::{PAGE, events};

const SCHEMA: &str = "
CREATE TABLE events (
    position INTEGER PRIMARY KEY,
    mark INTEGER NOT NULL,
    id TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    aggregate TEXT NOT NULL,
    origin TEXT,
    counter INTEGER,
    time INTEGER NOT NULL,
    source BLOB,
    clock BLOB NOT NULL,
    metadata TEXT NOT NULL,
    data ANY NOT NULL
) STRICT;
CREATE UNIQUE INDEX events_dot ON events (origin, counter) WHERE origin IS NOT NULL;
CREATE INDEX events_aggregate ON events (position >> 14, aggregate);
";

const INSERT: &str = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
const SELECT: &str = "SELECT * FROM events WHERE position > ?1 ORDER BY position LIMIT ?2 + 0";

pub(crate) fn open(path: &Path) -> Measured<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -8000)?;
    connection.pragma_update(None, "wal_autocheckpoint", 8_000)?;
    connection.execute_batch(SCHEMA)?;
    Ok(connection)
}

/// Inserts events after this position, in one transaction.
pub(crate) fn insert(connection: &mut Connection, after: usize, page: &[Event]) -> Measured<()> {
    let transaction = connection.transaction()?;
    {
        let mut insert = transaction.prepare_cached(INSERT)?;
        let mut clock = Vec::new();
        for (at, event) in page.iter().enumerate() {
            clock.clear();
            event.clock.encode(&mut clock);
            let dot = event.dot.as_ref().ok_or("a sample without a dot")?;
            insert.execute(params![
                (after + at + 1) as i64,
                0x0123_4567_89ab_cdef_i64,
                event.id.as_str(),
                event.event_type.as_str(),
                event.aggregate_id.as_str(),
                dot.node.as_str(),
                dot.counter.cast_signed(),
                event.time.to_bits().cast_signed(),
                [7_u8; 16],
                clock,
                event.metadata.as_json(),
                event.data.as_json(),
            ])?;
        }
    }
    Ok(transaction.commit()?)
}

/// One row as owned values.
#[derive(Debug)]
#[allow(dead_code, reason = "the values are read, which is what is measured; nobody looks at them")]
struct Owned {
    position: i64,
    mark: i64,
    texts: [String; 4],
    dot: (String, i64),
    time: i64,
    blobs: [Vec<u8>; 2],
    metadata: String,
}

/// Reads one page into owned values, and returns the number of rows.
pub(crate) fn read(connection: &Connection, after: usize) -> Measured<usize> {
    let mut select = connection.prepare_cached(SELECT)?;
    let rows = select.query_map(params![after as i64, PAGE as i64], |row| {
        Ok(Owned {
            position: row.get(0)?,
            mark: row.get(1)?,
            texts: [row.get(2)?, row.get(3)?, row.get(4)?, row.get(11)?],
            dot: (row.get(5)?, row.get(6)?),
            time: row.get(7)?,
            blobs: [row.get(8)?, row.get(9)?],
            metadata: row.get(10)?,
        })
    })?;
    let page = rows.collect::<Result<Vec<_>, _>>()?;
    Ok(std::hint::black_box(page).len())
}

pub(crate) fn insert_pages(scale: Scale) -> Measured<Sample> {
    let directory = tempfile::tempdir()?;
    let events = events(scale.events)?;
    let mut connection = open(&directory.path().join("raw.db"))?;
    Sample::of(scale.events, || {
        for (at, page) in events.chunks(PAGE).enumerate() {
            insert(&mut connection, at * PAGE, page)?;
        }
        Ok(())
    })
}

pub(crate) fn insert_singly(scale: Scale) -> Measured<Sample> {
    let directory = tempfile::tempdir()?;
    let events = events(scale.events / 50)?;
    let mut connection = open(&directory.path().join("raw.db"))?;
    Sample::of(events.len(), || {
        for (at, event) in events.iter().enumerate() {
            insert(&mut connection, at, std::slice::from_ref(event))?;
        }
        Ok(())
    })
}

/// Single commits, one after the other.
pub(crate) struct Commits {
    connection: Connection,
    events: std::iter::Enumerate<std::vec::IntoIter<Event>>,
}

impl Commits {
    pub(crate) fn open(path: &Path) -> Measured<Commits> {
        Ok(Commits { connection: open(path)?, events: events(PAGE)?.into_iter().enumerate() })
    }

    /// Makes the next commit, and returns how long it takes.
    pub(crate) fn next(&mut self) -> Measured<Duration> {
        let (at, event) = self.events.next().ok_or("no more samples")?;
        let started = Instant::now();
        insert(&mut self.connection, at, std::slice::from_ref(&event))?;
        Ok(started.elapsed())
    }
}

pub(crate) fn read_pages(scale: Scale) -> Measured<Sample> {
    let directory = tempfile::tempdir()?;
    let mut connection = open(&directory.path().join("raw.db"))?;
    for (at, page) in events(scale.events)?.chunks(PAGE).enumerate() {
        insert(&mut connection, at * PAGE, page)?;
    }
    Sample::of(scale.events, || {
        let mut after = 0;
        while after < scale.events {
            after += read(&connection, after)?;
        }
        Ok(())
    })
}
