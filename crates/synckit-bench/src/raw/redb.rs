//! redb by itself: the tables of the store, one durable transaction per page.

use std::path::Path;

use redb::{Database, ReadableDatabase, TableDefinition};

use crate::measure::{Measured, Sample, Scale};
use crate::raw::protobuf::{Dot, Page, Plain};
use crate::sample::{PAGE, events};

const EVENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("events");
const IDS: TableDefinition<'_, &str, u64> = TableDefinition::new("ids");
const DOTS: TableDefinition<'_, (&str, u64), u64> = TableDefinition::new("dots");
const AGGREGATES: TableDefinition<'_, (&str, u64), ()> = TableDefinition::new("aggregates");

/// The number of fields in a row.
const FIELDS: usize = 7;

/// Returns a row of about the size of the store's rows: each field after its length.
fn row(event: &Plain, dot: &Dot) -> Vec<u8> {
    let mut clock = Vec::new();
    for entry in &event.clock {
        clock.extend_from_slice(&entry.counter.to_be_bytes());
        clock.push(entry.node.len() as u8);
        clock.extend_from_slice(entry.node.as_bytes());
    }
    // The time, the author's counter and its place in the clock, and where the event came from.
    let mut head = [7; 26];
    let author = event.clock.iter().position(|entry| entry.node == dot.node).unwrap_or_default();
    head[..8].copy_from_slice(&event.time.to_be_bytes());
    head[8..16].copy_from_slice(&dot.counter.to_be_bytes());
    head[16] = author as u8;
    let fields: [&[u8]; FIELDS] = [
        &head,
        event.id.as_bytes(),
        event.event_type.as_bytes(),
        event.aggregate_id.as_bytes(),
        &clock,
        event.metadata.as_bytes(),
        event.data.as_bytes(),
    ];
    let mut row = Vec::with_capacity(fields.iter().map(|field| field.len() + 4).sum());
    for field in fields {
        row.extend_from_slice(&(field.len() as u32).to_be_bytes());
        row.extend_from_slice(field);
    }
    row
}

/// Iterates over the fields of a row.
fn fields(mut row: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = row.split_first_chunk()?;
        let (field, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        row = rest;
        Some(field)
    })
}

/// Returns the fields of a row as owned values.
fn owned(row: &[u8]) -> Vec<Vec<u8>> {
    let mut owned = Vec::with_capacity(FIELDS);
    owned.extend(fields(row).map(<[u8]>::to_vec));
    owned
}

/// Returns the event that a row was made of.
fn plain(row: &[u8]) -> Measured<Plain> {
    let mut fields = fields(row);
    let mut field = || fields.next().ok_or("a row with too few fields");
    let head = field()?;
    let (time, head) = head.split_first_chunk().ok_or("a row without a time")?;
    let (counter, head) = head.split_first_chunk().ok_or("a row without a counter")?;
    let text = |bytes: &[u8]| Measured::Ok(str::from_utf8(bytes)?.to_owned());
    let (id, event_type, aggregate_id) = (text(field()?)?, text(field()?)?, text(field()?)?);
    let (mut rest, mut clock) = (field()?, Vec::new());
    while let Some((counter, [length, tail @ ..])) = rest.split_first_chunk() {
        let (node, tail) = tail.split_at(usize::from(*length));
        clock.push(Dot { node: text(node)?, counter: u64::from_be_bytes(*counter) });
        rest = tail;
    }
    let author = clock.get(usize::from(head[0])).ok_or("a row without an author")?;
    Ok(Plain {
        id,
        event_type,
        aggregate_id,
        metadata: text(field()?)?,
        data: text(field()?)?,
        dot: Some(Dot { node: author.node.clone(), counter: u64::from_be_bytes(*counter) }),
        clock,
        time: u64::from_be_bytes(*time),
    })
}

/// Inserts events after this position, in one durable transaction.
pub(crate) fn insert(database: &Database, after: u64, page: &[Plain]) -> Measured<()> {
    let transaction = database.begin_write()?;
    {
        let mut rows = transaction.open_table(EVENTS)?;
        let mut ids = transaction.open_table(IDS)?;
        let mut dots = transaction.open_table(DOTS)?;
        let mut aggregates = transaction.open_table(AGGREGATES)?;
        for (event, position) in page.iter().zip(after + 1..) {
            let dot = event.dot.as_ref().ok_or("an event without a dot")?;
            rows.insert(position, row(event, dot).as_slice())?;
            ids.insert(event.id.as_str(), position)?;
            dots.insert((dot.node.as_str(), dot.counter), position)?;
            aggregates.insert((event.aggregate_id.as_str(), position), ())?;
        }
    }
    Ok(transaction.commit()?)
}

/// Reads one page of rows after this position, and the position of the last; returns `None` if there are no more.
fn read<T>(
    database: &Database,
    after: u64,
    event: impl Fn(&[u8]) -> Measured<T>,
) -> Measured<Option<(Vec<T>, u64)>> {
    let transaction = database.begin_read()?;
    let rows = transaction.open_table(EVENTS)?;
    let (mut page, mut last) = (Vec::with_capacity(PAGE), None);
    for row in rows.range(after + 1..)?.take(PAGE) {
        let (position, row) = row?;
        last = Some(position.value());
        page.push(event(row.value())?);
    }
    Ok(last.map(|last| (page, last)))
}

/// Reads one page of events after this position; returns `None` if there are no more.
pub(crate) fn read_plain(database: &Database, after: u64) -> Measured<Option<Page>> {
    let page = read(database, after, plain)?;
    Ok(page.map(|(events, next)| Page { events, next, more: true }))
}

/// Creates a database that holds this number of events.
pub(crate) fn filled(path: &Path, events: usize) -> Measured<Database> {
    let database = Database::create(path)?;
    for (page, after) in samples(events)?.chunks(PAGE).zip((0..).step_by(PAGE)) {
        insert(&database, after, page)?;
    }
    Ok(database)
}

fn samples(count: usize) -> Measured<Vec<Plain>> {
    events(count)?.iter().map(Plain::of).collect()
}

/// Inserts a number of events, with at most `page` of them in one transaction.
fn insert_by(events: usize, page: usize) -> Measured<Sample> {
    let directory = tempfile::tempdir()?;
    let database = Database::create(directory.path().join("raw.redb"))?;
    let events = samples(events)?;
    Sample::of(events.len(), || {
        for (page, after) in events.chunks(page).zip((0..).step_by(page)) {
            insert(&database, after, page)?;
        }
        Ok(())
    })
}

pub(crate) fn insert_pages(scale: Scale) -> Measured<Sample> {
    insert_by(scale.events, PAGE)
}

pub(crate) fn insert_singly(scale: Scale) -> Measured<Sample> {
    insert_by(scale.events / 100, 1)
}

pub(crate) fn read_pages(scale: Scale) -> Measured<Sample> {
    let directory = tempfile::tempdir()?;
    let database = filled(&directory.path().join("raw.redb"), scale.events)?;
    Sample::of(scale.events, || {
        let mut after = 0;
        while let Some((page, last)) = read(&database, after, |row| Ok(owned(row)))? {
            std::hint::black_box(page);
            after = last;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_as_it_was_written() {
        let directory = tempfile::tempdir().expect("a directory");
        let database = filled(&directory.path().join("raw.redb"), 1_500).expect("filled");
        let (first, rest) = (read_plain(&database, 0), read_plain(&database, PAGE as u64));
        let pages = [first, rest].map(|page| page.expect("reads").expect("a page").events);
        assert_eq!(pages.concat(), samples(1_500).expect("samples"));
        assert!(read_plain(&database, 1_500).expect("reads").is_none());
    }
}
