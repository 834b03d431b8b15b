//! Looking for damage at rest, before anybody needs what is damaged.

use serde::Serialize;
use synckit_core::{EventStore, Note, Position, Query, Result};
use synckit_plan::{StoreExt, notes};

use crate::damage::read_over;
use crate::replica::Replica;

/// The sizes of a page.
const PAGE: (usize, usize) = (1_000, 2 << 20);

/// What a look at every row of a log has shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Scrubbed {
    /// The number of events that could be read.
    pub readable: u64,
    /// The positions of damaged rows, at most [`Scrubbed::MAX_DAMAGED`] of them.
    pub damaged: Vec<Position>,
    /// How many of these rows name their event, so that the next sync fetches it again.
    pub to_fetch: usize,
}

impl Scrubbed {
    /// The maximum number of damaged rows that one look lists and notes.
    pub const MAX_DAMAGED: usize = 1_000;
}

impl<S: EventStore> Replica<S> {
    /// Reads the whole log, and notes which rows are damaged: each later sync that pulls asks its peer for their events,
    /// until good copies have replaced the rows. Stops when it has found [`Scrubbed::MAX_DAMAGED`].
    ///
    /// A sync reads only what is new, so damage to old rows shows only when somebody reads them, as this call does.
    ///
    /// # Errors
    /// Those of the store. A row that cannot be read is not an error.
    ///
    /// ```
    /// use synckit::{NewEvent, NodeId, Replica};
    /// use synckit_memory::MemoryStore;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> synckit::Result<()> {
    /// let replica = Replica::new(MemoryStore::new(NodeId::new("till-1")?)?);
    /// replica.record([NewEvent::new("Sold", "shift-7", "2 coffees")?]).await?;
    /// let scrubbed = replica.scrub().await?;
    /// assert_eq!((scrubbed.readable, scrubbed.damaged), (1, vec![]));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn scrub(&self) -> Result<Scrubbed> {
        let (mut scrubbed, mut found, mut after) = (Scrubbed::default(), Vec::new(), 0);
        loop {
            let (page, damaged) =
                read_over(self.store(), Query::after(after).at_most(PAGE.0, PAGE.1)).await?;
            scrubbed.readable += page.events.len() as u64;
            if let Some(row) = damaged {
                scrubbed.damaged.push(row.position);
                let id = row.event_in(self.store()).await?;
                found.extend(id.map(|id| Note { key: notes::damaged(&id), value: Vec::new() }));
            }
            after = page.scanned_to;
            if !page.more || scrubbed.damaged.len() >= Scrubbed::MAX_DAMAGED {
                break;
            }
        }
        scrubbed.to_fetch = found.len();
        if !found.is_empty() {
            self.store().edit(found, Vec::new()).await?;
        }
        Ok(scrubbed)
    }
}
