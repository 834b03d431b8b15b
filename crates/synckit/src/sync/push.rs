//! Pushing: batch by batch in log order. Foreign events are offered only after asking whether they are missing.

use std::collections::HashSet;

use synckit_core::{
    Cursor, Error, ErrorKind, Event, EventId, EventStore, Limits, MissingRequest, Note, Page, Position,
    PushRequest, PushResponse, Query, RefusalCode, Refused, Result, StoreId, StoredEvent, Transport,
};
use synckit_plan::{
    StoreExt,
    notes::{self, PushNote, RefusedEvent},
};

use crate::replica::Pages;
use crate::report::{Refusal, RefusedBy};
use crate::sync::calls::spoiled;
use crate::sync::checkpoint::HandedOut;
use crate::sync::peer::Peer;
use crate::sync::session::Session;

impl<S: EventStore, T: Transport> Session<'_, S, T> {
    pub(super) async fn push(&mut self, peer: &mut Peer) -> Result<()> {
        self.push_again(peer).await?;
        let at_first = (peer.push.clone(), peer.pull.clone());
        let mut timed = false;
        loop {
            let query = self.to_push(peer.store, &peer.push, peer.limits);
            let page = match peer.ahead.take() {
                Some((asked, page)) if asked == query => page,
                _ => self.store.read(query).await?,
            };
            if page.store != peer.caller.store {
                // Another user of this store found that it was restored or copied.
                return Err(Error::new(
                    ErrorKind::CursorUnknown,
                    "this replica took a fresh id in the meantime",
                ));
            }
            if !timed && self.has_wrong_times(peer, &page) {
                timed = true;
                self.right_times(peer).await?;
                continue;
            }
            let (scanned_to, more) = (page.scanned_to, page.more);
            self.report.local_head = self.report.local_head.max(scanned_to);
            let refused = self.push_page(peer, page).await?;
            peer.push.position = scanned_to;
            peer.handed = peer.handed.max(scanned_to);
            if !refused.is_empty() {
                // The peer did not record the place, so from here on it is known only locally.
                let note = |aside: &RefusedEvent| {
                    Note::json(notes::refused_by_peer(peer.store, &EventId::new(&aside.id)?), aside)
                };
                let put = refused.iter().map(note).collect::<Result<_>>()?;
                self.save(peer, put).await?;
            }
            self.progress();
            if !more {
                break;
            }
        }
        // Changes are saved together with the end of the sync: one commit, not two. After a crash before that, the next
        // sync offers again what the peer already knows.
        peer.unsaved |= (&peer.push, &peer.pull) != (&at_first.0, &at_first.1);
        Ok(())
    }

    /// Returns the query for what to push next from the local log.
    pub(super) fn to_push(&self, peer: StoreId, note: &PushNote, limits: Limits) -> Query {
        Query::after(note.position)
            .at_most(self.calls.pace(limits.batch_events), limits.batch_bytes)
            .except_source(Some(peer))
    }

    /// Offers the events that the peer refused and that are to be retried, without asking whether they are missing: an
    /// id that is taken there is not missing.
    async fn push_again(&mut self, peer: &mut Peer) -> Result<()> {
        if !peer.again {
            return Ok(());
        }
        let mut pages = Pages::under(notes::refused_by(peer.store));
        loop {
            let page = pages.next(self.store).await?;
            if page.is_empty() {
                break;
            }
            for note in page {
                self.push_note_again(peer, note).await?;
            }
        }
        peer.again = false;
        self.store.edit(Vec::new(), vec![notes::again(peer.store)]).await
    }

    async fn push_note_again(&mut self, peer: &mut Peer, note: Note) -> Result<()> {
        let aside: RefusedEvent = note.parse()?;
        let Some(position) = aside.position.filter(|_| aside.again) else { return Ok(()) };
        let stored = self.store.stored_at(position).await?;
        let event = stored.map(|stored| stored.event).filter(|event| event.id.as_str() == aside.id);
        let refused = self.push_batch(peer, event.into_iter().collect(), None).await?;
        self.report_refused(&refused);
        let place = [(position, EventId::new(&aside.id)?)];
        let again = refused.into_iter().filter_map(|refused| refused_event(peer, refused, &place));
        let put: Vec<Note> =
            again.map(|aside| Note::json(note.key.clone(), &aside)).collect::<Result<_>>()?;
        let delete = if put.is_empty() { vec![note.key] } else { Vec::new() };
        self.store.edit(put, delete).await
    }

    fn report_refused(&mut self, refused: &[Refused]) {
        for Refused { id, code, message, .. } in refused.iter().cloned() {
            self.refuse(Refusal { id, by: RefusedBy::Peer, code, message });
        }
    }

    async fn push_page(&mut self, peer: &mut Peer, page: Page) -> Result<Vec<RefusedEvent>> {
        let Some(last) = page.events.last() else { return Ok(Vec::new()) };
        let upto = peer.identity.secret.cursor(peer.caller.store, last.position, last.mark);
        let mut offered: Vec<StoredEvent> = page.events;
        offered.retain(|stored| self.settings.passes(&stored.event));
        // The peer may hold what was handed out before, or came from elsewhere.
        let handed = peer.handed;
        let foreign = |stored: &StoredEvent| stored.position <= handed || stored.source.is_some();
        let asked: Vec<EventId> =
            offered.iter().filter(|stored| foreign(stored)).map(|stored| stored.event.id.clone()).collect();
        if !asked.is_empty() {
            let request = MissingRequest { caller: peer.caller.clone(), ids: asked };
            let answer = self.calls.missing(request).await?;
            let missing: HashSet<EventId> = answer.ids.into_iter().collect();
            peer.push.placed = answer.place.or(peer.push.placed.take());
            offered.retain(|stored| !foreign(stored) || missing.contains(&stored.event.id));
        }
        if offered.is_empty() {
            return Ok(Vec::new());
        }
        let places: Vec<(Position, EventId)> =
            offered.iter().map(|stored| (stored.position, stored.event.id.clone())).collect();
        let events: Vec<Event> = offered.into_iter().map(|stored| stored.event).collect();
        let refused = self.push_batch(peer, events, Some(upto)).await?;
        self.report_refused(&refused);
        Ok(refused.into_iter().filter_map(|refused| refused_event(peer, refused, &places)).collect())
    }

    /// Pushes a batch. One that is refused as a whole, or does not get through in time, is halved until the offending
    /// event stands alone.
    async fn push_batch(
        &mut self,
        peer: &mut Peer,
        events: Vec<Event>,
        upto: Option<Cursor>,
    ) -> Result<Vec<Refused>> {
        let mut refused = Vec::new();
        let mut parts = vec![(0, events)];
        while let Some((offset, events)) = parts.pop() {
            let last_part = parts.is_empty() && refused.is_empty();
            let request = PushRequest {
                caller: peer.caller.clone(),
                filter: self.filter.clone(),
                events: events.clone(),
                from: peer.push.acknowledged.clone(),
                upto: if last_part { upto.clone() } else { None },
            };
            let response = match self.calls.push(request).await {
                Err(error)
                    if events.len() > 1
                        && (spoiled(&error) || self.calls.can_shrink(&error, events.len())) =>
                {
                    if error.kind() == ErrorKind::Timeout {
                        self.calls.slow_down(events.len());
                    }
                    let (left, right) = events.split_at(events.len() / 2);
                    parts.push((offset + left.len(), right.to_vec()));
                    parts.push((offset, left.to_vec()));
                    continue;
                }
                Err(error) if spoiled(&error) && events.len() == 1 => PushResponse {
                    refused: vec![Refused {
                        index: 0,
                        id: events[0].id.to_string(),
                        code: match error.kind() {
                            ErrorKind::TooLarge => RefusalCode::TooLarge,
                            _ => RefusalCode::Invalid,
                        },
                        message: error.to_string(),
                    }],
                    ..PushResponse::default()
                },
                answer => answer?,
            };
            if let Some(placed) = response.placed {
                peer.moved_on(placed);
            }
            self.report.pushed += response.accepted;
            self.report.duplicates += response.duplicates;
            if last_part && response.refused.is_empty() && upto.is_some() {
                peer.push.acknowledged.clone_from(&upto);
            }
            let own = |event: &&Event| event.dot.as_ref().is_some_and(|dot| dot.node == peer.caller.node);
            let latest = events.iter().rfind(own).map(|event| event.id.clone());
            peer.push.latest = latest.filter(|_| response.refused.is_empty()).or(peer.push.latest.take());
            refused
                .extend(response.refused.into_iter().map(|one| Refused { index: one.index + offset, ..one }));
        }
        Ok(refused)
    }

    /// Saves how far each side has the other's events, together with other notes.
    pub(super) async fn save(&self, peer: &Peer, mut put: Vec<Note>) -> Result<()> {
        put.push(Note::json(notes::push(peer.store, &self.filter), &peer.push)?);
        if let Some(pull) = &peer.pull {
            put.push(Note::json(notes::pull(peer.store, &self.filter), pull)?);
        }
        self.store.commit(HandedOut { upto: peer.handed, put }).await.map(drop)
    }
}

/// Creates the note for an event that the peer refused. The peer names it by its index in the batch.
fn refused_event(peer: &Peer, refused: Refused, places: &[(Position, EventId)]) -> Option<RefusedEvent> {
    let (position, id) = places.get(refused.index)?;
    Some(RefusedEvent {
        position: Some(*position),
        again: false,
        id: id.to_string(),
        peer: peer.store,
        code: refused.code,
        message: refused.message,
        event: None,
    })
}
