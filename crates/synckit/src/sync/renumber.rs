//! Before local events are handed out for the first time: their dots must be free, and their times correct.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use synckit_core::{
    AggregateId, EventId, EventStore, MissingRequest, Page, Position, Query, Result, StoredEvent, Transport,
};
use synckit_plan::{Renumber, StoreExt};

use crate::bound::read_to;
use crate::sync::checkpoint::HandedOut;
use crate::sync::peer::Peer;
use crate::sync::session::Session;

/// How often to read the log again if it grows in the meantime.
const TRIES: usize = 8;

/// No correct clock shows a time before this was written: 1 January 2025, in Unix milliseconds.
const EARLIEST: u64 = 1_735_689_600_000;

/// Local events that nobody else has, and how far the log was read.
type Unshared = (BTreeMap<EventId, AggregateId>, Position);

impl<S: EventStore, T: Transport> Session<'_, S, T> {
    /// Gives fresh dots to local events that nobody else has, if their dots may be taken: the log was restored, and
    /// what was recorded before that was noticed has dots that name other events elsewhere.
    pub(super) async fn free_dots(&mut self, peer: &mut Peer) -> Result<()> {
        for _ in 0..TRIES {
            let unshared = self.unshared(peer, |_| true).await?;
            if self.renumber(peer, unshared, true).await? {
                break;
            }
        }
        Ok(())
    }

    /// Gives the correct time to local events that nobody else has and that are far ahead of the peer's clock: the
    /// local clock was wrong when they were recorded, or still is.
    pub(super) async fn right_times(&mut self, peer: &mut Peer) -> Result<()> {
        for _ in 0..TRIES {
            let (now, drift) = (peer.time, peer.limits.drift());
            let unshared = self.unshared(peer, |stored| stored.event.time.drifts(now, drift)).await?;
            if unshared.0.is_empty() || self.renumber(peer, unshared, false).await? {
                break;
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

    /// Renumbers events, part by part. Returns false if the log has changed meanwhile. All then get another name: under
    /// this one, events may have been recorded that come after those that are left.
    async fn renumber(&mut self, peer: &mut Peer, (events, mut head): Unshared, taken: bool) -> Result<bool> {
        let (now, drift) = match knows_the_time(peer) {
            true => (peer.time, peer.limits.drift()),
            false => (self.replica.now(), Duration::MAX),
        };
        let mut fresh = None;
        let mut parts = parts(events, peer.limits.batch_events).into_iter().peekable();
        while let Some(events) = parts.next() {
            let (name, last) = (fresh.clone(), parts.peek().is_none());
            let (handed, entropy) = (peer.handed, self.replica.entropy()?);
            let renumber = Renumber { events, taken, name, last, handed, head, now, drift, entropy };
            let Some(done) = self.commit(&peer.turn, renumber).await? else {
                peer.handed =
                    self.commit(&peer.turn, HandedOut { upto: peer.handed, put: Vec::new() }).await?;
                return Ok(false);
            };
            head = done.head;
            self.report.recovery.renumbered += done.events;
            if peer.caller.node != done.author {
                self.report.recovery.renamed_to = Some(done.author.clone());
                peer.caller.node = done.author.clone();
            }
            fresh = Some(done.author);
            peer.identity = self.store.identity().await?;
            peer.ahead = None;
        }
        Ok(true)
    }

    /// Returns the local events that were never handed out and that the peer lacks. If it holds some, a copy of this log
    /// handed them out, and with them the log up to there.
    async fn unshared(&self, peer: &mut Peer, wanted: impl Fn(&StoredEvent) -> bool) -> Result<Unshared> {
        let (mut events, head) = self.never_handed_out(peer, wanted).await?;
        let ids: Vec<EventId> = events.iter().map(|(_, id, _)| id.clone()).collect();
        let mut missing = HashSet::new();
        for ids in ids.chunks(peer.limits.batch_events) {
            let request =
                MissingRequest { caller: peer.caller.clone(), ids: ids.to_vec(), known: peer.known() };
            let answer = self.calls.missing(request).await?;
            peer.told = answer.place.or(peer.told.take());
            missing.extend(answer.ids);
        }
        let shared = events.iter().rev().find(|(_, id, _)| !missing.contains(id));
        if let Some((upto, ..)) = shared {
            let upto = HandedOut { upto: *upto, put: Vec::new() };
            peer.handed = self.commit(&peer.turn, upto).await?;
            events.retain(|(position, ..)| *position > peer.handed);
        }
        Ok((events.into_iter().map(|(_, id, aggregate)| (id, aggregate)).collect(), head))
    }

    /// Returns the local events that were never handed out, in the order of the log, and how far it was read.
    async fn never_handed_out(
        &self,
        peer: &Peer,
        wanted: impl Fn(&StoredEvent) -> bool,
    ) -> Result<(Vec<(Position, EventId, AggregateId)>, Position)> {
        let (mut events, mut after) = (Vec::new(), peer.handed);
        loop {
            let page = self.store.read(Query::after(after)).await?;
            let place = read_to(&page);
            for stored in page.events.into_iter().filter(|stored| is_new(peer, stored) && wanted(stored)) {
                events.push((stored.position, stored.event.id, stored.event.aggregate_id));
            }
            after = page.scanned_to;
            if !page.more {
                if !self.holds_in(&peer.turn, &[place]).await? {
                    return Err(self.overtaken());
                }
                return Ok((events, after));
            }
        }
    }
}

/// Divides events into parts of about `most`, each with whole aggregates; at least one part.
fn parts(events: BTreeMap<EventId, AggregateId>, most: usize) -> Vec<BTreeMap<EventId, AggregateId>> {
    let mut aggregates: BTreeMap<AggregateId, Vec<EventId>> = BTreeMap::new();
    for (id, aggregate) in events {
        aggregates.entry(aggregate).or_default().push(id);
    }
    let mut parts = vec![BTreeMap::new()];
    for (aggregate, ids) in aggregates {
        if parts.last().is_some_and(|part| !part.is_empty() && part.len() + ids.len() > most) {
            parts.push(BTreeMap::new());
        }
        parts.last_mut().into_iter().for_each(|part| {
            part.extend(ids.iter().map(|id| (id.clone(), aggregate.clone())));
        });
    }
    parts
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
