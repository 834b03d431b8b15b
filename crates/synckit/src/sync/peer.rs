//! What is known of the peer and of how far each side has the other's events.

use synckit_core::{Caller, Identity, Limits, Note, Placed, Position, StoreId};
use synckit_plan::notes::{PullNote, PushNote};

use crate::sync::meet::Read;

/// What is known of the peer and of how far each side has the other's events.
pub(crate) struct Peer {
    pub(crate) store: StoreId,
    /// The last position of its log, as it said.
    pub(crate) head: Position,
    /// Its wall clock, in Unix milliseconds.
    pub(crate) time: u64,
    /// Whether it holds the furthest place that is known in its log.
    pub(crate) cursor_known: bool,
    /// What this replica may read there, by the peer's name for it.
    pub(crate) rights: Option<String>,
    pub(crate) caller: Caller,
    /// Who this replica was when the sync began.
    pub(crate) identity: Identity,
    /// Up to where the own log was handed to anybody.
    pub(crate) handed: Position,
    /// The stricter limits of both sides.
    pub(crate) limits: Limits,
    pub(crate) pull: Option<PullNote>,
    pub(crate) push: PushNote,
    /// The notes of what it has refused.
    pub(crate) refused: Vec<Note>,
    /// What was read to be pushed before the peer said hello, unless the log has moved since.
    pub(crate) ahead: Option<Read>,
    /// Whether the places in both logs have moved since they were put down.
    pub(crate) unsaved: bool,
}

impl Peer {
    /// Whether all of its log was pulled, up to the end that it told.
    pub(crate) fn has_nothing_new(&self) -> bool {
        self.cursor_known
            && self.pull.as_ref().is_some_and(|note| {
                note.held_by == self.caller.store
                    && note.cursor.store() == self.store
                    && note.cursor.position() == self.head
                    && note.rights == self.rights
            })
    }

    /// Takes note of where the peer has put what it was just handed.
    pub(crate) fn moved_on(&mut self, placed: Placed) {
        if let Some(pull) = &mut self.pull
            && pull.cursor.position() == placed.after
            && pull.cursor.store() == placed.upto.store()
        {
            // Nothing of others stands between what was pulled and what was just pushed.
            pull.cursor = placed.upto.clone();
        }
        self.push.placed = Some(placed.upto);
    }
}
