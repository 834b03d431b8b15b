//! Before local events are handed out for the first time: their dots must be free, and their times correct.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use synckit_core::{
    AggregateId, EventId, EventStore, MissingRequest, Page, Query, Result, StoredEvent, Transport,
};
use synckit_plan::{Renumber, StoreExt};

use crate::sync::peer::Peer;
use crate::sync::session::Session;

/// How often to read the log again if it grows in the meantime.
const TRIES: usize = 8;

/// No correct clock shows a time before this was written: 1 January 2025, in Unix milliseconds.
const EARLIEST: u64 = 1_735_689_600_000;

impl<S: EventStore, T: Transport> Session<'_, S, T> {
    /// Gives fresh dots to local events that nobody else has, if their dots may be taken: the log was restored, and
    /// what was recorded before that was noticed has dots that name other events elsewhere.
    pub(super) async fn free_dots(&mut self, peer: &mut Peer) -> Result<()> {
        for _ in 0..TRIES {
            let (mut events, head) = self.never_handed_out(peer, |_| true).await?;
            let ids: Vec<EventId> = events.keys().cloned().collect();
            let mut missing = HashSet::new();
            for ids in ids.chunks(peer.limits.batch_events) {
                let request = MissingRequest { caller: peer.caller.clone(), ids: ids.to_vec() };
                missing.extend(self.calls.missing(request).await?.ids);
            }
            events.retain(|id, _| missing.contains(id));
            if self.renumber(peer, events, true, head).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Gives the correct time to local events that nobody else has and that are far ahead of the peer's clock: the
    /// local clock was wrong when they were recorded, or still is.
    pub(super) async fn right_times(&mut self, peer: &mut Peer) -> Result<()> {
        for _ in 0..TRIES {
            let (now, drift) = (peer.time, peer.limits.drift());
            let late = |stored: &StoredEvent| stored.event.time.drifts(now, drift);
            let (events, head) = self.never_handed_out(peer, late).await?;
            if events.is_empty() || self.renumber(peer, events, false, head).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Returns whether a page of the local log has events that nobody else holds and that are far ahead of the peer's
    /// clock.
    pub(super) fn has_wrong_times(&self, peer: &Peer, page: &Page) -> bool {
        let late = |stored: &StoredEvent| {
            is_new(peer, stored) && stored.event.time.drifts(peer.time, peer.limits.drift())
        };
        knows_the_time(peer) && page.events.iter().any(late)
    }

    async fn renumber(
        &mut self,
        peer: &mut Peer,
        events: BTreeMap<EventId, AggregateId>,
        taken: bool,
        head: u64,
    ) -> Result<bool> {
        let (now, drift) = match knows_the_time(peer) {
            true => (peer.time, peer.limits.drift()),
            false => (self.replica.now(), Duration::MAX),
        };
        let entropy = self.replica.entropy()?;
        let handed = peer.handed;
        let renumber = Renumber { events, taken, handed, head, now, drift, entropy };
        let Some(done) = self.store.commit(renumber).await? else { return Ok(false) };
        self.report.recovery.renumbered += done.events;
        if peer.caller.node != done.author {
            self.report.recovery.renamed_to = Some(done.author.clone());
            peer.caller.node = done.author;
        }
        peer.identity = self.store.identity().await?;
        peer.ahead = None;
        Ok(true)
    }

    /// Returns the local events that were never handed out, and how far the log was read.
    async fn never_handed_out(
        &self,
        peer: &Peer,
        wanted: impl Fn(&StoredEvent) -> bool,
    ) -> Result<(BTreeMap<EventId, AggregateId>, u64)> {
        let (mut events, mut after) = (BTreeMap::new(), peer.handed);
        loop {
            let page = self.store.read(Query::after(after)).await?;
            for stored in page.events.into_iter().filter(|stored| is_new(peer, stored) && wanted(stored)) {
                events.insert(stored.event.id, stored.event.aggregate_id);
            }
            after = page.scanned_to;
            if !page.more {
                return Ok((events, after));
            }
        }
    }
}

/// Returns whether an event was recorded here and never handed out.
fn is_new(peer: &Peer, stored: &StoredEvent) -> bool {
    let own = stored.event.dot.as_ref().is_some_and(|dot| peer.identity.is_own(&dot.node));
    own && stored.source.is_none() && stored.position > peer.handed
}

/// Returns whether the peer's clock can be correct.
fn knows_the_time(peer: &Peer) -> bool {
    peer.time >= EARLIEST
}
