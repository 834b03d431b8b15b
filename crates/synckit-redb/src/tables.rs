//! The tables of a log, and what is read from them and written to them.
//!
//! A row is found by its position; by id, dot and aggregate through tables that hold only positions.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeInclusive};

use redb::{
    Range, ReadOnlyTable, ReadTransaction, ReadableTable, Table, TableDefinition, TableError,
    WriteTransaction,
};
use synckit_core::notes::Note;
use synckit_core::{
    AggregateId, Error, EventId, Facts, Held, LogHead, Needs, NoteQuery, Page, Plan, Position, Query, Result,
    StoreId,
};

use crate::error::engine;
use crate::row;

const EVENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("events");
const IDS: TableDefinition<'_, &str, u64> = TableDefinition::new("ids");
/// Node and counter, to the position.
const DOTS: TableDefinition<'_, (&str, u64), u64> = TableDefinition::new("dots");
/// Aggregate and position.
const AGGREGATES: TableDefinition<'_, (&str, u64), ()> = TableDefinition::new("aggregates");
const NOTES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("notes");

/// How many rows a read with `except_source` looks at before it answers, so that a long stretch of the log from
/// that source costs several short reads and not a long one.
const SCAN: usize = 10_000;

/// The log as a snapshot has it.
pub(crate) struct Snapshot {
    events: ReadOnlyTable<u64, &'static [u8]>,
    ids: ReadOnlyTable<&'static str, u64>,
    dots: ReadOnlyTable<(&'static str, u64), u64>,
    aggregates: ReadOnlyTable<(&'static str, u64), ()>,
    notes: ReadOnlyTable<&'static str, &'static [u8]>,
}

impl Snapshot {
    pub(crate) fn open(transaction: &ReadTransaction) -> Result<Self, TableError> {
        Ok(Snapshot {
            events: transaction.open_table(EVENTS)?,
            ids: transaction.open_table(IDS)?,
            dots: transaction.open_table(DOTS)?,
            aggregates: transaction.open_table(AGGREGATES)?,
            notes: transaction.open_table(NOTES)?,
        })
    }

    /// The last position.
    pub(crate) fn last(&self) -> Result<Position> {
        last(&self.events).map_err(engine)
    }

    pub(crate) fn facts(&self, head: LogHead, needs: Needs) -> Result<Facts> {
        facts(&self.events, &self.ids, &self.dots, &self.notes, head, needs)
    }

    pub(crate) fn read(&self, store: StoreId, query: &Query) -> Result<Page> {
        let head = self.last()?.max(query.after);
        let page = Page::empty(store, query.after, self.id_at(query.after)?, query.after < head);
        if !page.more || query.max_events == 0 {
            return Ok(page);
        }
        let mut filling = Filling { query, page, bytes: 0, looked_at: 0 };
        let (first, mut goes_on) = (query.after + 1, true);
        match &query.aggregates {
            None => {
                for entry in self.events.range(first..).map_err(engine)? {
                    let (position, row) = entry.map_err(engine)?;
                    goes_on = filling.take(position.value(), row.value())?;
                    if !goes_on {
                        break;
                    }
                }
            }
            Some(aggregates) => {
                let mut places = Places::of(aggregates, first..=head, &self.aggregates)?;
                while let Some(position) = places.next()? {
                    goes_on = filling.take(position, row_at(&self.events, position)?.value())?;
                    if !goes_on {
                        break;
                    }
                }
            }
        }
        let mut page = filling.page;
        if goes_on {
            page.scanned_to = head;
        }
        page.more = page.scanned_to < head;
        page.upto = match page.events.last() {
            Some(last) if last.position == page.scanned_to => Some(last.event.id.clone()),
            _ => self.id_at(page.scanned_to)?,
        };
        Ok(page)
    }

    /// The event at a position, if there is one. A damaged row names none; the reads on either side of it go on.
    fn id_at(&self, position: Position) -> Result<Option<EventId>> {
        let row = self.events.get(position).map_err(engine)?;
        Ok(row.and_then(|row| Some(row::decode(position, row.value()).ok()?.event.id)))
    }

    pub(crate) fn notes(&self, query: NoteQuery) -> Result<Vec<Note>> {
        match query {
            NoteQuery::Keys(mut keys) => {
                keys.sort_unstable();
                keys.dedup();
                let mut notes = Vec::new();
                for key in keys {
                    if let Some(value) = self.note(&key)? {
                        notes.push(Note { key, value });
                    }
                }
                Ok(notes)
            }
            NoteQuery::Prefix { prefix, after, limit } => notes_under(&self.notes, &prefix, &after, limit),
        }
    }

    pub(crate) fn note(&self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.notes.get(key).map_err(engine)?.map(|value| value.value().to_vec()))
    }
}

/// Where the events of some aggregates stand, in log order, of each as far as it was looked.
struct Places<'a> {
    of: Vec<Range<'a, (&'static str, u64), ()>>,
    /// The next place of each aggregate, which is counted from the first. One that is named twice has one place.
    next: BTreeMap<Position, usize>,
}

impl<'a> Places<'a> {
    fn of(
        aggregates: &[AggregateId],
        within: RangeInclusive<Position>,
        table: &'a ReadOnlyTable<(&'static str, u64), ()>,
    ) -> Result<Self> {
        let (first, last) = within.into_inner();
        let range = |of: &AggregateId| table.range((of.as_str(), first)..=(of.as_str(), last));
        let of = aggregates.iter().map(range).collect::<Result<_, _>>().map_err(engine)?;
        let mut places = Places { of, next: BTreeMap::new() };
        (0..aggregates.len()).try_for_each(|of| places.look(of))?;
        Ok(places)
    }

    fn next(&mut self) -> Result<Option<Position>> {
        let Some((position, of)) = self.next.pop_first() else { return Ok(None) };
        self.look(of)?;
        Ok(Some(position))
    }

    fn look(&mut self, of: usize) -> Result<()> {
        if let Some(entry) = self.of[of].next() {
            self.next.insert(entry.map_err(engine)?.0.value().1, of);
        }
        Ok(())
    }
}

/// A page, and how much of what the query allows it has taken.
struct Filling<'a> {
    query: &'a Query,
    page: Page,
    bytes: usize,
    looked_at: usize,
}

impl Filling<'_> {
    /// Takes in the next row; answers whether there is room for another one.
    fn take(&mut self, position: Position, row: &[u8]) -> Result<bool> {
        let except = self.query.except_source;
        if except.is_none() || row::source(position, row)? != except {
            let stored = row::decode(position, row)?;
            self.bytes = self.bytes.saturating_add(stored.event.size());
            if self.bytes > self.query.max_bytes && !self.page.events.is_empty() {
                return Ok(false);
            }
            self.page.events.push(stored);
        }
        self.page.scanned_to = position;
        self.looked_at += 1;
        let scans_on = except.is_none() || self.looked_at < SCAN;
        Ok(scans_on && self.page.events.len() < self.query.max_events)
    }
}

/// The log as a transaction that writes has it: with what it has written.
pub(crate) struct Tables<'t> {
    events: Table<'t, u64, &'static [u8]>,
    ids: Table<'t, &'static str, u64>,
    dots: Table<'t, (&'static str, u64), u64>,
    aggregates: Table<'t, (&'static str, u64), ()>,
    notes: Table<'t, &'static str, &'static [u8]>,
}

impl<'t> Tables<'t> {
    /// The tables, made where they are not there.
    pub(crate) fn open(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Tables {
            events: transaction.open_table(EVENTS)?,
            ids: transaction.open_table(IDS)?,
            dots: transaction.open_table(DOTS)?,
            aggregates: transaction.open_table(AGGREGATES)?,
            notes: transaction.open_table(NOTES)?,
        })
    }

    /// The last position.
    pub(crate) fn last(&self) -> Result<Position, redb::Error> {
        last(&self.events)
    }

    pub(crate) fn facts(&self, head: LogHead, needs: Needs) -> Result<Facts> {
        facts(&self.events, &self.ids, &self.dots, &self.notes, head, needs)
    }

    /// Writes a plan for a log that ends here. After an error the transaction must not be committed.
    pub(crate) fn write(&mut self, head: Position, plan: &Plan) -> Result<(), redb::Error> {
        for (event, position) in plan.append.iter().zip(head + 1..) {
            self.events.insert(position, row::encode(event, plan.source).as_slice())?;
            free(self.ids.insert(event.id.as_str(), position)?.is_none(), "an event is in the log already")?;
            self.aggregates.insert((event.aggregate_id.as_str(), position), ())?;
            if let Some(dot) = &event.dot {
                let taken = self.dots.insert((dot.node.as_str(), dot.counter), position)?;
                free(taken.is_none(), "a dot names another event already")?;
            }
        }
        for (position, event) in &plan.restamp {
            let old = row_at(&self.events, *position)
                .and_then(|row| row::decode(*position, row.value()))
                .map_err(|error| redb::Error::Corrupted(error.to_string()))?;
            self.ids.remove(old.event.id.as_str())?;
            self.ids.insert(event.id.as_str(), *position)?;
            if let Some(dot) = &old.event.dot {
                self.dots.remove((dot.node.as_str(), dot.counter))?;
            }
            if let Some(dot) = &event.dot {
                self.dots.insert((dot.node.as_str(), dot.counter), *position)?;
            }
            self.events.insert(*position, row::encode(event, old.source).as_slice())?;
        }
        for note in &plan.put {
            self.notes.insert(note.key.as_str(), note.value.as_slice())?;
        }
        for key in &plan.delete {
            self.notes.remove(key.as_str())?;
        }
        Ok(())
    }
}

fn free(free: bool, message: &str) -> Result<(), redb::Error> {
    if free { Ok(()) } else { Err(redb::Error::Corrupted(message.to_owned())) }
}

fn last(events: &impl ReadableTable<u64, &'static [u8]>) -> Result<Position, redb::Error> {
    Ok(events.last()?.map_or(0, |(position, _)| position.value()))
}

fn row_at(
    events: &impl ReadableTable<u64, &'static [u8]>,
    position: Position,
) -> Result<redb::AccessGuard<'_, &'static [u8]>> {
    let row = events.get(position).map_err(engine)?;
    row.ok_or_else(|| Error::corrupt("the log has a gap").with("position", position))
}

/// What the store knows of what a plan needs. One row is in memory at a time: of the events held, only the digests
/// are kept.
fn facts(
    events: &impl ReadableTable<u64, &'static [u8]>,
    ids: &impl ReadableTable<&'static str, u64>,
    dots: &impl ReadableTable<(&'static str, u64), u64>,
    notes: &impl ReadableTable<&'static str, &'static [u8]>,
    head: LogHead,
    needs: Needs,
) -> Result<Facts> {
    let mut facts = Facts::at(head);
    for id in needs.ids {
        if let Some(position) = ids.get(id.as_str()).map_err(engine)? {
            let position = position.value();
            let stored = row::decode(position, row_at(events, position)?.value())?;
            facts.held.insert(id, Held::of(position, &stored.event));
        }
    }
    for dot in needs.dots {
        if let Some(position) = dots.get((dot.node.as_str(), dot.counter)).map_err(engine)? {
            let position = position.value();
            let stored = row::decode(position, row_at(events, position)?.value())?;
            facts.dots.insert(dot, stored.event.id);
        }
    }
    for key in needs.notes {
        if let Some(value) = notes.get(key.as_str()).map_err(engine)? {
            let value = value.value().to_vec();
            facts.notes.insert(key, value);
        }
    }
    for prefix in needs.under {
        let under = notes_under(notes, &prefix, "", usize::MAX)?;
        facts.notes.extend(under.into_iter().map(|note| (note.key, note.value)));
    }
    Ok(facts)
}

/// The notes whose keys begin so, after this key, at most so many.
fn notes_under(
    notes: &impl ReadableTable<&'static str, &'static [u8]>,
    prefix: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<Note>> {
    let start = if after >= prefix { Bound::Excluded(after) } else { Bound::Included(prefix) };
    let mut found = Vec::new();
    for entry in notes.range::<&str>((start, Bound::Unbounded)).map_err(engine)?.take(limit) {
        let (key, value) = entry.map_err(engine)?;
        if !key.value().starts_with(prefix) {
            break;
        }
        found.push(Note { key: key.value().to_owned(), value: value.value().to_vec() });
    }
    Ok(found)
}
