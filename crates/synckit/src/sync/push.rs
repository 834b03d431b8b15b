//! Pushing: batch by batch in log order. Foreign events are offered only after asking whether they are missing.

use std::collections::HashSet;

use synckit_core::{
    Cursor, Error, ErrorKind, EventId, EventStore, Limits, MissingRequest, Note, Page, Position, Query,
    Refused, Result, StoreId, StoredEvent, Transport,
};
use synckit_plan::notes::{self, HeldBack, PushNote, RefusedNote};

use crate::bound::read_to;
use crate::damage::{DamagedRow, read_over};
use crate::report::{RefusedBy, RefusedEvent};
use crate::sync::batch::Pushed;
use crate::sync::checkpoint::HandedOut;
use crate::sync::peer::Peer;
use crate::sync::session::Session;

/// What became of a page.
#[derive(Default)]
struct Offered {
    /// The notes of what was refused or held back.
    notes: Vec<Note>,
    /// The position of the last event that was dealt with, and why the rest was not.
    stopped: Option<(Option<Position>, Error)>,
}

impl<S: EventStore, T: Transport> Session<'_, S, T> {
    pub(super) async fn push(&mut self, peer: &mut Peer) -> Result<()> {
        let at_first = (peer.push.clone(), peer.pull.clone());
        self.push_again(peer).await?;
        let mut timed = false;
        loop {
            let query = self.to_push(peer.store, &peer.push, peer.limits);
            let (page, damaged) = match peer.ahead.take() {
                Some((asked, page)) if asked == query => {
                    peer.unchecked |= page.events.is_empty();
                    (page, None)
                }
                _ => {
                    let read = read_over(self.store, query).await?;
                    self.check(peer, &read.0).await?;
                    read
                }
            };
            if peer.place.is_some_and(|place| place != (peer.push.position, page.from)) {
                // The log was restored, or renumbered.
                return Err(self.overtaken());
            }
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
                peer.place = None;
                continue;
            }
            let (scanned_to, mark, more) = (page.scanned_to, page.upto, page.more);
            self.report.local_head = self.report.local_head.max(scanned_to);
            let Offered { mut notes, stopped } = match damaged {
                Some(row) => Offered { notes: self.hold_back_damaged(peer, row).await?, stopped: None },
                None => self.push_page(peer, page).await?,
            };
            let reached = match &stopped {
                Some((reached, _)) => reached.unwrap_or(peer.push.position),
                None => scanned_to,
            };
            let moved = reached > peer.push.position;
            (peer.push.position, self.report.pushed_to) = (reached, reached);
            peer.place = (reached == scanned_to).then_some((reached, mark));
            peer.handed = peer.handed.max(reached);
            if let Some((_, error)) = stopped {
                if moved && error.kind() != ErrorKind::CursorUnknown {
                    notes.extend(self.pace_note(peer.store)?);
                    self.save(peer, notes).await?;
                }
                return Err(error);
            }
            if !notes.is_empty() {
                // The peer did not record the place, so from here on it is known only locally.
                self.save(peer, notes).await?;
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

    /// Checks that a page may be pushed: that what it leaves out, and what pages since the last check have left out, came
    /// from the peer and not from a copy of it.
    async fn check(&self, peer: &mut Peer, page: &Page) -> Result<()> {
        let after = peer.push.position;
        let follows = peer.turn.reads_on((after, page.from), read_to(page));
        peer.unchecked |= !follows || page.scanned_to - after > page.events.len() as Position;
        if peer.unchecked && (!page.events.is_empty() || peer.turn.is_beyond(page.scanned_to)) {
            if !self.holds_in(&peer.turn, &[read_to(page)]).await? {
                return Err(self.overtaken());
            }
            peer.unchecked = false;
        }
        Ok(())
    }

    /// Returns the query for what to push next from the local log.
    pub(super) fn to_push(&self, peer: StoreId, note: &PushNote, limits: Limits) -> Query {
        Query::after(note.position)
            .at_most(self.calls.paces().push.size(limits.batch_events), limits.batch_bytes)
            .except_source(Some(peer))
    }

    async fn push_page(&mut self, peer: &mut Peer, page: Page) -> Result<Offered> {
        let Some(last) = page.events.last() else { return Ok(Offered::default()) };
        let upto = peer.identity.secret.cursor(peer.caller.store, last.position, last.mark);
        let mut offered: Vec<StoredEvent> = page.events;
        offered.retain(|stored| self.settings.passes(&stored.event));
        // The peer may hold what was handed out before, or came from elsewhere.
        let handed = peer.handed;
        let foreign = |stored: &StoredEvent| stored.position <= handed || stored.source.is_some();
        let asked: Vec<EventId> =
            offered.iter().filter(|stored| foreign(stored)).map(|stored| stored.event.id.clone()).collect();
        if !asked.is_empty() {
            let request = MissingRequest { caller: peer.caller.clone(), ids: asked, known: peer.known() };
            let answer = self.calls.missing(request).await?;
            let missing: HashSet<EventId> = answer.ids.into_iter().collect();
            peer.told = answer.place.or(peer.told.take());
            peer.push.placed = peer.told.clone().or(peer.push.placed.take());
            offered.retain(|stored| !foreign(stored) || missing.contains(&stored.event.id));
        }
        self.offer(peer, offered, upto).await
    }

    /// Pushes events, and notes what was refused or did not get through.
    async fn offer(&mut self, peer: &mut Peer, batch: Vec<StoredEvent>, upto: Cursor) -> Result<Offered> {
        let pushed = self.push_batch(peer, &batch, Some(&upto)).await;
        let notes = self.note_kept(peer, &pushed)?;
        let reached = pushed.done.checked_sub(1).map(|last| batch[last].position);
        Ok(Offered { notes, stopped: pushed.stopped.map(|error| (reached, error)) })
    }

    /// Reports what the peer refused, and what did not get through. Returns the notes of both.
    pub(super) fn note_kept(&mut self, peer: &mut Peer, pushed: &Pushed<'_>) -> Result<Vec<Note>> {
        let mut notes = Vec::new();
        for (stored, Refused { code, message, .. }) in &pushed.refused {
            let (id, code, message) = (stored.event.id.to_string(), *code, message.clone());
            self.refuse(RefusedEvent { id: id.clone(), by: RefusedBy::Peer, code, message: message.clone() });
            let position = Some(stored.position);
            let aside =
                RefusedNote { position, again: false, id, peer: peer.store, code, message, event: None };
            notes.push(Note::json(notes::refused_by_peer(peer.store, &stored.event.id), &aside)?);
        }
        for (stored, message) in &pushed.held {
            let (id, position) = (stored.event.id.to_string(), stored.position);
            notes.push(self.hold_back(peer, HeldBack { id, position, message: message.clone() })?);
        }
        Ok(notes)
    }

    /// Reports an event that does not reach the peer. Returns its note.
    pub(super) fn hold_back(&mut self, peer: &mut Peer, held: HeldBack) -> Result<Note> {
        tracing::warn!(
            event = held.id,
            position = held.position,
            reason = held.message,
            "an event is held back"
        );
        peer.holds_back = true;
        let note = Note::json(format!("{}{}", notes::held_back(peer.store), held.position), &held)?;
        self.report.hold_back(held);
        Ok(note)
    }

    /// Reports a row of the local log that cannot be read. Returns the notes by which it is tried again, and its event
    /// fetched.
    pub(super) async fn hold_back_damaged(&mut self, peer: &mut Peer, row: DamagedRow) -> Result<Vec<Note>> {
        let id = row.event_in(self.store).await?;
        let note = id.as_ref().map(|id| Note { key: notes::damaged(id), value: Vec::new() });
        let message = "the event cannot be read in the local log".to_owned();
        let id = id.map_or_else(String::new, |id| id.to_string());
        let held = self.hold_back(peer, HeldBack { id, position: row.position, message })?;
        Ok(note.into_iter().chain([held]).collect())
    }

    /// Saves how far each side has the other's events, together with other notes.
    pub(super) async fn save(&self, peer: &Peer, mut put: Vec<Note>) -> Result<()> {
        put.push(Note::json(notes::push(peer.store, &self.filter), &peer.push)?);
        if let Some(pull) = &peer.pull {
            put.push(Note::json(notes::pull(peer.store, &self.filter), pull)?);
        }
        self.commit(&peer.turn, HandedOut { upto: peer.handed, put }).await.map(drop)
    }
}
