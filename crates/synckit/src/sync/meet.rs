//! Hello: who the peer is, how far each side has the other's log, and whether this log was set back or copied.

use synckit_core::{
    Caller, Cursor, Error, ErrorKind, EventId, EventStore, Facts, HelloRequest, HelloResponse, Identity,
    Needs, Note, PROTOCOL_VERSION, Renewal, Result, StoreId, Transport,
};
use synckit_plan::{
    Renew,
    notes::{self, PullNote, PushNote},
};

use crate::peer_notes::{notes_about, places_in};
use crate::sync::checkpoint::handed;
use crate::sync::peer::Peer;
use crate::sync::session::Session;

impl<S: EventStore, T: Transport> Session<'_, S, T> {
    /// Says hello. `None` where it turns out that this replica was set back, copied, or shares its name: it has a fresh id and
    /// a fresh name then, and is a stranger to the peer.
    pub(super) async fn meet(&mut self) -> Result<Option<Peer>> {
        let mut about = self.met.get();
        let mut facts = self.ask_about(about.as_slice()).await?;
        let last = notes::last(&self.filter);
        let last: Option<StoreId> = facts.note(&last).map(|value| Note::read(&last, value)).transpose()?;
        if last.is_some() && last != about {
            about = last;
            facts = self.ask_about(about.as_slice()).await?;
        }
        let identity = Note::read_identity(facts.note(Note::NODE))?;
        let caller = Caller { node: identity.author.clone(), store: facts.head.store };
        let mut request = HelloRequest {
            protocol: PROTOCOL_VERSION,
            caller: caller.clone(),
            filter: self.filter.clone(),
            cursor: about.map_or(Ok(None), |peer| furthest(peer, &facts))?,
            ahead: None,
        };
        let read = self.read_ahead(about, &facts).await;
        request.ahead =
            read.as_ref().and_then(|(_, page)| self.to_hand_over(about?, &identity, &facts, page));
        let handed = request.ahead.as_ref().map(|ahead| ahead.upto.clone());
        let latest =
            request.ahead.as_ref().and_then(|ahead| ahead.events.last()).map(|event| event.id.clone());
        let mut hello = match self.calls.hello(request.clone()).await {
            Err(error) if error.kind() == ErrorKind::Conflict => {
                return self.renew(&caller, Renewal::CopyInUse, error).await;
            }
            answer => answer?,
        };
        if about != Some(hello.store) {
            // Another peer than the last time: what is known of its log, if anything, is asked for once more.
            let known: Vec<StoreId> = hello.former.iter().copied().chain([hello.store]).collect();
            facts = self.ask_about(&known).await?;
            request.cursor = furthest(hello.store, &facts)?;
            request.ahead = None;
            if request.cursor.is_some() {
                hello = self.calls.hello(request.clone()).await?;
            }
        }
        check(&hello)?;
        if let Some((why, error)) = self.evidence(&hello, &caller, &identity, &facts).await? {
            return self.renew(&caller, why, error).await;
        }
        self.met.set(hello.store);
        self.told(&hello, about, &facts);
        let mut peer = self.peer(&hello, caller, identity, &facts)?;
        let left = self.handed_over(&mut peer, hello.ahead.zip(handed), latest, read);
        // Where hello took several tries, much may have been recorded meanwhile: it is read again.
        peer.ahead = left.filter(|_| self.calls.made() == 1);
        Ok(Some(peer))
    }

    /// Takes a fresh id and a fresh name, once for each reason in a sync: what is noticed again is told as the error.
    async fn renew(&mut self, caller: &Caller, why: Renewal, error: Error) -> Result<Option<Peer>> {
        if self.renewed_for.contains(&why) && why != Renewal::SetBack {
            return Err(error);
        }
        self.renewed_for.push(why);
        let renew = Renew::new(caller.store, why, self.replica.now(), self.replica.entropy()?);
        let identity = self.store.commit(renew).await?;
        self.renewed(identity.author, why);
        Ok(None)
    }

    /// What shows that this log was set back or copied, or that the name is somebody else's.
    async fn evidence(
        &self,
        hello: &HelloResponse,
        caller: &Caller,
        identity: &Identity,
        facts: &Facts,
    ) -> Result<Option<(Renewal, Error)>> {
        let error = |message: &str| Error::new(ErrorKind::Conflict, message).with("node", &caller.node);
        if hello.store == caller.store {
            let message = "both sides are the same store: a database was copied, or a replica syncs with itself; \
                           give each replica a store of its own";
            return Ok(Some((Renewal::CopyInUse, error(message))));
        }
        if hello.node == caller.node {
            let message = "both sides have the same node id; give each replica a name of its own";
            return Ok(Some((Renewal::NameTaken, error(message))));
        }
        // What the peer confirmed is held: most often nothing else is named.
        let push = self.push_note(hello.store, facts)?;
        let sealed = |place: &&Cursor| place.store() == caller.store && identity.secret.sealed(place);
        let known =
            hello.known.iter().filter(|place| Some(*place) != push.acknowledged.as_ref()).filter(sealed);
        let known: Vec<&Cursor> = known.collect();
        let latest = hello.counter_event.as_ref().filter(|latest| Some(*latest) != push.latest.as_ref());
        if known.is_empty() && latest.is_none() {
            return Ok(None);
        }
        let places = known.iter().map(|place| place.position()).collect();
        let ids: Vec<EventId> = latest.into_iter().cloned().collect();
        let held = self.store.facts(Needs { places, ids, ..Needs::default() }).await?;
        if known.iter().any(|place| !held.holds(place)) {
            let message =
                "the peer knows a place in this log that is not there: a copy of this database is in use";
            return Ok(Some((Renewal::SetBack, error(message))));
        }
        if latest.is_some_and(|latest| !held.held.contains_key(latest)) {
            let why = if hello.known.is_empty() { Renewal::NameTaken } else { Renewal::SetBack };
            return Ok(Some((why, error("the peer holds an event under this name that is not here"))));
        }
        Ok(None)
    }

    /// Puts into the report what the peer said.
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
        self.conflicts_listed = facts.notes.keys().any(|key| key.starts_with(notes::CONFLICTS));
    }

    fn peer(&self, hello: &HelloResponse, caller: Caller, identity: Identity, facts: &Facts) -> Result<Peer> {
        let note = |peer: StoreId| -> Result<Option<PullNote>> {
            let key = notes::pull(peer, &self.filter);
            facts.note(&key).map(|value| Note::read(&key, value)).transpose()
        };
        let mut pull = note(hello.store)?;
        for former in hello.former.iter().rev() {
            // What was pulled from the peer under a former id, it may still hold.
            pull = pull.map_or_else(|| note(*former), |pull| Ok(Some(pull)))?;
        }
        let mut push = self.push_note(hello.store, facts)?;
        if push.acknowledged != hello.pushed {
            // An answer was lost, one of the two has a fresh id, or the peer was set back: what it has on record counts.
            // A place without the own seal was made up by somebody; one that has it is held, or was taken for evidence.
            let own = |place: &Cursor| place.store() == caller.store && identity.secret.sealed(place);
            let own = hello.pushed.clone().filter(own);
            push.position = own.as_ref().map_or(0, Cursor::position);
            push.acknowledged.clone_from(&hello.pushed);
        }
        let refused = notes::aside_out_of(hello.store);
        let mut refused: Vec<_> = facts.notes.iter().filter(|(key, _)| key.starts_with(&refused)).collect();
        refused.sort_unstable();
        let note = |(key, value): (&String, &Vec<u8>)| Note { key: key.clone(), value: value.clone() };
        Ok(Peer {
            store: hello.store,
            head: hello.head,
            time: hello.time,
            cursor_known: hello.cursor_known,
            rights: hello.rights.clone(),
            caller,
            handed: handed(facts)?,
            identity,
            limits: self.limits.min(hello.limits),
            pull,
            push,
            refused: refused.into_iter().map(note).collect(),
            ahead: None,
            unsaved: false,
        })
    }

    /// Asks for all that a sync must know of the own log, and of what is known about peers.
    async fn ask_about(&self, peers: &[StoreId]) -> Result<Facts> {
        let mut under: Vec<String> = peers.iter().copied().flat_map(notes_about).collect();
        under.push(notes::CONFLICTS.to_owned());
        let notes = vec![Note::NODE.to_owned(), notes::HANDED.to_owned(), notes::last(&self.filter)];
        self.store.facts(Needs { notes, under, ..Needs::default() }).await
    }

    pub(super) fn push_note(&self, peer: StoreId, facts: &Facts) -> Result<PushNote> {
        let key = notes::push(peer, &self.filter);
        facts.note(&key).map_or_else(|| Ok(PushNote::default()), |value| Note::read(&key, value))
    }
}

fn furthest(peer: StoreId, facts: &Facts) -> Result<Option<Cursor>> {
    Ok(places_in(peer, facts)?.pop())
}

fn check(hello: &HelloResponse) -> Result<()> {
    if hello.protocol == PROTOCOL_VERSION {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Unsupported, "the peer speaks another version; upgrade the older side")
        .with("peer's version", hello.protocol)
        .with("version here", PROTOCOL_VERSION))
}
