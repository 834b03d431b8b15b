//! One exchange with a peer at a time, whichever manager of the replica makes it.
//!
//! A hello compares what each side knows of the other. If another manager exchanged with the same peer meanwhile, or with
//! a copy of it that has the same id, the comparison no longer holds: what came from the copy would count as held by the
//! peer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use synckit_core::StoreId;
use tokio::sync::OwnedMutexGuard;

/// The peers that were met, each with its turns.
#[derive(Debug, Default)]
pub(crate) struct PeerTurns(Mutex<BTreeMap<StoreId, Arc<Turns>>>);

#[derive(Debug, Default)]
struct Turns {
    now: Arc<tokio::sync::Mutex<()>>,
    ended: AtomicU64,
}

/// How many exchanges with each peer had ended.
#[derive(Debug)]
pub(crate) struct Ended(BTreeMap<StoreId, u64>);

/// The right to exchange with a peer. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct PeerTurn {
    pub(crate) peer: StoreId,
    /// Whether no other exchange has ended since what it was asked to compare with.
    pub(crate) is_next: bool,
    turns: Arc<Turns>,
    _now: OwnedMutexGuard<()>,
}

impl PeerTurns {
    /// Returns how many exchanges have ended so far.
    pub(crate) fn ended(&self) -> Ended {
        let ended = |(peer, turns): (&StoreId, &Arc<Turns>)| (*peer, turns.ended.load(Ordering::Acquire));
        Ended(self.locked().iter().map(ended).collect())
    }

    /// Waits until no other exchange with this peer is under way.
    pub(crate) async fn with(&self, peer: StoreId, since: &Ended) -> PeerTurn {
        let turns = self.locked().entry(peer).or_default().clone();
        let now = turns.now.clone().lock_owned().await;
        let before = since.0.get(&peer).copied().unwrap_or_default();
        PeerTurn { peer, is_next: turns.ended.load(Ordering::Acquire) == before, turns, _now: now }
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<StoreId, Arc<Turns>>> {
        // No code that can panic runs while the map is locked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PeerTurn {
    fn drop(&mut self) {
        self.turns.ended.fetch_add(1, Ordering::AcqRel);
    }
}
