#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! - [`GoClients`]: which clients are served, and under which names events are authored
//! - [`GoRoutes`]: the routes that serve them, for [`HttpService::with_routes`](synckit_http::HttpService::with_routes)

mod client;
mod config;
mod form;
mod large;
mod pull;
mod push;
mod route;
mod same_content;
mod stream;
mod value;

pub use config::GoClients;

// These clients know nothing about causality, so the hub stamps what they push, in their name. They also number events
// by their own table, not by the hub's log. The hub therefore keeps a record of what a client with a name holds, and
// does not rely on the number that it sends.
//
// - `route`: paths, and the form of an error
// - `form`: events as these clients read and write them
// - `value`, `same_content`: JSON, and whether two contents are the same, to a program that reads numbers as doubles
// - `client`: what is known about a client: what it holds and has seen
// - `push`, `pull`, `stream`: the calls

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use synckit_core::{BoxStore, Error, ErrorKind, Limits, NodeId, Result};
use synckit_plan::Entropy;
use tokio::sync::Mutex as AsyncMutex;

use crate::client::{Contact, Known};
use crate::large::Batch;
use crate::route::{Call, Route};

/// The most contents found alike that are remembered at a time. Beyond that, they are forgotten and found again.
const REMEMBERED: usize = 200_000;

/// The routes for clients of go-sync-kit, made by [`GoClients::routes`]. Clones share everything.
#[derive(Clone)]
pub struct GoRoutes(Arc<Inner>);

struct Inner {
    store: BoxStore,
    /// Whether clients without a name may read.
    readers: bool,
    named: BTreeMap<String, NodeId>,
    limits: Limits,
    /// Held while what is known of clients is read and written.
    contacts: AsyncMutex<HashMap<NodeId, Contact>>,
    /// Digests of contents that are not equal to the content held under their id, but alike.
    alike: Mutex<HashSet<[u8; 32]>>,
}

/// The client of a call.
#[derive(Clone, Debug)]
enum Client {
    /// It has a name, so what it holds is known, and its events are authored under this node id.
    Named(NodeId),
    /// It has no name, and may only read.
    Reader,
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Client::Named(author) => write!(f, "{author}"),
            Client::Reader => f.write_str("without a name"),
        }
    }
}

impl GoRoutes {
    /// Carries out the call of a path whose method is right.
    pub(crate) async fn call(&self, route: &Route, query: &str, body: Batch) -> Result<Vec<u8>> {
        let client = self.client(route)?;
        match route.call {
            Call::LatestVersion => self.latest_version(&client).await,
            Call::Push => match body {
                Batch::Whole(body) => self.push(&client, body).await,
                Batch::Part(part) => self.push_part(&client, part).await,
            },
            Call::Pull => self.pull(&client, query).await,
            Call::PullCursor => match body {
                Batch::Whole(body) => self.pull_cursor(&client, &body).await,
                Batch::Part(_) => Err(Error::too_large("the request for a page is too large")),
            },
            Call::Stream => Err(Error::new(ErrorKind::Internal, "a stream is answered on its own")),
        }
    }

    /// Returns the number after which a client is to push: it takes this as a row of its own table. A client whose table
    /// is not known is given -1, which in all of their stores is before the first row; 0 is refused by them.
    async fn latest_version(&self, client: &Client) -> Result<Vec<u8>> {
        let mut before = 0;
        if let Client::Named(author) = client {
            let mut contacts = self.0.contacts.lock().await;
            let known = Known::load(&self.0.store, author).await?;
            // The last row that was shown comes again, so that another table is noticed.
            before = known.shown_rows().saturating_sub(1);
            contacts.entry(author.clone()).or_default().pushed = Some(before);
        }
        let number = if before == 0 { "-1".to_owned() } else { before.to_string() };
        Ok(format!("\"{number}\"\n").into_bytes())
    }

    fn client(&self, route: &Route) -> Result<Client> {
        let missing = |message| Error::new(ErrorKind::NotFound, message);
        match &route.client {
            Some(name) => self
                .0
                .named
                .get(name)
                .cloned()
                .map(Client::Named)
                .ok_or_else(|| missing("no client of this name is configured here").with("name", name)),
            None if self.0.readers => Ok(Client::Reader),
            None => Err(missing("clients are served below /clients/NAME here, each at its own address")),
        }
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
