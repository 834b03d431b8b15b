//! One batch to the peer: in one part if it gets through, otherwise in smaller ones.

use std::ops::Range;

use synckit_core::{
    Cursor, Error, ErrorKind, EventStore, PushRequest, PushResponse, Refused, RefusedCode, StoredEvent,
    Transport,
};

use crate::sync::calls::{obstructed, spoiled};
use crate::sync::peer::Peer;
use crate::sync::session::Session;

/// How often in one sync something between the two sides may refuse a part before the sync gives up: enough to find a
/// few events among a thousand.
const MOST_OBSTRUCTED: usize = 64;

/// What became of a batch.
#[derive(Default)]
pub(super) struct Pushed<'a> {
    /// What the peer refused, and why.
    pub(super) refused: Vec<(&'a StoredEvent, Refused)>,
    /// The events that did not get through although others did, and why.
    pub(super) held: Vec<(&'a StoredEvent, String)>,
    /// The number of events that were dealt with, from the start of the batch.
    pub(super) done: usize,
    /// Why the rest was not.
    pub(super) stopped: Option<Error>,
}

impl<S: EventStore, T: Transport> Session<'_, S, T> {
    /// Pushes a batch. A part that does not get through becomes smaller; one that is refused as a whole is halved until
    /// the offending event stands alone. An event that the peer judges is refused. One that something between does not
    /// let through, although it lets others pass, is held back.
    ///
    /// With `record`, the place reached by the whole batch, the peer records how far each part reaches, so that nothing
    /// is sent again after a sync that breaks off. It does not while events are held back: a record covers all before
    /// it.
    pub(super) async fn push_batch<'a>(
        &mut self,
        peer: &mut Peer,
        batch: &'a [StoredEvent],
        record: Option<&Cursor>,
    ) -> Pushed<'a> {
        let mut pushed = Pushed::default();
        let whole = Some(0..batch.len()).filter(|whole| !whole.is_empty());
        let mut parts: Vec<Range<usize>> = whole.into_iter().collect();
        let calls = self.calls.clone();
        while let Some(part) = parts.pop() {
            let size = calls.to_push(part.len());
            if size < part.len() {
                parts.extend([part.start + size..part.end, part.start..part.start + size]);
                continue;
            }
            let clean = pushed.refused.is_empty() && pushed.held.is_empty() && !peer.holds_back;
            let upto = record.filter(|_| clean).map(|whole| match &batch[part.end - 1] {
                _ if part.end == batch.len() => whole.clone(),
                last => peer.identity.secret.cursor(peer.caller.store, last.position, last.mark),
            });
            let request = PushRequest {
                caller: peer.caller.clone(),
                filter: self.filter.clone(),
                events: batch[part.clone()].iter().map(|stored| stored.event.clone()).collect(),
                from: peer.push.acknowledged.clone(),
                upto: upto.clone(),
                known: peer.known(),
            };
            let error = match self.noting_pace(peer.store, calls.push(request)).await {
                Ok(response) => {
                    self.count_pushed(peer, &batch[part.clone()], &response, upto);
                    if let Some(refused) = named(&batch[part.clone()], response.refused) {
                        pushed.refused.extend(refused);
                        pushed.done = part.end;
                        continue;
                    }
                    Error::invalid("the peer refuses an event that was not pushed")
                }
                Err(error) => error,
            };
            if calls.can_shrink(&error, part.len()) {
                calls.shrink(&calls.paces().push, part.len());
                parts.push(part);
                continue;
            }
            let content = spoiled(&error) || (obstructed(&error) && self.lets_others_pass(peer).await);
            if !content {
                pushed.stopped = Some(error);
                break;
            }
            if part.len() > 1 {
                let middle = part.start + part.len() / 2;
                parts.extend([middle..part.end, part.start..middle]);
                continue;
            }
            if spoiled(&error) {
                pushed.refused.push((&batch[part.start], judged(&batch[part.start], &error)));
            } else {
                pushed.held.push((&batch[part.start], error.to_string()));
            }
            pushed.done = part.end;
        }
        pushed
    }

    fn count_pushed(
        &mut self,
        peer: &mut Peer,
        part: &[StoredEvent],
        response: &PushResponse,
        upto: Option<Cursor>,
    ) {
        if let Some(placed) = response.placed.clone() {
            peer.moved_on(placed);
        }
        self.report.pushed += response.accepted;
        self.report.duplicates += response.duplicates;
        if response.refused.is_empty() {
            let own = |stored: &&StoredEvent| {
                stored.event.dot.as_ref().is_some_and(|dot| dot.node == peer.caller.node)
            };
            let latest = part.iter().rfind(own).map(|stored| stored.event.id.clone());
            peer.push.latest = latest.or(peer.push.latest.take());
            peer.push.acknowledged = upto.or(peer.push.acknowledged.take());
        }
    }

    /// Returns whether a push without events passes where one with events was refused by something between the two
    /// sides: then it refuses their content. Asks once in a sync, and gives up after too many refusals.
    async fn lets_others_pass(&mut self, peer: &Peer) -> bool {
        self.obstructed += 1;
        if self.obstructed > 1 {
            return self.obstructed <= MOST_OBSTRUCTED;
        }
        let probe = PushRequest {
            caller: peer.caller.clone(),
            filter: self.filter.clone(),
            events: Vec::new(),
            from: peer.push.acknowledged.clone(),
            upto: None,
            known: Vec::new(),
        };
        self.calls.push(probe).await.is_ok()
    }
}

/// Finds the refused events by their ids; `None` if one is not there. An event that was pushed alone is the refused one,
/// whatever the peer could read of its id.
fn named(part: &[StoredEvent], refused: Vec<Refused>) -> Option<Vec<(&StoredEvent, Refused)>> {
    let alone = part.first().filter(|_| part.len() == 1);
    let of = |id: &str| part.iter().find(|stored| stored.event.id.as_str() == id).or(alone);
    refused.into_iter().map(|one| Some((of(&one.id)?, one))).collect()
}

/// Returns why an event is refused that the peer judged as a whole batch.
fn judged(stored: &StoredEvent, error: &Error) -> Refused {
    let code = match error.kind() {
        ErrorKind::TooLarge => RefusedCode::TooLarge,
        _ => RefusedCode::Invalid,
    };
    Refused { id: stored.event.id.to_string(), code, message: error.to_string() }
}
