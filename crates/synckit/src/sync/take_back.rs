//! What a peer has from this replica under a former id, or may show to it only now: requested by id, once.
//!
//! A pull leaves out what came from the caller. Under a former id, a copy of this replica, or this replica before it
//! was restored, may have pushed events that it does not hold. They are in the part of the peer's log that was already
//! pulled. Only their ids are listed, and what is not held is fetched.

use std::collections::{BTreeSet, HashSet};

use synckit_core::{
    Cursor, ErrorKind, Event, EventId, EventStore, Filter, Needs, Note, Position, PullRequest, Result, Scope,
    StoreId, Transport,
};
use synckit_plan::{
    StoreExt,
    notes::{self, Asked, PullNote},
};

use crate::sync::checkpoint::HandedOut;
use crate::sync::peer::Peer;
use crate::sync::session::Session;

impl<S: EventStore, T: Transport> Session<'_, S, T> {
    /// Takes back the events in the pulled part of the peer's log that are missing here.
    pub(super) async fn take_back(&mut self, peer: &mut Peer) -> Result<()> {
        let (own, rights) = (peer.caller.store, peer.rights.clone());
        let Some(note) = peer.pull.clone().filter(|note| note.held_by != own || note.rights != rights) else {
            return Ok(());
        };
        // If this replica may read more than before, any event may have been skipped.
        let stores: BTreeSet<_> = match note.rights == rights {
            true => peer.identity.former.iter().map(|former| former.store).filter(|id| *id != own).collect(),
            false => BTreeSet::new(),
        };
        if note.rights != rights || !stores.is_empty() {
            match self.holds(peer, &note.cursor, &stores).await {
                // The part was pulled from a copy of the peer.
                Err(error) if error.kind() == ErrorKind::CursorUnknown => peer.pull_anew(error)?,
                held => {
                    held?;
                    self.take_back_sent(peer, &note, stores).await?;
                }
            }
        }
        if let Some(note) = &mut peer.pull {
            (note.held_by, note.rights, note.asked) = (own, rights, None);
            peer.unsaved = true;
        }
        Ok(())
    }

    /// Takes back what came from these stores, or everything if there are none, from where the last sync stopped.
    async fn take_back_sent(
        &mut self,
        peer: &mut Peer,
        note: &PullNote,
        stores: BTreeSet<StoreId>,
    ) -> Result<()> {
        let (own, rights, upto) = (peer.caller.store, peer.rights.clone(), note.cursor.position());
        let asked = note.asked.clone().filter(|asked| asked.by == own && asked.rights == rights);
        let mut reached = asked.map(|asked| asked.to);
        while reached.as_ref().map_or(0, Cursor::position) < upto {
            let request = self.request(peer, reached.clone(), Scope::Sent(stores.iter().copied().collect()));
            // Not beyond what was pulled: the rest arrives in its order.
            let left = upto - reached.as_ref().map_or(0, Cursor::position);
            let most = peer.limits.batch_events.min(usize::try_from(left).unwrap_or(usize::MAX));
            let page = match self.calls.pull(request, most).await {
                Err(error) if error.kind() == ErrorKind::CursorUnknown => {
                    // A copy of the peer was asked up to there.
                    let note = PullNote { asked: None, ..note.clone() };
                    let note = Note::json(notes::pull(peer.store, &self.filter), &note)?;
                    self.edit(peer, vec![note], Vec::new()).await?;
                    return Err(error);
                }
                page => page?,
            };
            let lacking = self.note_handed_out(peer, page.ids).await?;
            let accepted = self.fetch(peer, lacking, self.settings.filter.clone()).await?;
            self.report.recovery.taken_back += accepted;
            reached = Some(page.next.clone());
            if let Some(note) = &mut peer.pull {
                note.asked = Some(Asked { by: own, rights: rights.clone(), to: page.next });
            }
            if !page.more {
                break;
            }
            let note = Note::json(notes::pull(peer.store, &self.filter), &peer.pull)?;
            self.edit(peer, vec![note], Vec::new()).await?;
        }
        Ok(())
    }

    /// Records that local events which the peer has were handed out, and with them the log up to there: if not by this
    /// log, then by a copy of it. Returns the ids of those that are missing here.
    async fn note_handed_out(&self, peer: &mut Peer, mut ids: Vec<EventId>) -> Result<Vec<EventId>> {
        let needs = Needs { ids: ids.clone(), ..Needs::default() };
        let facts = self.facts_in(&peer.turn, needs).await?.ok_or_else(|| self.overtaken())?;
        let held = ids.iter().filter_map(|id| facts.position(id));
        let mut held: Vec<Position> = held.filter(|position| *position > peer.handed).collect();
        held.sort_unstable();
        while let Some(position) = held.pop() {
            let stored = self.store.stored_at(position).await;
            if stored.is_ok_and(|stored| stored.is_some_and(|stored| stored.source.is_none())) {
                let handed = HandedOut { upto: position, put: Vec::new() };
                peer.handed = self.commit(&peer.turn, handed).await?;
                break;
            }
        }
        ids.retain(|id| facts.position(id).is_none());
        Ok(ids)
    }

    /// Builds a request for the part of the peer's log in `scope` that the filter lets through.
    pub(super) fn request(&self, peer: &Peer, cursor: Option<Cursor>, scope: Scope) -> PullRequest {
        PullRequest {
            caller: peer.caller.clone(),
            cursor,
            limit: None,
            filter: self.settings.filter.clone(),
            scope,
            upto: None,
        }
    }

    /// Checks that the peer's log holds a place. `CursorUnknown` if it does not.
    async fn holds(&self, peer: &Peer, place: &Cursor, stores: &BTreeSet<StoreId>) -> Result<()> {
        let cursor = Some(place.clone()).filter(|place| place.position() > 0);
        let request = self.request(peer, cursor, Scope::Sent(stores.iter().copied().collect()));
        self.calls.pull(request, 1).await.map(drop)
    }

    /// Fetches events by their ids, as far as they pass a filter. Returns how many were stored.
    pub(super) async fn fetch(
        &mut self,
        peer: &Peer,
        mut ids: Vec<EventId>,
        filter: Filter,
    ) -> Result<usize> {
        let mut accepted = 0;
        while !ids.is_empty() {
            let wanted: HashSet<EventId> = ids.iter().take(peer.limits.batch_events).cloned().collect();
            let request = PullRequest {
                filter: filter.clone(),
                ..self.request(peer, None, Scope::Named(wanted.iter().cloned().collect()))
            };
            let mut events = self.calls.pull(request, peer.limits.batch_events).await?.events;
            events.retain(|event| wanted.contains(&event.id));
            let got: HashSet<EventId> = events.iter().map(|event| event.id.clone()).collect();
            if got.is_empty() {
                // The rest is gone, or not readable for this replica.
                break;
            }
            ids.retain(|id| !got.contains(id));
            // One that could not be read or stored before is listed no longer, unless it is refused again.
            let refused = got.iter().map(|id| notes::refused_here(peer.store, id.as_str())).collect();
            accepted += self.take(peer, events, refused).await?;
        }
        Ok(accepted)
    }

    /// Stores events that move no checkpoint, and deletes these notes. Returns how many were stored.
    pub(super) async fn take(
        &mut self,
        peer: &Peer,
        events: Vec<Event>,
        mut delete: Vec<String>,
    ) -> Result<usize> {
        delete.sort_unstable();
        let mut receive = self.replica.receive(Some(peer.store), events)?;
        receive.keep_refused = true;
        receive.author = Some(peer.identity.author.clone());
        receive.delete = delete;
        let received = self.commit(&peer.turn, receive).await?;
        let accepted = received.accepted;
        self.count(received, Vec::new()).await?;
        Ok(accepted)
    }
}
