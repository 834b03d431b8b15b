//! Which clients are served, and under which names their events are authored.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex};

use synckit_core::{BoxStore, Error, EventStore, Limits, NodeId, Result};
use synckit_plan::StoreExt;
use tokio::sync::Mutex as AsyncMutex;

use crate::{GoRoutes, Inner};

/// The configuration of routes for clients of go-sync-kit, below `/clients/<name>/` for each client: `push`, `pull`,
/// `latest-version`, `pull-cursor` and `sse`. Turn it into routes, and give them to
/// [`HttpService::with_routes`](synckit_http::HttpService::with_routes).
///
/// Every client that writes has its own name. So the hub knows what the client holds, sends it everything else, and stamps
/// its edits with what it had seen.
///
/// Whoever can reach these paths can read everything, and write under those names but no others.
#[derive(Clone)]
pub struct GoClients {
    store: BoxStore,
    readers: bool,
    named: BTreeMap<String, NodeId>,
    limits: Limits,
}

impl GoClients {
    /// Creates a configuration that serves this store: the one behind the served endpoint, usually a clone of its
    /// handle.
    pub fn new(store: impl EventStore) -> Self {
        GoClients {
            store: BoxStore::new(store),
            readers: false,
            named: BTreeMap::new(),
            limits: Limits::default(),
        }
    }

    /// Serves clients without a name too, at `/pull`, `/pull-cursor` and `/sse`. They can only read: what they push is
    /// refused. A number that they name is a place in the hub's log.
    pub fn with_readers(mut self) -> Self {
        self.readers = true;
        self
    }

    /// Serves a client below `/clients/<name>`, and authors the events that it pushes under this node id, which nobody
    /// else may write under: no replica, no other client, no client of another hub.
    ///
    /// # Errors
    /// `Invalid` for a name that is not 1 to 64 of `A-Z a-z 0-9 - _ .`, a node id that has a `~`, or a name or node id that
    /// is given twice.
    pub fn with_client(mut self, name: impl Into<String>, node: NodeId) -> Result<Self> {
        let name = name.into();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !(1..=64).contains(&name.len()) || !name.bytes().all(plain) {
            let message = "the name of a client has 1 to 64 letters, digits, `-`, `_` or `.`";
            return Err(Error::invalid(message).with("name", name));
        }
        node.check_chosen()?;
        let taken = self.named.values().any(|other| *other == node);
        if taken || self.named.insert(name.clone(), node).is_some() {
            return Err(Error::invalid("two clients have the same name or node id").with("name", name));
        }
        Ok(self)
    }

    /// Sets the limits of what is accepted.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Returns the routes that serve these clients.
    ///
    /// # Errors
    /// `Invalid` when a client has a node id of the hub itself. Otherwise those of the store.
    pub async fn routes(self) -> Result<GoRoutes> {
        let hub = self.store.identity().await?;
        let same = self.named.iter().find(|(_, node)| **node == hub.node || hub.is_own(node));
        if let Some((name, node)) = same {
            let message = "a client cannot have the node id of the hub; choose another for it";
            return Err(Error::invalid(message).with("name", name).with("node id", node));
        }
        Ok(GoRoutes(Arc::new(Inner {
            store: self.store,
            readers: self.readers,
            named: self.named,
            limits: self.limits,
            contacts: AsyncMutex::default(),
            alike: Mutex::new(HashSet::new()),
        })))
    }
}

impl fmt::Debug for GoClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GoClients")
            .field("readers", &self.readers)
            .field("named", &self.named)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
