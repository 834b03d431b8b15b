//! What is known before the hello.

use synckit_core::{
    Caller, EventStore, Facts, HelloRequest, Needs, Note, PROTOCOL_VERSION, Query, Result, StoreId, Transport,
};
use synckit_plan::notes;

use crate::bound::read_to;
use crate::peer_notes::{notes_about, places_in};
use crate::replica::Listed;
use crate::sync::meet::{Met, Prepared, Read};
use crate::sync::session::Session;
use crate::sync::turn::Turn;

impl<S: EventStore, T: Transport> Session<'_, S, T> {
    /// Reads everything the hello needs from the store. Most often this takes one read, for the peer that this manager
    /// met last. A new manager expects the peer that is on record.
    pub(super) async fn prepare(&mut self) -> Result<Prepared> {
        let (mut expected, early) = match self.met.get() {
            Some(Met { peer, left }) => (Some(peer), self.read_early(left).await),
            None => (None, None),
        };
        let mut facts = self.ask_about(expected.as_slice()).await?;
        if expected.is_none() {
            let key = self.settings.last();
            expected = facts.note(&key).map(|value| Note::read(&key, value)).transpose()?;
            if expected.is_some() {
                facts = self.ask_about(expected.as_slice()).await?;
            }
        }
        if let Some(peer) = expected {
            self.start_with_pace(peer, &facts)?;
        }
        let identity = Note::read_identity(facts.note(Note::NODE))?;
        let caller = Caller { node: identity.author.clone(), store: facts.head.store };
        let read = match expected {
            Some(peer) => self.read_first(peer, early, &facts).await?,
            None => None,
        };
        let page = read.as_ref().map(|(_, page)| page);
        let request = HelloRequest {
            protocol: PROTOCOL_VERSION,
            caller: caller.clone(),
            filter: self.filter.clone(),
            known: expected.map_or(Ok(Vec::new()), |peer| places_in(peer, &facts))?,
            ahead: expected
                .zip(page)
                .and_then(|(peer, page)| self.to_hand_over(peer, &identity, &facts, page)),
        };
        Ok(Prepared { expected, facts, identity, caller, request, read })
    }

    /// Reads what is to be pushed first if nothing has changed since the last sync of this manager.
    async fn read_early(&self, left: Option<(Query, Vec<u8>)>) -> Option<(Read, Vec<u8>)> {
        let (query, wrote) = left.filter(|_| self.pushes())?;
        let page = self.store.read(query.clone()).await.ok()?;
        Some(((query, page), wrote))
    }

    /// Returns what is to be pushed first, read while no other exchange with this peer stored anything: early, if the
    /// last exchange was this manager's, and otherwise now.
    async fn read_first(
        &self,
        peer: StoreId,
        early: Option<(Read, Vec<u8>)>,
        facts: &Facts,
    ) -> Result<Option<Read>> {
        if let Some((read, wrote)) = early
            && Turn::is_last(peer, facts, &wrote)
            && read.0 == self.to_push(peer, &self.push_note(peer, facts)?, self.limits)
            && read_to(&read.1) == (facts.head.position, facts.head.mark)
        {
            return Ok(Some(read));
        }
        let Some((query, page)) = self.read_ahead(peer, facts).await else { return Ok(None) };
        let turn = Turn::begin(peer, facts, self.replica.ticket()?);
        // What was recorded since the facts is read again. Another exchange may have gone on while this was read.
        let in_turn = !turn.is_beyond(page.scanned_to)
            && (page.events.is_empty() || self.holds_in(&turn, &[read_to(&page)]).await?);
        Ok(in_turn.then_some((query, page)))
    }

    /// Reads everything a sync must know of the local log, and of what is known about peers.
    pub(super) async fn ask_about(&self, peers: &[StoreId]) -> Result<Facts> {
        let mut under: Vec<String> = peers.iter().copied().flat_map(notes_about).collect();
        under.extend(peers.iter().flat_map(|peer| [notes::refused_by(*peer), notes::route(*peer)]));
        under.push(notes::DAMAGED.to_owned());
        let mut notes = vec![Note::NODE.to_owned(), notes::HANDED.to_owned(), self.settings.last()];
        notes.extend(peers.iter().map(|peer| notes::turn(*peer)));
        notes.extend(Listed::KEYS.map(str::to_owned));
        self.store.facts(Needs { notes, under, ..Needs::default() }).await
    }
}
