//! redb by itself: the tables of the store, one durable transaction a page.

use redb::{Database, ReadableDatabase, TableDefinition};
use synckit::Event;

use crate::measure::{Measured, Sample, Scale};
use crate::sample::{PAGE, events};

const EVENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("events");
const IDS: TableDefinition<'_, &str, u64> = TableDefinition::new("ids");
const DOTS: TableDefinition<'_, (&str, u64), u64> = TableDefinition::new("dots");
const AGGREGATES: TableDefinition<'_, (&str, u64), ()> = TableDefinition::new("aggregates");

/// A row of about the size that the store's has: seven fields, each with its length before it.
fn row(event: &Event) -> Vec<u8> {
    let mut clock = Vec::new();
    event.clock.encode(&mut clock);
    let fields = [
        &[7; 26],
        event.id.as_str().as_bytes(),
        event.event_type.as_str().as_bytes(),
        event.aggregate_id.as_str().as_bytes(),
        &clock,
        event.metadata.as_json().as_bytes(),
        event.data.as_bytes(),
    ];
    let mut row = Vec::with_capacity(event.size() + 64);
    for field in fields {
        row.extend_from_slice(&(field.len() as u32).to_be_bytes());
        row.extend_from_slice(field);
    }
    row
}

/// The fields of a row, owned.
fn owned(mut row: &[u8]) -> Vec<Vec<u8>> {
    let mut fields = Vec::with_capacity(7);
    while let Some((length, rest)) = row.split_first_chunk() {
        let (field, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        fields.push(field.to_vec());
        row = rest;
    }
    fields
}

/// Inserts events after this position, in one durable transaction.
fn insert(database: &Database, after: usize, page: &[Event]) -> Measured<()> {
    let transaction = database.begin_write()?;
    {
        let mut rows = transaction.open_table(EVENTS)?;
        let mut ids = transaction.open_table(IDS)?;
        let mut dots = transaction.open_table(DOTS)?;
        let mut aggregates = transaction.open_table(AGGREGATES)?;
        for (at, event) in page.iter().enumerate() {
            let position = (after + at + 1) as u64;
            let dot = event.dot.as_ref().ok_or("a sample without a dot")?;
            rows.insert(position, row(event).as_slice())?;
            ids.insert(event.id.as_str(), position)?;
            dots.insert((dot.node.as_str(), dot.counter), position)?;
            aggregates.insert((event.aggregate_id.as_str(), position), ())?;
        }
    }
    Ok(transaction.commit()?)
}

pub(crate) fn insert_pages(scale: Scale) -> Measured<Sample> {
    let directory = tempfile::tempdir()?;
    let database = Database::create(directory.path().join("raw.redb"))?;
    let events = events(scale.events)?;
    Sample::of(scale.events, || {
        for (at, page) in events.chunks(PAGE).enumerate() {
            insert(&database, at * PAGE, page)?;
        }
        Ok(())
    })
}

pub(crate) fn insert_singly(scale: Scale) -> Measured<Sample> {
    let directory = tempfile::tempdir()?;
    let database = Database::create(directory.path().join("raw.redb"))?;
    let events = events(scale.events / 100)?;
    Sample::of(events.len(), || {
        for (at, event) in events.iter().enumerate() {
            insert(&database, at, std::slice::from_ref(event))?;
        }
        Ok(())
    })
}

pub(crate) fn read_pages(scale: Scale) -> Measured<Sample> {
    let directory = tempfile::tempdir()?;
    let database = Database::create(directory.path().join("raw.redb"))?;
    for (at, page) in events(scale.events)?.chunks(PAGE).enumerate() {
        insert(&database, at * PAGE, page)?;
    }
    Sample::of(scale.events, || {
        let mut after = 0;
        while after < scale.events as u64 {
            let transaction = database.begin_read()?;
            let rows = transaction.open_table(EVENTS)?;
            let mut page = Vec::with_capacity(PAGE);
            for row in rows.range(after + 1..)?.take(PAGE) {
                let (position, row) = row?;
                after = position.value();
                page.push(owned(row.value()));
            }
            std::hint::black_box(page);
        }
        Ok(())
    })
}
