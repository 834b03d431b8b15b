//! The response to a hello: who the endpoint is, and what it knows of the caller.

use synckit_core::{
    Ahead, Caller, Cursor, Error, ErrorKind, Event, EventStore, HelloRequest, HelloResponse, Needs, Note,
    PROTOCOL_VERSION, PushRequest, PushResponse, Result, StoreId, Stored,
};
use synckit_plan::Pushed;
use synckit_plan::notes::{self, Latest};

use crate::endpoint::{Endpoint, check_filter};
use crate::peer_notes::{notes_about, places_in, text};

impl<S: EventStore> Endpoint<S> {
    pub(super) async fn answer_hello(&self, request: HelloRequest) -> Result<HelloResponse> {
        if request.protocol != PROTOCOL_VERSION {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "the two sides speak different versions; upgrade the older side",
            )
            .with("caller's version", request.protocol)
            .with("version here", PROTOCOL_VERSION));
        }
        check_filter(&request.filter)?;
        let origin = notes::origin(&request.caller.node);
        let pushed = notes::pushed(request.caller.store, &request.filter);
        let needs = Needs {
            notes: vec![Note::NODE.to_owned(), origin.clone()],
            under: notes_about(request.caller.store).into(),
            places: request.known.iter().map(Cursor::position).collect(),
            ..Needs::default()
        };
        let (facts, identity) = loop {
            let facts = self.store.facts(needs.clone()).await?;
            let identity = Note::read_identity(facts.note(Note::NODE))?;
            let lacks = |place: &Cursor| {
                place.store() == facts.head.store && identity.secret.sealed(place) && !facts.holds(place)
            };
            if !request.known.iter().any(lacks) {
                break (facts, identity);
            }
            self.renew(facts.head.store).await?;
        };
        if facts.head.store == request.caller.store {
            return Err(same_store().with("node", &request.caller.node).at("endpoint", "hello"));
        }
        let ours = |cursor: &Cursor| cursor.store() == facts.head.store || identity.was(cursor.store());
        let latest: Option<Latest> = facts.note(&origin).map(|value| text(&origin, value)).transpose()?;
        let former: Vec<StoreId> = identity.former.iter().map(|former| former.store).collect();
        let place = |pushed: Pushed| pushed.place;
        let mut answer = HelloResponse {
            protocol: PROTOCOL_VERSION,
            store: facts.head.store,
            former: former[former.len().saturating_sub(HelloResponse::MAX_FORMER)..].to_vec(),
            head: facts.head.position,
            limits: self.limits,
            time: self.environment.now(),
            counter: latest.as_ref().map_or(0, |latest| latest.counter),
            counter_event: latest.map(|latest| latest.event),
            pushed: facts.note(&pushed).map(|value| text(&pushed, value)).transpose()?.map(place),
            known: places_in(request.caller.store, &facts)?,
            rights: self.access.as_ref().and_then(|access| access.rights(&request.caller)),
            all_held: request.known.iter().all(|place| ours(place) && facts.holds(place)),
            ahead: None,
            node: identity.author,
        };
        if let Some(ahead) = request.ahead.filter(|ahead| is_as_expected(&answer, ahead)) {
            answer.ahead = self.store_ahead(request.caller, request.filter, ahead, request.known).await?;
        }
        Ok(answer)
    }

    /// Stores events that came with a hello, as a push does. Refusals are reported by the push that follows.
    async fn store_ahead(
        &self,
        caller: Caller,
        filter: String,
        ahead: Ahead,
        known: Vec<Cursor>,
    ) -> Result<Option<Stored>> {
        let Ahead { after, events, upto, .. } = ahead;
        // Events too far ahead of the local clock get the correct time before they are pushed.
        let late = |event: &Event| event.time.drifts(self.environment.now(), self.limits.drift());
        if events.len() > self.limits.batch_events || events.iter().any(late) {
            return Ok(None);
        }
        let push = PushRequest { caller, filter, events, from: Some(after), upto: Some(upto), known };
        let PushResponse { accepted, duplicates, refused, placed } = self.store_pushed(push).await?;
        Ok(refused.is_empty().then_some(Stored { accepted, duplicates, placed }))
    }
}

fn same_store() -> Error {
    let message = "both sides are the same store: a database was copied, or a replica syncs with itself; give each \
                   replica a store of its own";
    Error::new(ErrorKind::Conflict, message)
}

/// Returns whether everything is as expected by a caller that hands over events with its hello.
fn is_as_expected(answer: &HelloResponse, ahead: &Ahead) -> bool {
    answer.store == ahead.peer
        && answer.all_held
        && answer.pushed.as_ref() == Some(&ahead.after)
        && answer.known.iter().all(|known| *known == ahead.after)
        && answer.counter_event == ahead.latest
}
