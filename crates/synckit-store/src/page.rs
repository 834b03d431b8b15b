//! Building a page of a log: which rows it takes and where it ends.

use synckit_core::{ErrorKind, LogHead, Mark, Page, Position, Query, Result, StoreId, StoredEvent};

/// Builds the [`Page`] of a [`Query`] from the rows of a log, which a store hands over in log order.
///
/// A page ends at the query's limits, but takes at least one event. With `except_source` it also ends after
/// [`PageBuilder::SCAN`] rows, so that a long stretch of the log from that source costs several short reads. It ends before
/// a row that cannot be read, unless that row is the first: then reading it is the error.
///
/// ```
/// use synckit_core::{Query, StoredEvent};
/// # use synckit_core::{LogHead, Mark, Page, Result, StoreId};
/// use synckit_store::PageBuilder;
///
/// fn page(query: &Query, head: LogHead, rows: &[StoredEvent], mark_at: impl Fn(u64) -> Option<Mark>) -> Result<Page> {
///     let mut page = PageBuilder::new(query, head, mark_at(query.after));
///     for row in rows.iter().filter(|row| row.position > query.after) {
///         let read = |except: Option<StoreId>| Ok((except != row.source || except.is_none()).then(|| row.clone()));
///         if !page.take(row.position, read)? {
///             break;
///         }
///     }
///     page.looked_up_to(head.position);
///     page.finish(|position| Ok(mark_at(position)))
/// }
///
/// # fn main() -> Result<()> {
/// let head = LogHead { store: StoreId::from_bytes([7; 16]), position: 0, mark: None };
/// assert!(!page(&Query::after(0), head, &[], |_| None)?.more);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct PageBuilder<'q> {
    query: &'q Query,
    page: Page,
    /// The last position of the log, or the query's where that is beyond it.
    head: Position,
    bytes: usize,
    rows: usize,
    full: bool,
}

impl<'q> PageBuilder<'q> {
    /// How many rows a read with `except_source` looks at.
    pub const SCAN: usize = 10_000;

    /// Starts the page of a query on a log that ends at `head`. `from` is the mark at the query's `after`.
    pub fn new(query: &'q Query, head: LogHead, from: Option<Mark>) -> Self {
        let last = head.position.max(query.after);
        let page = Page::empty(head.store, query.after, from, query.after < last);
        let full = !page.more || query.max_events == 0;
        PageBuilder { query, page, head: last, bytes: 0, rows: 0, full }
    }

    /// Whether the page takes another row.
    pub fn has_room(&self) -> bool {
        !self.full
    }

    /// Takes the next row and returns whether there is room for another. `read` reads the row, or returns `None` for one
    /// that came from the source it is given.
    ///
    /// # Errors
    /// Those of `read`. A `Corrupt` row that is not the first of the page ends the page instead.
    pub fn take(
        &mut self,
        position: Position,
        read: impl FnOnce(Option<StoreId>) -> Result<Option<StoredEvent>>,
    ) -> Result<bool> {
        if self.full {
            return Ok(false);
        }
        match read(self.query.except_source) {
            Ok(stored) => self.push(position, stored),
            Err(error) if error.kind() == ErrorKind::Corrupt && self.rows > 0 => self.full = true,
            Err(error) => return Err(error),
        }
        Ok(self.has_room())
    }

    fn push(&mut self, position: Position, stored: Option<StoredEvent>) {
        if let Some(stored) = stored {
            self.bytes = self.bytes.saturating_add(stored.event.size());
            if self.bytes > self.query.max_bytes && !self.page.events.is_empty() {
                self.full = true;
                return;
            }
            self.page.events.push(stored);
        }
        self.rows += 1;
        self.page.scanned_to = position;
        let scanned = self.query.except_source.is_some() && self.rows >= Self::SCAN;
        self.full = scanned || self.page.events.len() >= self.query.max_events;
    }

    /// Notes that no row is left up to this position, beyond those that were taken. Changes nothing when the page is
    /// full.
    pub fn looked_up_to(&mut self, position: Position) {
        if !self.full {
            self.page.scanned_to = position.min(self.head).max(self.page.scanned_to);
        }
    }

    /// Returns the page. `mark_at` finds the mark at the position where it ends.
    ///
    /// # Errors
    /// Those of `mark_at`.
    pub fn finish(self, mark_at: impl FnOnce(Position) -> Result<Option<Mark>>) -> Result<Page> {
        let mut page = self.page;
        page.more = page.scanned_to < self.head;
        page.upto = match page.events.last() {
            Some(last) if last.position == page.scanned_to => Some(last.mark),
            _ if page.scanned_to == self.query.after => page.from,
            _ => mark_at(page.scanned_to)?,
        };
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use synckit_core::{Dot, Error, Event, EventId, NewEvent, NodeId, Timestamp, VectorClock};

    use super::*;

    fn stored(position: Position, source: Option<StoreId>) -> StoredEvent {
        let dot = Dot::new(NodeId::new("n").expect("valid"), position);
        let new = NewEvent::new("T", "x", "1").expect("valid");
        let id = EventId::new(format!("e{position}")).expect("valid");
        let event: Event = new.stamped(id, Some(dot), VectorClock::new(), Timestamp::ZERO);
        StoredEvent { position, mark: Mark(position), source, event }
    }

    fn store(byte: u8) -> StoreId {
        StoreId::from_bytes([byte; 16])
    }

    /// The page of a log of `rows` events from the store 7, where the row at `damaged` cannot be read.
    fn page(query: &Query, rows: Position, damaged: Position) -> Result<Page> {
        let mark_at = |position| (1..=rows).contains(&position).then_some(Mark(position));
        let head = LogHead { store: store(1), position: rows, mark: None };
        let mut page = PageBuilder::new(query, head, mark_at(query.after));
        for position in query.after.saturating_add(1)..=rows {
            let read = |except: Option<StoreId>| match position == damaged {
                true => Err(Error::corrupt("damaged").with("position", position)),
                false => Ok((except != Some(store(7))).then(|| stored(position, Some(store(7))))),
            };
            if !page.take(position, read)? {
                break;
            }
        }
        page.looked_up_to(rows);
        page.finish(|position| Ok(mark_at(position)))
    }

    #[test]
    fn a_page_ends_at_the_limits_of_its_query() {
        let (all, size) = (usize::MAX, stored(1, None).event.size());
        for (query, events, scanned_to, more) in [
            (Query::after(0).at_most(all, all), 5, 5, false),
            (Query::after(0).at_most(0, all), 0, 0, true),
            (Query::after(5).at_most(0, all), 0, 5, false),
            (Query::after(0).at_most(2, all), 2, 2, true),
            (Query::after(3).at_most(2, all), 2, 5, false),
            (Query::after(0).at_most(all, 0), 1, 1, true),
            (Query::after(0).at_most(all, 3 * size - 1), 2, 2, true),
            (Query::after(0).at_most(all, 3 * size), 3, 3, true),
            (Query::after(9), 0, 9, false),
            (Query::after(u64::MAX), 0, u64::MAX, false),
        ] {
            let page = page(&query, 5, 0).expect("reads");
            assert_eq!(
                (page.events.len(), page.scanned_to, page.more),
                (events, scanned_to, more),
                "{query:?}"
            );
            let mark = |position: Position| (1..=5).contains(&position).then_some(Mark(position));
            assert_eq!((page.from, page.upto), (mark(query.after), mark(scanned_to)), "{query:?}");
        }
    }

    #[test]
    fn what_came_from_one_store_is_passed_over_in_short_reads() {
        let query = Query::after(0).except_source(Some(store(7)));
        let first = page(&query, 10_500, 0).expect("reads");
        assert_eq!((first.events.len(), first.scanned_to, first.more), (0, 10_000, true));
        assert_eq!(first.upto, Some(Mark(10_000)));
        let query = Query { after: first.scanned_to, ..query };
        let rest = page(&query, 10_500, 0).expect("reads");
        assert_eq!((rest.events.len(), rest.scanned_to, rest.more), (0, 10_500, false));
    }

    #[test]
    fn a_page_ends_before_a_damaged_row_and_fails_where_it_starts_with_one() {
        let before = page(&Query::after(0), 5, 3).expect("reads");
        assert_eq!((before.events.len(), before.scanned_to, before.more), (2, 2, true));
        let error = page(&Query::after(2), 5, 3).expect_err("is damaged");
        assert_eq!(error.context(), [("position", "3".to_owned())]);
        assert_eq!(page(&Query::after(3), 5, 3).expect("reads").events.len(), 2);
    }
}
