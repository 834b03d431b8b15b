//! Pushing with the hello: if nothing changed at the peer, a few new events cost one round trip.

use synckit_core::{Ahead, EventStore, Facts, Identity, Page, Query, StoreId, Stored, Transport};
use synckit_plan::notes;

use crate::sync::peer::Peer;
use crate::sync::session::Session;

/// The maximum size of the events sent with a hello, in bytes. Small, because they are wasted if something changed at
/// the peer.
const BYTES: usize = 16 << 10;

/// What was read to be pushed, and the query that read it.
pub(crate) type Read = (Query, Page);

impl<S: EventStore, T: Transport> Session<'_, S, T> {
    /// Reads what is to be pushed first, as far as that is known before the hello. What cannot be read now is read
    /// again, and reported, when it is to be pushed.
    pub(super) async fn read_ahead(&self, peer: StoreId, facts: &Facts) -> Option<Read> {
        if !self.pushes() {
            return None;
        }
        let query = self.to_push(peer, &self.push_note(peer, facts).ok()?, self.limits);
        let page = self.store.read(query.clone()).await.ok()?;
        Some((query, page))
    }

    /// Returns what to send with the hello: everything that is to be pushed, if it is small and local. Another peer may
    /// have it already, and may have brought it to this one: then it was sent for nothing.
    pub(super) fn to_hand_over(
        &self,
        peer: StoreId,
        identity: &Identity,
        facts: &Facts,
        page: &Page,
    ) -> Option<Ahead> {
        let held = notes::held_back(peer);
        if facts.notes.keys().any(|key| key.starts_with(&held)) {
            // The peer would record a place beyond events that it does not hold.
            return None;
        }
        let note = self.push_note(peer, facts).ok()?;
        let own = facts.head.store;
        let after = note.acknowledged.filter(|place| place.store() == own && !identity.suspect)?;
        let last = page.events.last()?;
        let upto = identity.secret.cursor(own, last.position, last.mark);
        let (mut events, mut bytes) = (Vec::new(), 0);
        for stored in page.events.iter().filter(|stored| self.settings.passes(&stored.event)) {
            bytes += stored.event.size();
            if bytes > BYTES || stored.source.is_some() {
                return None;
            }
            events.push(stored.event.clone());
        }
        (!events.is_empty()).then_some(Ahead { peer, after, latest: note.latest, events, upto })
    }

    /// Records that the peer stored the events sent with the hello, and the place in the local log that was reached.
    /// Returns the rest of what was read.
    pub(super) fn handed_over(
        &mut self,
        peer: &mut Peer,
        stored: Option<Stored>,
        handed: Option<Ahead>,
        read: Option<Read>,
    ) -> Option<Read> {
        let (query, page) = read?;
        let Some((Stored { accepted, duplicates, placed }, handed)) = stored.zip(handed) else {
            return Some((query, page));
        };
        self.report.pushed += accepted;
        self.report.duplicates += duplicates;
        self.report.local_head = self.report.local_head.max(page.scanned_to);
        if let Some(placed) = placed {
            peer.head = peer.head.max(placed.upto.position());
            if placed.after == peer.compared {
                // Nothing came in between that was not compared.
                peer.compared = placed.upto.position();
            }
            peer.moved_on(placed);
        }
        peer.push.acknowledged = Some(handed.upto);
        peer.push.latest = handed.events.last().map(|event| event.id.clone()).or(peer.push.latest.take());
        peer.push.position = page.scanned_to;
        peer.place = Some((page.scanned_to, page.upto));
        peer.handed = peer.handed.max(page.scanned_to);
        peer.unsaved = true;
        self.progress();
        let rest = Page::empty(page.store, page.scanned_to, page.upto, page.more);
        Some((self.to_push(peer.store, &peer.push, peer.limits), rest))
    }
}
