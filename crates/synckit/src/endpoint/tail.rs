//! The end of the log, read once for all who subscribe to it.

use std::sync::Arc;
use std::time::Duration;

use synckit_core::{EventStore, Page, Position, Query, Result};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::damage::read_over;
use crate::endpoint::Endpoint;

/// How long a page that was read serves others.
const FRESH: Duration = Duration::from_secs(1);

/// The last page that a subscription has read.
#[derive(Debug, Default)]
pub(super) struct Tail(Mutex<Option<Kept>>);

#[derive(Debug)]
struct Kept {
    after: Position,
    read: Instant,
    page: Arc<Page>,
}

/// Why a subscription reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The log has grown, so a page without events is out of date.
    Growth,
    /// A heartbeat is due.
    Heartbeat,
}

impl Kept {
    fn serves(&self, after: Position, why: Why) -> bool {
        let is_current = why == Why::Heartbeat || !self.page.events.is_empty();
        self.after == after && is_current && self.read.elapsed() < FRESH
    }
}

impl<S: EventStore> Endpoint<S> {
    /// Returns the page after a position, whoever its events came from; one that another subscription has just read, if
    /// there is one. Its local events are on record as handed out. `None` if the row there is damaged.
    pub(super) async fn tail(&self, after: Position, why: Why) -> Result<Option<Arc<Page>>> {
        // Those who want the same page wait here until the first has read it.
        let mut kept = self.tail.0.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.serves(after, why)) {
            return Ok(Some(kept.page.clone()));
        }
        let page = loop {
            let read = Instant::now();
            let query = Query::after(after).at_most(self.limits.batch_events.max(1), self.limits.batch_bytes);
            let (page, damaged) = read_over(&*self.store, query).await?;
            if damaged.is_some() {
                return Ok(None);
            }
            let local = page.events.iter().rfind(|stored| stored.source.is_none());
            if !self.hand_out(local.map_or(0, |stored| stored.position)).await? {
                break Kept { after, read, page: Arc::new(page) };
            }
        };
        let shared = page.page.clone();
        *kept = Some(page);
        Ok(Some(shared))
    }
}
