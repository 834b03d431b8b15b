//! A replica: a store and the node that writes through it. No network.

// - this file: `Replica` and its public calls
// - `builder.rs`: its settings
// - `record.rs`: new events
// - `conflicts.rs`: what people do with conflicts; `settle/`: what resolvers do
// - `refused.rs`: events that could not be stored
// - `status.rs`: the state of a replica; `scrub.rs`: damage to its log
// - `turns.rs`: one exchange with a peer at a time

mod builder;
mod conflicts;
mod record;
mod refused;
mod scrub;
mod settle;
mod status;
mod turns;

use std::fmt;
use std::sync::{Arc, OnceLock};

use synckit_core::{EventStore, Identity, NodeId, Renewal, Result};
use synckit_plan::{Entropy, Receive, Renew, notes::RefusedNote};
use tokio::sync::Mutex;

pub use builder::ReplicaBuilder;
pub use conflicts::OpenConflict;
pub use scrub::Scrubbed;
pub use status::{FullAggregate, PeerStatus, Status};

use crate::digest::Digest;
use crate::environment::entropy;
use crate::remembered::Remembered;
use crate::sync::TICKET;
use builder::Settings;
pub(crate) use settle::{Listed, Settled};
pub(crate) use turns::{PeerTurn, PeerTurns};

/// A store and the node that writes through it: records events, shows histories, settles conflicts. It needs no
/// network.
///
/// A [`SyncManager`](crate::SyncManager) connects it to a peer; a replica with two hubs has two managers over clones of
/// one replica. Clones share the store. All calls can be dropped at any await: what they were doing is whole or absent.
///
/// ```
/// use synckit::{NewEvent, NodeId, Replica};
/// use synckit_memory::MemoryStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> synckit::Result<()> {
/// let replica = Replica::new(MemoryStore::new(NodeId::new("till-1")?)?);
/// replica.record([NewEvent::new("Sold", "shift-7", "2 coffees")?]).await?;
/// assert_eq!(replica.status().await?.events, 1);
/// # Ok(())
/// # }
/// ```
pub struct Replica<S> {
    inner: Arc<Inner<S>>,
}

struct Inner<S> {
    store: S,
    settings: Settings,
    /// The name that was last used to record.
    author: Remembered<NodeId>,
    /// Held while settling: each conflict is settled once, even if several managers share the replica.
    settling: Mutex<()>,
    /// A random number, drawn when it is first needed.
    instance: OnceLock<u64>,
    peers: PeerTurns,
}

impl<S> Clone for Replica<S> {
    fn clone(&self) -> Self {
        Replica { inner: self.inner.clone() }
    }
}

impl<S: EventStore> From<S> for Replica<S> {
    fn from(store: S) -> Self {
        Replica::new(store)
    }
}

impl<S: EventStore> Replica<S> {
    /// Creates a replica of a store with the default settings: the last write wins.
    pub fn new(store: S) -> Self {
        Replica::builder(store).build()
    }

    /// Creates a builder for a replica with other settings.
    ///
    /// ```
    /// use synckit::{KeepAll, NodeId, Replica};
    /// use synckit_memory::MemoryStore;
    ///
    /// # fn main() -> synckit::Result<()> {
    /// let store = MemoryStore::new(NodeId::new("till-1")?)?;
    /// let replica = Replica::builder(store).with_resolver(KeepAll).build();
    /// # Ok(()) }
    /// ```
    pub fn builder(store: S) -> ReplicaBuilder<S> {
        ReplicaBuilder::new(store)
    }

    /// Returns the store.
    pub fn store(&self) -> &S {
        &self.inner.store
    }

    /// Returns whose turn it is to exchange with which peer.
    pub(crate) fn peers(&self) -> &PeerTurns {
        &self.inner.peers
    }

    /// Gives a copied store an identity of its own while the original stays in use. It takes a fresh id, and this name
    /// or a fresh one derived from its present name. Events it recorded that nobody else has go along at the next sync.
    /// Returns the new identity.
    ///
    /// A copy is also detected without this call, once both have been in use. Use it if you know beforehand.
    ///
    /// # Errors
    /// `Invalid` for a name with `~`, and those of the store.
    pub async fn reidentify(&self, node: Option<NodeId>) -> Result<Identity> {
        let store = self.store().head().await?.store;
        let renew = Renew::new(store, Renewal::Asked, self.now(), self.entropy()?);
        self.store().commit(Renew { node, ..renew }).await
    }

    /// Returns the state of the replica, without using the network.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn status(&self) -> Result<Status> {
        Status::of(self.store()).await
    }

    /// Computes the digest of the log and of its view: two replicas with equal digests agree.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn digest(&self) -> Result<Digest> {
        Digest::of(self.store()).await
    }

    /// Lists the events that could not be stored, here or at a peer, with the reasons.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn refused(&self) -> Result<Vec<RefusedNote>> {
        refused::list(self.store()).await
    }

    /// Retries what could not be stored: foreign events immediately, local ones with the next sync. Returns how many
    /// foreign events could be stored now.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn retry_refused(&self) -> Result<usize> {
        refused::retry(self).await
    }

    /// Forgets that this event could not be stored. A local event stays in the log; a foreign one is deleted here.
    /// Returns whether there was one.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn drop_refused(&self, id: &str) -> Result<bool> {
        refused::forget(self.store(), id).await
    }

    /// Returns the wall clock, in Unix milliseconds.
    pub(crate) fn now(&self) -> u64 {
        self.inner.settings.environment.now()
    }

    /// Draws the randomness of one commit.
    pub(crate) fn entropy(&self) -> Result<Entropy> {
        entropy(&*self.inner.settings.environment)
    }

    /// Draws what tells an exchange with a peer from every other.
    pub(crate) fn ticket(&self) -> Result<[u8; TICKET]> {
        let mut ticket = [0; TICKET];
        self.inner.settings.environment.fill_random(&mut ticket)?;
        Ok(ticket)
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Stores these events from elsewhere.
    pub(crate) fn receive(
        &self,
        source: Option<synckit_core::StoreId>,
        events: Vec<synckit_core::Event>,
    ) -> Result<Receive> {
        Ok(Receive::new(source, events, self.now(), self.inner.settings.limits, self.entropy()?))
    }
}

impl<S> fmt::Debug for Replica<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}
