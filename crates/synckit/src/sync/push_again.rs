//! What did not reach the peer before, or was refused for a reason that may have passed: offered again.

use synckit_core::{EventStore, RefusedCode, Result, StoredEvent, Transport};
use synckit_plan::{
    StoreExt,
    notes::{self, HeldBack, RefusedNote},
};

use crate::damage::DamagedRow;
use crate::sync::peer::Peer;
use crate::sync::session::Session;

/// The maximum number of events that are offered again in one sync without anybody asking for it.
const UNASKED: usize = 100;

impl<S: EventStore, T: Transport> Session<'_, S, T> {
    /// Offers again what was held back, what is to be retried, and what was refused for a reason that may have passed.
    /// The peer is not asked whether it is missing: an id that is taken there is not missing. Counts the refusals that
    /// stand.
    pub(super) async fn push_again(&mut self, peer: &mut Peer) -> Result<()> {
        let (mut again, mut keys, mut unasked) = (Vec::new(), Vec::new(), 0);
        for note in std::mem::take(&mut peer.again) {
            let (position, id) = match note.key.starts_with(notes::REFUSED_BY_PEERS) {
                true => {
                    let aside: RefusedNote = note.parse()?;
                    let passing = matches!(aside.code, RefusedCode::Denied | RefusedCode::TooLarge);
                    unasked += usize::from(!aside.again && passing);
                    let offered = aside.again || (passing && unasked <= UNASKED);
                    let Some(position) = aside.position.filter(|_| offered) else {
                        self.report.refused_before += 1;
                        continue;
                    };
                    if !aside.again && aside.code == RefusedCode::TooLarge {
                        let stored = self.store.stored_at(position).await;
                        if !stored.is_ok_and(|stored| stored.is_some_and(|stored| fits(peer, &stored))) {
                            self.report.refused_before += 1;
                            continue;
                        }
                    }
                    (position, aside.id)
                }
                false => {
                    let held: HeldBack = note.parse()?;
                    (held.position, held.id)
                }
            };
            match self.store.stored_at(position).await {
                Ok(Some(stored)) if id.is_empty() || stored.event.id.as_str() == id => {
                    again.push(stored);
                    keys.push(note.key);
                }
                // An event that was given another place is pushed from there.
                Ok(_) => self.edit(peer, Vec::new(), vec![note.key]).await?,
                Err(error) => match DamagedRow::of(&error).filter(|row| row.position == position) {
                    // It is noted already, and nobody can have it yet.
                    Some(row) => drop(self.hold_back_damaged(peer, row).await?),
                    None => return Err(error),
                },
            }
        }
        let places: Vec<_> = again.iter().map(|stored| (stored.position, Some(stored.mark))).collect();
        if !places.is_empty() && !self.holds_in(&peer.turn, &places).await? {
            return Err(self.overtaken());
        }
        while !again.is_empty() {
            let most = again.len().min(peer.limits.batch_events);
            let (events, keys): (Vec<StoredEvent>, Vec<String>) =
                (again.drain(..most).collect(), keys.drain(..most).collect());
            self.offer_again(peer, &events, keys).await?;
        }
        Ok(())
    }

    async fn offer_again(
        &mut self,
        peer: &mut Peer,
        batch: &[StoredEvent],
        mut keys: Vec<String>,
    ) -> Result<()> {
        let pushed = self.push_batch(peer, batch, None).await;
        let put = self.note_kept(peer, &pushed)?;
        keys.truncate(pushed.done);
        keys.retain(|key| put.iter().all(|note| note.key != *key));
        self.edit(peer, put, keys).await?;
        match pushed.stopped {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// Returns whether the peer now takes an event of this size.
fn fits(peer: &Peer, stored: &StoredEvent) -> bool {
    stored.event.size() <= peer.limits.event_bytes
}
