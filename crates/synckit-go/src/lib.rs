#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! - [`GoClients`]: which clients are served, and under which names events are authored
//! - [`GoRoutes`]: the routes that serve them, for [`HttpService::with_routes`](synckit_http::HttpService::with_routes)

mod client;
mod config;
mod form;
mod pull;
mod push;
mod route;
mod same_content;
mod stream;

pub use config::GoClients;

// These clients know nothing about causality, so the hub stamps what they push, in their name. They also number events
// by their own table, not by the hub's log. The hub therefore keeps a record of what a client with a name holds, and
// does not rely on the number that it sends.
//
// - `route`: paths, and the form of an error
// - `form`: events as these clients read and write them
// - `same_content`: whether two contents are the same to a program that reads numbers as doubles
// - `client`: what is known about a client: what it holds and has seen
// - `push`, `pull`, `stream`: the calls

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use synckit_core::{BoxStore, Error, ErrorKind, EventId, Limits, NodeId, Result};
use synckit_plan::{Entropy, StoreExt};
use tokio::sync::Mutex as AsyncMutex;

use crate::route::{Call, Route};

/// The most ids of events, and of contents found alike, that are remembered at a time. Beyond that, they are forgotten
/// and found again.
const REMEMBERED: usize = 200_000;

/// The routes for clients of go-sync-kit, made by [`GoClients::into_routes`]. Clones share everything.
#[derive(Clone)]
pub struct GoRoutes(Arc<Inner>);

struct Inner {
    store: BoxStore,
    shared: Option<NodeId>,
    named: std::collections::BTreeMap<String, NodeId>,
    limits: Limits,
    /// Held while what is known of clients is read and written.
    turn: AsyncMutex<()>,
    /// The events that a client has shown to hold, beyond what is recorded about it.
    heard: Mutex<HashMap<NodeId, HashSet<EventId>>>,
    /// Digests of contents that are not equal to the content held under their id, but alike.
    alike: Mutex<HashSet<[u8; 32]>>,
}

/// The client of a call.
#[derive(Clone, Debug)]
struct Client {
    /// The name its events are authored under.
    author: NodeId,
    /// Whether it has a name, so that what it holds is known.
    named: bool,
}

impl GoRoutes {
    /// Carries out the call of a path whose method is right.
    pub(crate) async fn call(&self, route: &Route, query: &str, body: Bytes) -> Result<Vec<u8>> {
        let client = self.client(route).await?;
        match route.call {
            // A client takes this as a place in its own table, and pushes what comes after. In all of their stores this
            // is a place before the first event, whatever the hub holds. They refuse "0".
            Call::LatestVersion => Ok(b"\"-1\"\n".to_vec()),
            Call::Push => self.push(&client, body).await,
            Call::Pull => self.pull(&client, query).await,
            Call::PullCursor => self.pull_cursor(&client, &body).await,
            Call::Stream => Err(Error::new(ErrorKind::Internal, "a stream is answered on its own")),
        }
    }

    async fn client(&self, route: &Route) -> Result<Client> {
        if let Some(name) = &route.client {
            let author = self.0.named.get(name).cloned().ok_or_else(|| {
                Error::new(ErrorKind::NotFound, "no client of this name is configured here")
                    .with("name", name)
            })?;
            return Ok(Client { author, named: true });
        }
        if let Some(author) = &self.0.shared {
            return Ok(Client { author: author.clone(), named: false });
        }
        let identity = self.0.store.identity().await?;
        let author = NodeId::new(format!("{}/go", identity.node)).map_err(|_| {
            Error::new(ErrorKind::Internal, "the hub's node id is too long to derive another; set one")
        })?;
        Ok(Client { author, named: false })
    }

    fn with_heard<T>(&self, author: &NodeId, act: impl FnOnce(&mut HashSet<EventId>) -> T) -> T {
        let mut heard = self.0.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.values().map(HashSet::len).sum::<usize>() > REMEMBERED {
            heard.clear();
        }
        act(heard.entry(author.clone()).or_default())
    }
}

/// Draws the randomness for one commit.
fn entropy() -> Result<Entropy> {
    let mut bytes = [0; Entropy::BYTES];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::Internal, "the system has no randomness")
            .with_source(std::io::Error::other(error.to_string()))
    })?;
    Ok(Entropy::from_bytes(bytes))
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
