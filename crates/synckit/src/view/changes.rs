//! Waiting for changes.

use std::collections::BTreeSet;
use std::fmt;

use synckit_core::{AggregateId, EventStore, LogHead, Needs, Query, Result};

use crate::damage::read_over;
use crate::replica::Replica;

/// What has changed since the last time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// There are new events of these aggregates.
    Aggregates(BTreeSet<AggregateId>),
    /// Anything: another log has taken the place of this one, such as a backup.
    All,
}

/// What changes from a time on.
pub struct Changes<S> {
    replica: Replica<S>,
    seen: LogHead,
}

impl<S> fmt::Debug for Changes<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").field("seen", &self.seen).finish_non_exhaustive()
    }
}

impl<S: EventStore> Changes<S> {
    pub(super) async fn from_now(replica: Replica<S>) -> Result<Self> {
        let seen = replica.store().head().await?;
        Ok(Changes { replica, seen })
    }

    /// Waits for a change. What changes between two calls is in the answer of the second one. If the future is dropped,
    /// nothing is lost.
    ///
    /// # Errors
    /// Those of the store, such as `Closed`.
    pub async fn next(&mut self) -> Result<Changed> {
        let store = self.replica.store();
        loop {
            store.moved(self.seen.position).await?;
            let places = vec![self.seen.position];
            let facts = store.facts(Needs { places, ..Needs::default() }).await?;
            if facts.places.get(&self.seen.position).copied() != self.seen.mark {
                self.seen = facts.head;
                return Ok(Changed::All);
            }
            let query = Query::after(self.seen.position);
            let (page, _) = read_over(store, query).await?;
            self.seen = LogHead { store: page.store, position: page.scanned_to, mark: page.upto };
            let aggregates: BTreeSet<AggregateId> =
                page.events.into_iter().map(|stored| stored.event.aggregate_id).collect();
            if !aggregates.is_empty() {
                return Ok(Changed::Aggregates(aggregates));
            }
        }
    }
}
