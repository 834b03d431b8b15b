//! A store one row of which cannot be read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use synckit_core::{Error, EventStore, Page, Position, Query, Result};

/// A store with a damaged row. Clones share the store.
#[derive(Clone, Debug)]
pub struct DamagedStore<S> {
    inner: S,
    row: Arc<AtomicU64>,
}

impl<S: EventStore> DamagedStore<S> {
    /// Creates a store in which no row is damaged yet.
    pub fn new(inner: S) -> Self {
        DamagedStore { inner, row: Arc::default() }
    }

    /// Damages the row at this position, and mends the one before; 0 mends all.
    pub fn damage(&self, position: Position) {
        self.row.store(position, Ordering::Relaxed);
    }
}

impl<S: EventStore> EventStore for DamagedStore<S> {
    crate::forward!(inner: commit, facts, notes, head, moved, close);

    /// Ends a page before the row; fails where it would be the first.
    async fn read(&self, query: Query) -> Result<Page> {
        let row = self.row.load(Ordering::Relaxed);
        let page = self.inner.read(query.clone()).await?;
        if row <= query.after || row > page.scanned_to {
            return Ok(page);
        }
        if row == query.after + 1 {
            return Err(Error::corrupt("an event of the log cannot be read").with("position", row));
        }
        let before = usize::try_from(row - 1 - query.after).unwrap_or(usize::MAX);
        let shorter = self.inner.read(Query { max_events: before.min(query.max_events), ..query }).await?;
        let mut events = shorter.events;
        events.retain(|stored| stored.position < row);
        let end = self.inner.read(Query::after(row - 1).at_most(0, 0)).await?;
        Ok(Page { events, scanned_to: row - 1, upto: end.from, more: true, ..page })
    }
}
