//! One exchange with a peer at a time, whichever manager of the replica makes it.
//!
//! This is for progress alone. That two exchanges do not disturb each other is the affair of `sync/turn.rs`, which also
//! covers those of other processes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use synckit_core::StoreId;
use tokio::sync::OwnedMutexGuard;

/// The peers that were met, each with a lock.
#[derive(Debug, Default)]
pub(crate) struct PeerTurns(Mutex<BTreeMap<StoreId, Arc<tokio::sync::Mutex<()>>>>);

/// The right to exchange with a peer. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct PeerTurn {
    pub(crate) peer: StoreId,
    _now: OwnedMutexGuard<()>,
}

impl PeerTurns {
    /// Waits until no other exchange with this peer is under way.
    pub(crate) async fn with(&self, peer: StoreId) -> PeerTurn {
        // No code that can panic runs while the map is locked.
        let turns = self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(peer).or_default().clone();
        PeerTurn { peer, _now: turns.lock_owned().await }
    }
}
