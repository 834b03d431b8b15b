//! Pushing with the hello: where the peer is as it was left, few new events cost one round trip.

use synckit_core::notes::PushNote;
use synckit_core::{
    Ahead, Cursor, EventStore, Facts, Page, Position, Query, StoreId, Stored, StoredEvent, Transport,
};

use crate::manager::session::{Peer, Session};

/// The most bytes of events that go with a hello. Little, since they go in vain where the peer is not as it was left.
const BYTES: usize = 16 << 10;

/// Where a sync has ended: what the next one asks for at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Met {
    pub(crate) peer: StoreId,
    /// Up to where the own log was pushed.
    pub(crate) pushed: Position,
}

/// What was read to be pushed, and how it was asked for.
pub(crate) type Read = (Query, Page);

impl<S: EventStore, T: Transport> Session<'_, S, T> {
    /// Reads what is to be pushed if nothing has changed since the last sync.
    pub(super) async fn read_after(&self, met: Option<Met>) -> Option<Read> {
        let Met { peer, pushed } = met?;
        self.read_ahead(peer, &PushNote { position: pushed, ..PushNote::default() }, None).await
    }

    /// Reads what is to be pushed first, unless it has been read. What cannot be read now is read again, and told of, when
    /// it is to be pushed.
    pub(super) async fn read_ahead(
        &self,
        peer: StoreId,
        note: &PushNote,
        read: Option<Read>,
    ) -> Option<Read> {
        if !self.pushes() {
            return None;
        }
        let query = self.to_push(peer, note, self.settings.limits);
        match read {
            Some((asked, page)) if asked == query => Some((asked, page)),
            _ => Some((query.clone(), self.store.read(query).await.ok()?)),
        }
    }

    /// What is handed over with the hello, of what is to be pushed: all of it, if it is little and from here alone.
    pub(super) fn to_hand_over(
        &self,
        peer: StoreId,
        facts: &Facts,
        note: &PushNote,
        page: &Page,
    ) -> Option<Ahead> {
        let after = note.acknowledged.clone().filter(|_| note.position >= note.offer_all_to)?;
        let last = page.events.last()?;
        let upto = Cursor::at(facts.head.store, last.position, last.event.id.clone());
        let matching = |stored: &&StoredEvent| self.settings.filter.matches(&stored.event);
        let small =
            page.events.iter().filter(matching).map(|stored| stored.event.size()).sum::<usize>() <= BYTES;
        let events = page.events.iter().filter(matching);
        let events: Vec<_> = match small && events.clone().all(|stored| stored.source.is_none()) {
            true => events.map(|stored| stored.event.clone()).collect(),
            false => Vec::new(),
        };
        (!events.is_empty()).then_some(Ahead { peer, after, events, upto })
    }

    /// Takes note of what the peer has stored with the hello.
    pub(super) fn handed_over(&mut self, peer: &mut Peer, stored: Stored, upto: Cursor, page: &Page) {
        self.report.pushed += stored.accepted;
        self.report.duplicates += stored.duplicates;
        if let Some(placed) = stored.placed {
            peer.head = peer.head.max(placed.upto.position());
            peer.moved_on(placed);
        }
        peer.push.acknowledged = Some(upto);
        peer.push.position = page.scanned_to;
        peer.unsaved = true;
        self.report.local_head = self.report.local_head.max(page.scanned_to);
        self.progress();
    }
}
