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
    AggregateId, Error, Event, Facts, Held, LogHead, Mark, Needs, NoteQuery, Page, Plan, Position, Query,
    Result, StoredEvent, notes,
};

use crate::error::engine;
use crate::row::{self, Beside};

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

    /// The store id, which a commit may change, and the last position.
    pub(crate) fn head(&self) -> Result<LogHead> {
        head(&self.events, &self.notes)
    }

    pub(crate) fn facts(&self, needs: Needs) -> Result<Facts> {
        facts(&self.events, &self.ids, &self.dots, &self.aggregates, &self.notes, needs)
    }

    pub(crate) fn read(&self, query: &Query) -> Result<Page> {
        let LogHead { store, position } = self.head()?;
        let head = position.max(query.after);
        let page = Page::empty(store, query.after, self.mark_at(query.after)?, query.after < head);
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
            Some(last) if last.position == page.scanned_to => Some(last.mark),
            _ => self.mark_at(page.scanned_to)?,
        };
        Ok(page)
    }

    /// The mark at a position, if there is one. A damaged row has none; the reads on either side of it go on.
    fn mark_at(&self, position: Position) -> Result<Option<Mark>> {
        let row = self.events.get(position).map_err(engine)?;
        Ok(row.and_then(|row| Some(row::beside(position, row.value()).ok()?.mark)))
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
        if except.is_none() || row::beside(position, row)?.source != except {
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

    pub(crate) fn facts(&self, needs: Needs) -> Result<Facts> {
        facts(&self.events, &self.ids, &self.dots, &self.aggregates, &self.notes, needs)
    }

    /// Writes a plan for a log that ends here. After an error the transaction must not be committed.
    pub(crate) fn write(&mut self, head: Position, plan: &Plan) -> Result<(), redb::Error> {
        // All that is given up is free before any of it is taken.
        let freed = plan.restamp.iter().map(|(position, _)| self.free(*position));
        let freed = freed.collect::<Result<Vec<_>, _>>()?;
        for ((position, event), beside) in plan.restamp.iter().zip(freed) {
            self.put(*position, event, beside)?;
        }
        for ((event, source), position) in plan.rows().zip(head + 1..) {
            self.put(position, event, Beside { mark: plan.mark, source })?;
            self.aggregates.insert((event.aggregate_id.as_str(), position), ())?;
        }
        for note in &plan.put {
            self.notes.insert(note.key.as_str(), note.value.as_slice())?;
        }
        for key in &plan.delete {
            self.notes.remove(key.as_str())?;
        }
        Ok(())
    }

    /// Takes id and dot from the event at a position; returns what stands beside it.
    fn free(&mut self, position: Position) -> Result<Beside, redb::Error> {
        let StoredEvent { mark, source, event, .. } = row_at(&self.events, position)
            .and_then(|row| row::decode(position, row.value()))
            .map_err(|error| redb::Error::Corrupted(error.to_string()))?;
        self.ids.remove(event.id.as_str())?;
        if let Some(dot) = &event.dot {
            self.dots.remove((dot.node.as_str(), dot.counter))?;
        }
        Ok(Beside { mark, source })
    }

    /// Puts an event at a position, under an id and a dot that are free.
    fn put(&mut self, position: Position, event: &Event, beside: Beside) -> Result<(), redb::Error> {
        let row = row::encode(event, beside.mark, beside.source);
        self.events.insert(position, row.as_slice())?;
        let held = self.ids.insert(event.id.as_str(), position)?;
        absent(held.is_none(), "an event is in the log already")?;
        if let Some(dot) = &event.dot {
            let taken = self.dots.insert((dot.node.as_str(), dot.counter), position)?;
            absent(taken.is_none(), "a dot names another event already")?;
        }
        Ok(())
    }
}

fn absent(absent: bool, message: &str) -> Result<(), redb::Error> {
    if absent { Ok(()) } else { Err(redb::Error::Corrupted(message.to_owned())) }
}

fn head(
    events: &impl ReadableTable<u64, &'static [u8]>,
    notes: &impl ReadableTable<&'static str, &'static [u8]>,
) -> Result<LogHead> {
    let id = notes.get(notes::STORE).map_err(engine)?;
    let store = notes::store_id(id.as_ref().map(|id| id.value()))?;
    Ok(LogHead { store, position: last(events).map_err(engine)? })
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
/// are kept. Histories, asked for rarely, are kept whole.
fn facts(
    events: &impl ReadableTable<u64, &'static [u8]>,
    ids: &impl ReadableTable<&'static str, u64>,
    dots: &impl ReadableTable<(&'static str, u64), u64>,
    aggregates: &impl ReadableTable<(&'static str, u64), ()>,
    notes: &impl ReadableTable<&'static str, &'static [u8]>,
    needs: Needs,
) -> Result<Facts> {
    let mut facts = Facts::at(head(events, notes)?);
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
    for position in needs.places {
        if let Some(row) = events.get(position).map_err(engine)? {
            facts.places.insert(position, row::beside(position, row.value())?.mark);
        }
    }
    for aggregate in needs.histories {
        let mut history = Vec::new();
        let places = aggregates.range((aggregate.as_str(), 0)..=(aggregate.as_str(), u64::MAX));
        for entry in places.map_err(engine)? {
            let position = entry.map_err(engine)?.0.value().1;
            history.push(row::decode(position, row_at(events, position)?.value())?);
        }
        facts.histories.insert(aggregate, history);
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

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;
    use redb::{Builder, Database, ReadableDatabase};
    use synckit_core::{
        Data, Dot, EventId, EventType, Metadata, NodeId, Secret, StoreId, Timestamp, VectorClock,
    };

    use super::*;

    fn commit(database: &Database, plan: &Plan) -> Result<(), redb::Error> {
        let transaction = database.begin_write()?;
        let mut tables = Tables::open(&transaction)?;
        let head = tables.last()?;
        tables.write(head, plan)?;
        drop(tables);
        Ok(transaction.commit()?)
    }

    fn database() -> Database {
        let database = Builder::new().create_with_backend(InMemoryBackend::new()).expect("is made");
        let (id, secret) = (StoreId::from_bytes([1; 16]), Secret::from_bytes([2; 16]));
        let put = notes::of_new_store(NodeId::new("n").expect("valid"), id, secret).expect("valid").into();
        commit(&database, &Plan { put, ..Plan::default() }).expect("commits");
        database
    }

    fn event(id: &str, counter: u64) -> Event {
        let node = NodeId::new("n").expect("valid");
        Event {
            id: EventId::new(id).expect("valid"),
            event_type: EventType::new("T").expect("valid"),
            aggregate_id: AggregateId::new("x").expect("valid"),
            data: Data::json("1").expect("valid"),
            metadata: Metadata::default(),
            dot: Some(Dot::new(node.clone(), counter)),
            clock: VectorClock::from_entries([(node, counter)]).expect("valid"),
            time: Timestamp::from_millis(1),
        }
    }

    /// A plan of a log of two events from elsewhere: they swap their dots, the first takes another id, and what it gave up
    /// is taken by an event that is appended.
    fn swap() -> (Plan, Plan) {
        let source = Some(StoreId::from_bytes([7; 16]));
        let append = vec![event("a", 1), event("b", 2)];
        let first = Plan { append, source, mark: Mark(u64::MAX), ..Plan::default() };
        let restamp = vec![(1, event("c", 2)), (2, event("b", 1))];
        let (append, derived) = (vec![event("d", 3)], vec![Event { dot: None, ..event("a", 4) }]);
        let put = vec![Note { key: "k".to_owned(), value: Vec::new() }];
        let second = Plan { append, source, derived, mark: Mark(5), restamp, put, delete: Vec::new() };
        (first, second)
    }

    /// Position, mark, source and event of each row after both plans.
    fn expected() -> Vec<StoredEvent> {
        let source = Some(StoreId::from_bytes([7; 16]));
        let row = |position, mark, source, event| StoredEvent { position, mark: Mark(mark), source, event };
        vec![
            row(1, u64::MAX, source, event("c", 2)),
            row(2, u64::MAX, source, event("b", 1)),
            row(3, 5, source, event("d", 3)),
            row(4, 5, None, Event { dot: None, ..event("a", 4) }),
        ]
    }

    #[test]
    fn stamps_are_free_before_any_is_taken() {
        let database = database();
        let (first, second) = swap();
        commit(&database, &first).expect("commits");
        commit(&database, &second).expect("commits");
        let snapshot = Snapshot::open(&database.begin_read().expect("begins")).expect("opens");
        assert_eq!(snapshot.read(&Query::after(0)).expect("reads").events, expected());
        let node = NodeId::new("n").expect("valid");
        let dots: Vec<Dot> = (1..=3).map(|counter| Dot::new(node.clone(), counter)).collect();
        let ids = ["a", "b", "c", "d"].map(|id| EventId::new(id).expect("valid")).to_vec();
        let facts = snapshot.facts(Needs { dots: dots.clone(), ids: ids.clone(), ..Needs::default() });
        let facts = facts.expect("answers");
        let named: Vec<_> = dots.iter().map(|dot| facts.dots[dot].as_str()).collect();
        assert_eq!(named, ["b", "c", "d"]);
        let places: Vec<_> = ids.iter().map(|id| facts.held[id].position).collect();
        assert_eq!(places, [4, 2, 1, 3]);
    }

    #[test]
    fn a_stamp_that_is_not_free_fails_the_whole_plan() {
        let database = database();
        let (first, _) = swap();
        commit(&database, &first).expect("commits");
        for restamp in [vec![(1, event("b", 1))], vec![(1, event("a", 2))], vec![(3, event("c", 3))]] {
            commit(&database, &Plan { restamp, ..Plan::default() }).expect_err("is taken, or not there");
        }
        let snapshot = Snapshot::open(&database.begin_read().expect("begins")).expect("opens");
        let events = snapshot.read(&Query::after(0)).expect("reads").events;
        assert!(events.into_iter().map(|stored| stored.event).eq(first.append));
    }
}
