//! The sizes of messages to a peer, kept between syncs.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use synckit_core::{EventStore, Facts, Note, Result, StoreId, Transport};
use synckit_plan::{
    StoreExt,
    notes::{self, PaceNote},
};
use tokio::time::timeout;

use crate::sync::session::Session;

/// How long a message may be on its way before it is noted that a smaller one may be needed. A process that is killed
/// while it waits leaves this note behind.
const SLOW: Duration = Duration::from_secs(2);

impl<S: EventStore, T: Transport> Session<'_, S, T> {
    /// Starts with the sizes that were learned in earlier syncs with this peer.
    pub(super) fn start_with_pace(&mut self, peer: StoreId, facts: &Facts) -> Result<()> {
        let key = notes::pace(peer);
        let learned = facts.note(&key).map_or(Ok(PaceNote::default()), |value| Note::read(&key, value))?;
        self.calls.start_with(learned);
        self.saved_pace = Some((peer, learned));
        Ok(())
    }

    /// Returns the note of what was learned, if it is not saved yet.
    pub(super) fn pace_note(&mut self, peer: StoreId) -> Result<Option<Note>> {
        let learned = self.calls.learned(self.limits.batch_events);
        if self.saved_pace == Some((peer, learned)) {
            return Ok(None);
        }
        self.saved_pace = Some((peer, learned));
        Note::json(notes::pace(peer), &learned).map(Some)
    }

    /// Returns the note of what was learned about the peer that was met, if it is not saved yet.
    pub(super) fn learned_pace(&mut self) -> Result<Vec<Note>> {
        match self.saved_pace {
            Some((peer, _)) => Ok(self.pace_note(peer)?.into_iter().collect()),
            None => Ok(Vec::new()),
        }
    }

    /// Waits for a message, and notes a smaller size meanwhile if it takes long.
    pub(super) async fn noting_pace<R>(&mut self, peer: StoreId, message: impl Future<Output = R>) -> R {
        let mut message = pin!(message);
        if let Ok(done) = timeout(SLOW, &mut message).await {
            return done;
        }
        let doubted = self.calls.doubted(self.limits.batch_events);
        if self.saved_pace != Some((peer, doubted))
            && let Ok(note) = Note::json(notes::pace(peer), &doubted)
            && self.store.edit(vec![note], Vec::new()).await.is_ok()
        {
            self.saved_pace = Some((peer, doubted));
        }
        message.await
    }
}
