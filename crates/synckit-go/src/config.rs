//! Which clients are served, and under which names their events are authored.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex};

use synckit_core::{BoxStore, Error, EventStore, Limits, NodeId, Result};
use tokio::sync::Mutex as AsyncMutex;

use crate::{GoRoutes, Inner};

/// The configuration of routes for clients of go-sync-kit, at `/push`, `/pull`, `/latest-version`, `/pull-cursor` and
/// `/sse`, and at the same paths below `/sync`. Turn it into routes, and give them to
/// [`HttpService::with_routes`](synckit_http::HttpService::with_routes).
///
/// A client that [has a name](GoClients::with_client) is served below `/clients/<name>`. Every client should have one:
/// only then can the hub know what the client holds, send it everything else, and stamp its edits with what it had
/// seen. Clients without a name share one author, so an edit by one counts as made on top of the others'.
///
/// Whoever can reach these paths can read everything, and write under those names but no others.
#[derive(Clone)]
pub struct GoClients {
    store: BoxStore,
    shared: Option<NodeId>,
    named: BTreeMap<String, NodeId>,
    limits: Limits,
}

impl GoClients {
    /// Creates a configuration that serves this store: the one behind the served endpoint, usually a clone of its
    /// handle.
    ///
    /// Events that clients without a name push are authored under the hub's node id followed by `/go`.
    pub fn new(store: impl EventStore) -> Self {
        GoClients {
            store: BoxStore::new(store),
            shared: None,
            named: BTreeMap::new(),
            limits: Limits::default(),
        }
    }

    /// Authors events that clients without a name push under this node id, which nobody else may write under.
    ///
    /// # Errors
    /// `Invalid` for a node id that has a `~`, or is that of a client with a name.
    pub fn with_node(mut self, node: NodeId) -> Result<Self> {
        node.check_chosen()?;
        if self.named.values().any(|other| *other == node) {
            return Err(Error::invalid("a client with a name has this node id").with("node id", node));
        }
        self.shared = Some(node);
        Ok(self)
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
        let taken = self.named.values().chain(&self.shared).any(|other| *other == node);
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
    pub fn into_routes(self) -> GoRoutes {
        GoRoutes(Arc::new(Inner {
            store: self.store,
            shared: self.shared,
            named: self.named,
            limits: self.limits,
            turn: AsyncMutex::new(()),
            heard: Mutex::default(),
            alike: Mutex::new(HashSet::new()),
        }))
    }
}

impl fmt::Debug for GoClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GoClients")
            .field("shared", &self.shared)
            .field("named", &self.named)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
