//! A replica's side of a sync, and the way to write to its store.
//!
//! - this file: [`SyncManager`] and what users call
//! - `builder.rs`: its settings
//! - `session.rs`: one sync from hello to report; `calls.rs`: timeouts and retries
//! - `meet.rs`, `pull.rs`, `settle/`, `push.rs`: its steps; `peer.rs`: what is known on the way
//! - `handout.rs`, `returned.rs`: what a replica that was copied or set back does once
//! - `record.rs`: writing to the store; `conflicts.rs`: what people do with conflicts
//! - `remembered.rs`: what is remembered from one call to the next
//! - `aside.rs`: events that could not be stored
//! - `status.rs`: how things stand

mod ahead;
mod aside;
mod builder;
mod calls;
mod conflicts;
mod handout;
mod meet;
mod peer;
mod pull;
mod push;
mod record;
mod remembered;
mod returned;
mod session;
mod settle;
mod status;

use std::fmt;
use std::sync::Arc;

use synckit_core::notes::{Aside, Identity, Renewal};
use synckit_core::plan::Renew;
use synckit_core::{EventStore, NodeId, Result, StoreId, Transport};

pub use builder::{Direction, SyncManagerBuilder};
pub use conflicts::OpenConflict;
pub use settle::ConflictNotice;
pub use status::{PeerStatus, Status};

use crate::environment::entropy;
use crate::report::{SyncError, SyncReport};
use crate::sugar::StoreExt;
use builder::Settings;
use remembered::Remembered;
use session::Session;

/// Records events into a store, and syncs the store with a peer over a transport. Clones share both.
///
/// All calls can be dropped at any await: a page of events and the checkpoint that goes with it are one commit, so
/// the next sync goes on where this one was. Calls on one manager that sync queue up; they never interleave.
pub struct SyncManager<S, T> {
    inner: Arc<Inner<S, T>>,
}

struct Inner<S, T> {
    store: S,
    transport: T,
    settings: Settings,
    syncing: tokio::sync::Mutex<()>,
    /// The peer that was met last: what is known of it is asked for before it has said hello.
    met: Remembered<StoreId>,
    /// The name that was last recorded under.
    author: Remembered<NodeId>,
}

impl<S, T> Clone for SyncManager<S, T> {
    fn clone(&self) -> Self {
        SyncManager { inner: self.inner.clone() }
    }
}

impl<S: EventStore, T: Transport> SyncManager<S, T> {
    /// A manager with the default settings: both directions, everything, last write wins.
    pub fn new(store: S, transport: T) -> Self {
        SyncManagerBuilder::new(store, transport).build()
    }

    /// A manager with other settings.
    pub fn builder(store: S, transport: T) -> SyncManagerBuilder<S, T> {
        SyncManagerBuilder::new(store, transport)
    }

    /// The store.
    pub fn store(&self) -> &S {
        &self.inner.store
    }

    /// The transport.
    pub fn transport(&self) -> &T {
        &self.inner.transport
    }

    /// Pulls, settles conflicts and pushes, as far as the direction allows.
    ///
    /// # Errors
    /// Why it failed, with the report of what was done before. Events that were refused are no error: they are in
    /// the report, set aside, and never block the rest.
    pub async fn sync(&self) -> Result<SyncReport, SyncError> {
        self.run(self.inner.settings.direction).await
    }

    /// Pushes only, whatever the direction.
    ///
    /// # Errors
    /// As [`SyncManager::sync`].
    pub async fn push(&self) -> Result<SyncReport, SyncError> {
        self.run(Direction::PushOnly).await
    }

    /// Pulls and settles conflicts only, whatever the direction.
    ///
    /// # Errors
    /// As [`SyncManager::sync`].
    pub async fn pull(&self) -> Result<SyncReport, SyncError> {
        self.run(Direction::PullOnly).await
    }

    async fn run(&self, direction: Direction) -> Result<SyncReport, SyncError> {
        let _turn = self.inner.syncing.lock().await;
        let Inner { store, transport, settings, met, .. } = &*self.inner;
        Session::new(store, transport, settings, met, direction).run().await
    }

    /// Makes this store a replica of its own, where it is a copy of another that goes on: it takes a fresh id, and this name
    /// or a fresh one derived from its own. What it recorded and nobody has goes with it at the next sync. Answers who it is
    /// now.
    ///
    /// A copy that nobody tells so is noticed when both have been in use; this is for those who know beforehand.
    ///
    /// # Errors
    /// `Invalid` for a name with `~`, and those of the store.
    pub async fn reidentify(&self, node: Option<NodeId>) -> Result<Identity> {
        let environment = &*self.inner.settings.environment;
        let store = self.inner.store.head().await?.store;
        let renew = Renew::new(store, Renewal::Asked, environment.now(), entropy(environment)?);
        self.inner.store.commit_renew(Renew { node, ..renew }).await
    }

    /// How things stand, without asking the network.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn status(&self) -> Result<Status> {
        Status::of(&self.inner.store).await
    }

    /// The events that could not be stored, here or at a peer, with the reasons.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn refused(&self) -> Result<Vec<Aside>> {
        aside::list(&self.inner.store).await
    }

    /// Tries again what could not be stored: foreign events at once, own ones with the next sync. Answers how many
    /// foreign events could be stored now.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn retry_refused(&self) -> Result<usize> {
        let _turn = self.inner.syncing.lock().await;
        aside::retry(&self.inner.store, &self.inner.settings).await
    }

    /// Forgets that this event could not be stored. An own event stays in the own log; a foreign one is gone here.
    /// Answers whether there was one.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn drop_refused(&self, id: &str) -> Result<bool> {
        aside::forget(&self.inner.store, id).await
    }
}

impl<S, T> fmt::Debug for SyncManager<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncManager").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}
