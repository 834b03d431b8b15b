//! `synckit wait`: waits until the hubs have what was recorded.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use synckit::{BoxStore, Error, ErrorKind, EventStore, NodeId, Position, store::PeerStatus};
use tokio::time::{sleep, timeout};

use crate::commands::{Existing, closing, replica};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::text;
use crate::waiting::saying;

/// How often the state is read.
const OFTEN: Duration = Duration::from_millis(100);

/// Wait until everything that was recorded before has been offered to the hubs
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    synckit wait --db a.db\n  \
    synckit wait --db a.db --peer hub --timeout 10 && echo safe\n\n\
    This command sends nothing: another process does, such as `synckit sync --live`. What a hub has refused counts as \
    offered; `synckit refused` lists it. Exit code 4 if the time is over.")]
pub(crate) struct Args {
    #[command(flatten)]
    replica: Existing,

    /// Wait for this hub only; otherwise for each that the replica has synced with
    #[arg(long, value_name = "NAME")]
    peer: Option<NodeId>,

    /// Wait at most this long, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    timeout: Option<u32>,
}

#[derive(Debug, Serialize)]
struct Answer {
    /// The last position of the log when the command began: this far it was offered.
    position: Position,
    peers: Vec<NodeId>,
}

pub(crate) async fn run(args: Args, output: &mut Output) -> Result<Exit, Failure> {
    let store = args.replica.open().await?;
    let waited = wait(&store, &args).await;
    let answer = closing(&store, waited).await?;
    output.answer(&answer)?;
    Ok(Exit::Done)
}

async fn wait(store: &BoxStore, args: &Args) -> Result<Answer, Failure> {
    let position = store.head().await?.position;
    if peers(store, args).await?.is_empty() {
        let message = match &args.peer {
            Some(peer) => format!("this replica has never synced with {}", text::plain(peer.as_str())),
            None => "this replica has never synced with anybody".to_owned(),
        };
        let error = Error::new(ErrorKind::NotFound, message);
        return Err(Failure::from(error).hint("`synckit sync --db FILE URL` meets a hub"));
    }
    let limit = args.timeout.map_or(Duration::MAX, |seconds| Duration::from_secs(seconds.into()));
    let waits = saying("the hubs to get what was recorded", offered(store, args, position));
    match timeout(limit, waits).await {
        Ok(answer) => answer,
        Err(_) => {
            let behind = peers(store, args).await?.into_iter().find(|peer| peer.pushed_to < position);
            let name = behind.map_or_else(String::new, |peer| text::plain(peer.node.as_str()).into_owned());
            let error = Error::new(ErrorKind::Timeout, "a hub has not got everything yet").with("hub", name);
            Err(Failure::from(error).hint("`synckit sync` or `synckit sync --live` sends it"))
        }
    }
}

/// Waits until all was offered up to this position.
async fn offered(store: &BoxStore, args: &Args, position: Position) -> Result<Answer, Failure> {
    loop {
        let peers = peers(store, args).await?;
        if peers.iter().all(|peer| peer.pushed_to >= position) {
            let mut peers: Vec<NodeId> = peers.into_iter().map(|peer| peer.node).collect();
            peers.dedup();
            return Ok(Answer { position, peers });
        }
        sleep(OFTEN).await;
    }
}

async fn peers(store: &BoxStore, args: &Args) -> Result<Vec<PeerStatus>, Failure> {
    let mut peers = replica(store).status().await?.peers;
    peers.retain(|peer| args.peer.as_ref().is_none_or(|name| *name == peer.node));
    Ok(peers)
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.peers.iter().map(|peer| text::plain(peer.as_str())).collect();
        write!(f, "offered up to position {} to {}", text::number(self.position), names.join(", "))
    }
}
