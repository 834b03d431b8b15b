//! The end of the log, read once for all who subscribe to it.

use std::sync::{Arc, PoisonError, RwLock};
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
pub(super) struct Tail {
    kept: RwLock<Option<Kept>>,
    /// Held by the one that reads.
    reads: Mutex<()>,
}

impl Tail {
    /// Returns the last page, if it is the one after this position and is not out of date.
    fn kept(&self, after: Position, why: Why) -> Option<Arc<Page>> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().filter(|kept| kept.serves(after, why)).map(|kept| kept.page.clone())
    }
}

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
        if let Some(page) = self.tail.kept(after, why) {
            return Ok(Some(page));
        }
        // Those who want the same page wait here until the first has read it.
        let _reads = self.tail.reads.lock().await;
        if let Some(page) = self.tail.kept(after, why) {
            return Ok(Some(page));
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
        *self.tail.kept.write().unwrap_or_else(PoisonError::into_inner) = Some(page);
        Ok(Some(shared))
    }
}
