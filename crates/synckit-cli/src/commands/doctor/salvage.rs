//! What can be read of a damaged store goes into a new one.

use std::fmt;
use std::path::Path;

use serde::Serialize;
use synckit::{BoxStore, Error, EventStore, NodeId, store::StoreExt, transport::Refused};

use super::integrity::Damages;
use super::reading::{Read, Reading};
use crate::adapters::{Kept, stores};
use crate::commands::{closing, restore, whole};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::place::Fresh;
use crate::text;

#[derive(Debug, Serialize)]
struct Answer {
    /// The new store.
    into: String,
    saved: usize,
    /// What could not be read.
    unreadable: Damages,
    /// What could be read and makes no sense.
    refused: Vec<Refused>,
    node: NodeId,
    author: NodeId,
}

/// Fills a new store of this name.
pub(super) async fn run(
    damaged: &BoxStore,
    into: &str,
    node: Option<NodeId>,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let (scheme, location) = stores().locate(into)?;
    let fresh = Fresh::at(Path::new(location), false)?;
    let node = match node {
        Some(node) => node,
        None => named(damaged).await?,
    };
    let name = format!("{scheme}:{}", fresh.path().display());
    let new = Kept::open(&name, Some(node), true).await?.store();
    let saved = save(damaged, &new, into).await;
    let answer = closing(&new, saved).await?;
    fresh.put()?;
    let whole = answer.unreadable.is_empty() && answer.refused.is_empty();
    output.answer(&answer)?;
    Ok(if whole { Exit::Done } else { Exit::Failed })
}

/// Returns the name of the damaged store.
async fn named(damaged: &BoxStore) -> Result<NodeId, Failure> {
    let identity = damaged.identity().await;
    Ok(identity.map_err(|error| Failure::from(error).hint("say whose store it was with --node NAME"))?.node)
}

async fn save(damaged: &BoxStore, new: &BoxStore, into: &str) -> Result<Answer, Failure> {
    let at_first = new.head().await?.store;
    let mut reading = Reading::new(damaged).await?;
    let (mut saved, mut unreadable, mut refused) = (0, Damages::default(), Vec::new());
    while let Some(read) = reading.next(damaged).await? {
        match read {
            Read::Unreadable(position, error) => unreadable.add(position, said(&error)),
            Read::Page { page, .. } => {
                let events = page.events.into_iter().map(|stored| stored.event).collect();
                let received = whole::take(new, events).await?;
                saved += received.accepted;
                refused.extend(received.refused);
            }
        }
    }
    // It may have lost events that others have, so it is a replica that was set back.
    let identity = restore::renew(new, at_first).await?;
    let (node, author) = (identity.node, identity.author);
    Ok(Answer { into: into.to_owned(), saved, unreadable, refused, node, author })
}

fn said(error: &Error) -> String {
    error.message().to_owned()
}

/// The number of refused events that are shown.
const SHOWN: usize = 20;

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (into, saved) = (text::plain(&self.into), text::count(self.saved, "event"));
        write!(f, "{into} has {saved} of {}", text::plain(self.node.as_str()))?;
        for damage in self.unreadable.iter() {
            write!(f, "\nnot read {damage}")?;
        }
        for Refused { id, message, .. } in self.refused.iter().take(SHOWN) {
            write!(f, "\nnot taken {}: {}", text::plain(id), text::plain(message))?;
        }
        if self.refused.len() > SHOWN {
            write!(f, "\nnot taken: {} more", text::number(self.refused.len() - SHOWN))?;
        }
        let author = text::plain(self.author.as_str());
        write!(f, "\nit records as {author}; sync it: peers give back what they have of the rest")
    }
}
