//! What is known of the peer, and how far each side has the other's events.

use synckit_core::{
    Caller, Cursor, Error, HelloResponse, Identity, Limits, LogHead, Mark, Note, Placed, Position, Result,
    StoreId,
};
use synckit_plan::notes::{PullNote, PushNote};

use crate::sync::meet::Read;
use crate::sync::turn::Turn;

/// What is known of the peer, and how far each side has the other's events.
pub(crate) struct Peer {
    pub(crate) store: StoreId,
    /// The last position of its log, as it reported.
    pub(crate) head: Position,
    /// The last position of its log when it said hello, or of what came with the hello right after that. What stands
    /// beyond may come from a copy of this replica.
    pub(crate) compared: Position,
    /// Its wall clock, in Unix milliseconds.
    pub(crate) time: u64,
    /// Whether it holds all known places in its log.
    pub(crate) all_held: bool,
    /// The peer's name for what this replica may read there.
    pub(crate) rights: Option<String>,
    pub(crate) caller: Caller,
    /// The identity of this replica when the sync began.
    pub(crate) identity: Identity,
    /// Where the local log ended before the hello, if a push by a copy of the peer since then would go unnoticed.
    pub(crate) unseen_after: Option<LogHead>,
    /// The position up to which the local log was handed out.
    pub(crate) handed: Position,
    /// The stricter limits of both sides.
    pub(crate) limits: Limits,
    pub(crate) pull: Option<PullNote>,
    pub(crate) push: PushNote,
    /// The place in the local log up to which it was pushed, with the mark there, once it was read.
    pub(crate) place: Option<(Position, Option<Mark>)>,
    /// Whether pages of the local log were passed over without a look at whether the turn lasts.
    pub(crate) unchecked: bool,
    /// The notes of the events that it refused or that did not reach it.
    pub(crate) again: Vec<Note>,
    /// Whether events that were offered in this sync did not reach it although others did.
    pub(crate) holds_back: bool,
    /// The notes of what it could not read, and of what could not be read here.
    pub(crate) owed: Vec<Note>,
    /// Places in its log that it has, as the hello showed.
    pub(crate) known: Vec<Cursor>,
    /// The place up to which it was pulled in this exchange.
    pub(crate) pulled: Option<Cursor>,
    /// The place that it told last when it was asked or pushed to. It had all other known places then.
    pub(crate) told: Option<Cursor>,
    /// What was read to be pushed before the peer said hello, unless the log has changed since.
    pub(crate) ahead: Option<Read>,
    pub(crate) turn: Turn,
    /// Whether the places in both logs have changed since they were saved.
    pub(crate) unsaved: bool,
}

impl Peer {
    /// Returns whether its whole log was pulled, up to the end that it reported.
    pub(crate) fn has_nothing_new(&self) -> bool {
        self.all_held
            && self.pull.as_ref().is_some_and(|note| {
                note.held_by == self.caller.store
                    && note.cursor.store() == self.store
                    && note.cursor.position() == self.head
                    && note.rights == self.rights
            })
    }

    /// Returns whether it said in its hello that it holds this place. If it does not any more, its log was restored since,
    /// and the exchange starts over: the next hello shows it that, and what is known of the place must stay until then.
    pub(crate) fn said_to_hold(&self, place: Option<&Cursor>) -> bool {
        self.all_held && place.is_some_and(|place| place.store() == self.store)
    }

    /// Pulls from the start, because the place up to which it was pulled is unknown to it.
    ///
    /// # Errors
    /// The given error, if it said in its hello that it holds that place.
    pub(crate) fn pull_anew(&mut self, error: Error) -> Result<()> {
        if self.said_to_hold(self.pull.as_ref().map(|note| &note.cursor)) {
            return Err(error);
        }
        self.pull = None;
        Ok(())
    }

    /// Returns places in its log before which it holds what is left out of a push.
    pub(crate) fn known(&self) -> Vec<Cursor> {
        let mut known = self.known.clone();
        for place in self.pulled.iter().chain(&self.told) {
            // The log is the same if it has taken a fresh id since its hello.
            if place.position() > 0 && !known.contains(place) {
                known.push(place.clone());
            }
        }
        known.drain(..known.len().saturating_sub(HelloResponse::MAX_KNOWN));
        known
    }

    /// Records where the peer stored what it just received.
    pub(crate) fn moved_on(&mut self, placed: Placed) {
        self.told = Some(placed.upto.clone());
        if let Some(pull) = &mut self.pull
            && pull.cursor.position() == placed.after
            && pull.cursor.store() == placed.upto.store()
        {
            // No foreign event is between what was pulled and what was just pushed.
            pull.cursor = placed.upto.clone();
        }
        self.push.placed = Some(placed.upto);
    }
}
