//! `synckit refused`: the events that could not be stored.

use std::fmt;

use serde::Serialize;
use synckit::{BoxStore, Error, ErrorKind, NodeId, plan::notes::RefusedNote};

use crate::commands::{Existing, closing, replica};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::text;

/// List the events that could not be stored, here or at a peer; try them again or forget them
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    synckit refused --db a.db              list them\n  \
    synckit refused --db a.db --retry      store now what came from peers; offer the rest with the next sync\n  \
    synckit refused --db a.db --drop e-17  forget one\n\n\
    A refused event never blocks the others. An event of this replica that a peer refused stays in its \
    log, even if it is dropped from this list; a dropped event of a peer is gone here.")]
pub(crate) struct Args {
    #[command(flatten)]
    replica: Existing,

    /// Try again what could not be stored
    #[arg(long)]
    retry: bool,

    /// Forget that this event could not be stored
    #[arg(long, value_name = "ID", conflicts_with = "retry")]
    drop: Option<String>,
}

#[derive(Debug, Serialize)]
struct Answer {
    by: &'static str,
    /// The name of the peer, if a sync with it has succeeded.
    peer_node: Option<NodeId>,
    #[serde(flatten)]
    aside: RefusedNote,
}

#[derive(Debug, Serialize)]
struct Retried {
    stored: usize,
    left_here: usize,
}

#[derive(Debug, Serialize)]
struct Dropped {
    dropped: String,
}

pub(crate) async fn run(args: Args, output: &mut Output) -> Result<Exit, Failure> {
    let store = args.replica.open().await?;
    let done = match (&args.drop, args.retry) {
        (Some(id), _) => forget(&store, id, output).await,
        (None, true) => retry(&store, output).await,
        (None, false) => list(&store, output).await,
    };
    closing(&store, done).await?;
    Ok(Exit::Done)
}

async fn list(store: &BoxStore, output: &mut Output) -> Result<(), Failure> {
    let replica = replica(store);
    let refused = replica.refused().await?;
    if refused.is_empty() && !output.is_json() {
        return output.line("nothing was refused");
    }
    let peers = replica.status().await?.peers;
    for aside in refused {
        // What a peer refused is in the local log; what was refused here is kept with the reason.
        let by = if aside.event.is_none() { "peer" } else { "here" };
        let peer_node = peers.iter().find(|peer| peer.store == aside.peer).map(|peer| peer.node.clone());
        output.answer(&Answer { by, peer_node, aside })?;
    }
    Ok(())
}

async fn retry(store: &BoxStore, output: &mut Output) -> Result<(), Failure> {
    let replica = replica(store);
    let stored = replica.retry_refused().await?;
    let left_here = replica.status().await?.refused_here;
    output.answer(&Retried { stored, left_here })
}

async fn forget(store: &BoxStore, id: &str, output: &mut Output) -> Result<(), Failure> {
    if replica(store).drop_refused(id).await? {
        return output.answer(&Dropped { dropped: id.to_owned() });
    }
    let error = Error::new(ErrorKind::NotFound, "no event of this id was refused").with("id", id);
    Err(Failure::from(error).hint("`synckit refused` without --drop lists them"))
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RefusedNote { id, peer, code, message, .. } = &self.aside;
        let (id, message) = (text::plain(id), text::plain(message));
        let peer = self.peer_node.as_ref().map_or_else(|| peer.to_string(), ToString::to_string);
        let peer = text::plain(&peer);
        match self.by {
            "here" => write!(f, "{id}  {code}  refused here, from {peer}: {message}"),
            _ => write!(f, "{id}  {code}  refused by {peer}: {message}"),
        }
    }
}

impl fmt::Display for Retried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stored = text::count(self.stored, "event");
        write!(f, "{stored} of peers stored now, {} still refused here; ", text::number(self.left_here))?;
        f.write_str("what peers refused is offered again with the next sync")
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dropped {}", text::plain(&self.dropped))
    }
}
