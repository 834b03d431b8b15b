//! A replica's side of a sync with one peer.

// - this file: `SyncManager` and its public calls
// - `builder.rs`: its settings
// - `session.rs`: one sync from hello to report; `calls.rs`: timeouts and retries
// - `pace.rs`, `pace_note.rs`: the sizes of messages, during a sync and between syncs
// - `meet/`: the hello, in three phases
// - `pull.rs`, `push.rs`: the exchange; `batch.rs`: a batch in parts; `push_again.rs`, `owed.rs`: what is still due
// - `peer.rs`: what is known during a sync; `checkpoint.rs`: what is recorded
// - `turn.rs`: exchanges that do not disturb each other
// - `follow.rs`: staying with a peer after a sync
// - `renumber.rs`, `take_back.rs`: what a replica that was copied or restored does once

mod batch;
mod builder;
mod calls;
mod checkpoint;
mod follow;
mod meet;
mod owed;
mod pace;
mod pace_note;
mod peer;
mod pull;
mod push;
mod push_again;
mod renumber;
mod session;
mod take_back;
mod turn;

use std::fmt;
use std::sync::Arc;

use synckit_core::{EventStore, Result, Transport};
use tokio::sync::Mutex;

pub use builder::{Direction, SyncManagerBuilder};
pub(crate) use checkpoint::HandedOut;
pub(crate) use follow::{Way, due};
pub(crate) use meet::Met;
pub(crate) use turn::TICKET;

use crate::live::Staying;
use crate::remembered::Remembered;
use crate::replica::Replica;
use crate::report::{SyncError, SyncReport};
pub(crate) use builder::Settings;
pub(crate) use session::Session;

/// Syncs a replica with one peer over a transport. Clones share both.
///
/// All calls can be dropped at any await: a page of events and its checkpoint are one commit, so the next sync
/// continues where this one stopped. Syncs of one manager are queued. Managers that share a replica sync concurrently:
/// an unreachable peer does not delay another. With one peer they take turns.
///
/// ```
/// use synckit::{Endpoint, NewEvent, NodeId, Replica, SyncManager};
/// use synckit_memory::MemoryStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let replica = Replica::new(MemoryStore::new(NodeId::new("till-1")?)?);
/// replica.record([NewEvent::new("Sold", "shift-7", "2 coffees")?]).await?;
///
/// let hub = MemoryStore::new(NodeId::new("hub")?)?;
/// let report = SyncManager::new(replica, Endpoint::new(hub)).sync().await?;
/// assert_eq!(report.pushed, 1);
/// # Ok(())
/// # }
/// ```
pub struct SyncManager<S, T> {
    pub(crate) inner: Arc<Inner<S, T>>,
}

pub(crate) struct Inner<S, T> {
    pub(crate) replica: Replica<S>,
    pub(crate) transport: T,
    pub(crate) settings: Settings,
    pub(crate) syncing: Mutex<()>,
    /// The peer that was met last: what is known of it is read before it has said hello.
    pub(crate) met: Remembered<Met>,
    /// The task that keeps the replica and the peer together.
    pub(crate) staying: Staying,
}

impl<S, T> Clone for SyncManager<S, T> {
    fn clone(&self) -> Self {
        SyncManager { inner: self.inner.clone() }
    }
}

impl<S: EventStore, T: Transport> SyncManager<S, T> {
    /// Creates a manager with the default settings: both directions, all events. A store is accepted in place of a
    /// replica with the default settings.
    pub fn new(replica: impl Into<Replica<S>>, transport: T) -> Self {
        SyncManager::builder(replica, transport).build()
    }

    /// Creates a builder for a manager with other settings.
    ///
    /// ```
    /// use synckit::{Direction, Endpoint, NodeId, SyncManager};
    /// use synckit_memory::MemoryStore;
    ///
    /// # fn main() -> synckit::Result<()> {
    /// let (till, hub) = (MemoryStore::new(NodeId::new("till-1")?)?, MemoryStore::new(NodeId::new("hub")?)?);
    /// let manager =
    ///     SyncManager::builder(till, Endpoint::new(hub)).with_direction(Direction::PullOnly).build();
    /// # Ok(()) }
    /// ```
    pub fn builder(replica: impl Into<Replica<S>>, transport: T) -> SyncManagerBuilder<S, T> {
        SyncManagerBuilder::new(replica.into(), transport)
    }

    /// Returns the replica.
    pub fn replica(&self) -> &Replica<S> {
        &self.inner.replica
    }

    /// Returns the transport.
    pub fn transport(&self) -> &T {
        &self.inner.transport
    }

    /// Pulls, settles conflicts and pushes, as far as the direction allows.
    ///
    /// # Errors
    /// Why it failed, with the report of what was done before. Refused events are not an error: they are in the report,
    /// are set aside, and never block the rest.
    pub async fn sync(&self) -> Result<SyncReport, SyncError> {
        self.run(self.inner.settings.direction).await
    }

    /// Pushes only, whatever the direction.
    ///
    /// # Errors
    /// Same as [`SyncManager::sync`].
    pub async fn push(&self) -> Result<SyncReport, SyncError> {
        self.run(Direction::PushOnly).await
    }

    /// Pulls and settles conflicts only, whatever the direction.
    ///
    /// # Errors
    /// Same as [`SyncManager::sync`].
    pub async fn pull(&self) -> Result<SyncReport, SyncError> {
        self.run(Direction::PullOnly).await
    }

    async fn run(&self, direction: Direction) -> Result<SyncReport, SyncError> {
        let _turn = self.inner.syncing.lock().await;
        let Inner { replica, transport, settings, met, .. } = &*self.inner;
        Session::new(replica, transport, settings, met, direction).run().await
    }
}

impl<S, T> fmt::Debug for SyncManager<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncManager").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}
