//! What follows from the hello: how far each side has the other's log, or that this log was restored or copied.

use synckit_core::{
    Caller, Cursor, Error, ErrorKind, EventId, EventStore, Facts, HelloResponse, Identity, Needs, Note,
    Renewal, Result, StoreId, Transport,
};
use synckit_plan::notes::{self, PullNote, PushNote};

use crate::peer_notes::places_in;
use crate::sync::meet::{Met, Prepared, Said};
use crate::sync::peer::Peer;
use crate::sync::session::Session;
use crate::sync::turn::Turn;

/// What shows that this log was restored or copied, or that another device uses the same name.
enum Evidence {
    None,
    /// It is so, for this reason.
    Of(Renewal, Error),
    /// Another exchange with the peer has stored something since, so nothing can be said.
    Overtaken,
}

impl<S: EventStore, T: Transport> Session<'_, S, T> {
    /// Combines what both sides know into a peer. `None` if this replica takes a fresh identity instead, or another
    /// exchange was faster.
    pub(super) async fn reconcile(&mut self, prepared: Prepared, said: Said) -> Result<Option<Peer>> {
        let Prepared { expected, facts, identity, caller, request, read } = prepared;
        let Said { hello, facts: other, is_late } = said;
        let before = facts.head;
        let facts = other.unwrap_or(facts);
        let turn = Turn::begin(hello.store, &facts, self.replica.ticket()?);
        match self.evidence(&hello, &caller, &identity, &facts, &turn).await? {
            Evidence::None => {}
            Evidence::Overtaken => return Ok(None),
            Evidence::Of(why, error) => return self.renew(&caller, why, error).await.map(|()| None),
        }
        self.met.set(Met::with(hello.store));
        self.told(&hello, expected, &facts);
        let listed = self.replica.listed_in(|key| facts.note(key))?;
        self.conflicts_wait = listed.needs_resolver();
        self.report.conflicts.on_record(listed.count);
        let mut peer = self.peer(&hello, caller, identity, &facts, turn)?;
        peer.unseen_after = (is_late || peer.turn.wrote().is_none()).then_some(before);
        self.report.pulled_to = peer.pull.as_ref().map_or(0, |note| note.cursor.position());
        self.report.pushed_to = peer.push.position;
        let left = self.handed_over(&mut peer, hello.ahead, request.ahead, read);
        // If hello took several tries, much may have been recorded in the meantime, so it is read again.
        peer.ahead = left.filter(|_| self.calls.made() == 1);
        Ok(Some(peer))
    }

    /// Looks for evidence in what the peer said.
    async fn evidence(
        &self,
        hello: &HelloResponse,
        caller: &Caller,
        identity: &Identity,
        facts: &Facts,
        turn: &Turn,
    ) -> Result<Evidence> {
        let error = |message: &str| Error::new(ErrorKind::Conflict, message).with("node", &caller.node);
        if hello.store == caller.store {
            let message = "both sides are the same store: a database was copied, or a replica syncs with itself; \
                           give each replica a store of its own";
            return Ok(Evidence::Of(Renewal::CopyInUse, error(message)));
        }
        if hello.node == caller.node {
            let message = "both sides have the same node id; give each replica a name of its own";
            return Ok(Evidence::Of(Renewal::NameTaken, error(message)));
        }
        // The place that the peer confirmed needs no lookup; most often it names no other.
        let push = self.push_note(hello.store, facts)?;
        let sealed = |place: &&Cursor| place.store() == caller.store && identity.secret.sealed(place);
        let known =
            hello.known.iter().filter(|place| Some(*place) != push.acknowledged.as_ref()).filter(sealed);
        let known: Vec<&Cursor> = known.collect();
        let latest = hello.counter_event.as_ref().filter(|latest| Some(*latest) != push.latest.as_ref());
        if known.is_empty() && latest.is_none() {
            return Ok(Evidence::None);
        }
        let places = known.iter().map(|place| place.position()).collect();
        let ids: Vec<EventId> = latest.into_iter().cloned().collect();
        let needs = Needs { places, ids, ..Needs::default() };
        let Some(held) = self.facts_in(turn, needs).await? else { return Ok(Evidence::Overtaken) };
        if known.iter().any(|place| !held.holds(place)) {
            let message =
                "the peer knows a place in this log that is not there: a copy of this database is in use";
            return Ok(Evidence::Of(Renewal::SetBack, error(message)));
        }
        if latest.is_some_and(|latest| !held.held.contains_key(latest)) {
            let why = if hello.known.is_empty() { Renewal::NameTaken } else { Renewal::SetBack };
            let error = error("the peer holds an event under this name that is not here");
            return Ok(Evidence::Of(why, error));
        }
        Ok(Evidence::None)
    }

    /// Adds what the peer said to the report.
    fn told(&mut self, hello: &HelloResponse, about: Option<StoreId>, facts: &Facts) {
        self.report.peer = Some(hello.node.clone());
        self.report.peer_store = Some(hello.store);
        self.report.peer_head = hello.head;
        self.report.local_head = facts.head.position;
        self.report.clock_skew_millis =
            hello.time.cast_signed().saturating_sub(self.replica.now().cast_signed());
        let is_new = !facts.notes.keys().any(|key| key.starts_with(&notes::push(hello.store, "")));
        self.report.recovery.peer_was_reset |=
            is_new && about.is_some_and(|about| hello.former.contains(&about));
    }

    fn peer(
        &mut self,
        hello: &HelloResponse,
        caller: Caller,
        identity: Identity,
        facts: &Facts,
        turn: Turn,
    ) -> Result<Peer> {
        let note = |peer: StoreId| -> Result<Option<PullNote>> {
            let key = notes::pull(peer, &self.filter);
            facts.note(&key).map(|value| Note::read(&key, value)).transpose()
        };
        let mut pull = note(hello.store)?;
        for former in hello.former.iter().rev() {
            // The peer may still hold what was pulled from it under a former id.
            pull = pull.map_or_else(|| note(*former), |pull| Ok(Some(pull)))?;
        }
        let mut push = self.push_note(hello.store, facts)?;
        if push.acknowledged != hello.pushed {
            // A response was lost, one of the two has a fresh id, or the peer was restored: what it has on record
            // counts. A place without the local seal was made up by somebody. One that has it is held, or was taken as
            // evidence.
            let own = |place: &Cursor| place.store() == caller.store && identity.secret.sealed(place);
            let own = hello.pushed.clone().filter(own);
            push.position = own.as_ref().map_or(0, Cursor::position);
            push.acknowledged.clone_from(&hello.pushed);
        } else if hello.pushed.is_none() && push.placed.as_ref().is_some_and(|at| at.store() != hello.store) {
            // It has no record of the place, and took a fresh id during the exchange that reached it: what was left out
            // since is held there, but not by a copy that has kept this id.
            push.position = 0;
        }
        self.start_with_pace(hello.store, facts)?;
        let store = hello.store;
        let (refused, held) = (notes::refused_by(store), notes::held_back(store));
        let again = hello.former.iter().chain([&store]).map(|store| notes::fetch_again(*store));
        let owed: Vec<String> = again.chain([notes::gaps(store), notes::DAMAGED.to_owned()]).collect();
        Ok(Peer {
            store: hello.store,
            head: hello.head,
            compared: hello.head,
            time: hello.time,
            all_held: hello.all_held,
            rights: hello.rights.clone(),
            caller,
            unseen_after: None,
            handed: notes::handed(facts)?,
            identity,
            limits: self.limits.min(hello.limits),
            pull,
            push,
            place: None,
            unchecked: false,
            again: notes_under(facts, &[refused, held]),
            holds_back: false,
            owed: notes_under(facts, &owed),
            known: if hello.all_held { places_in(hello.store, facts)? } else { Vec::new() },
            pulled: None,
            told: None,
            ahead: None,
            turn,
            unsaved: false,
        })
    }

    pub(super) fn push_note(&self, peer: StoreId, facts: &Facts) -> Result<PushNote> {
        let key = notes::push(peer, &self.filter);
        facts.note(&key).map_or_else(|| Ok(PushNote::default()), |value| Note::read(&key, value))
    }
}

/// Returns the notes whose key has one of these prefixes, sorted by key.
fn notes_under(facts: &Facts, prefixes: &[String]) -> Vec<Note> {
    let wanted = |key: &str| prefixes.iter().any(|prefix| key.starts_with(prefix));
    let note = |(key, value): (&String, &Vec<u8>)| Note { key: key.clone(), value: value.clone() };
    let mut notes: Vec<Note> = facts.notes.iter().filter(|(key, _)| wanted(key)).map(note).collect();
    notes.sort_unstable_by(|left, right| left.key.cmp(&right.key));
    notes
}
