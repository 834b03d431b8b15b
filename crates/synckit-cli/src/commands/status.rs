//! `synckit status`: the state of a replica, without asking the network.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use synckit::{AggregateId, BoxStore, EventStore, Status};
use tokio::time::sleep;

use crate::commands::doctor::{nearly_full, why};
use crate::commands::{Existing, clock, closing, replica, stopped};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::text;

/// Show the state of a replica: its events, conflicts, refused events and peers
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    synckit status --db a.db\n  \
    synckit status --db a.db --watch        again whenever something changes; end with Ctrl-C\n\nThe network is not used: what is shown of a peer is its \
    state at the last sync. Each filter that was used with a peer has its own line.")]
pub(crate) struct Args {
    #[command(flatten)]
    replica: Existing,

    /// Show it again whenever it changes, until Ctrl-C
    #[arg(short, long)]
    watch: bool,
}

/// How often the state is read to see whether it has changed.
const OFTEN: Duration = Duration::from_millis(500);

/// The number of aggregates in conflict, and of full ones, that are listed.
const NAMED: usize = 20;

#[derive(Debug, PartialEq, Serialize)]
struct Answer {
    #[serde(flatten)]
    status: Status,
    /// The aggregates in conflict.
    in_conflict: Vec<AggregateId>,
}

pub(crate) async fn run(args: Args, output: &mut Output) -> Result<Exit, Failure> {
    let store = args.replica.open().await?;
    let shown = match args.watch {
        true => watch(&store, output).await,
        false => show(&store, output).await,
    };
    closing(&store, shown).await?;
    Ok(Exit::Done)
}

async fn show(store: &BoxStore, output: &mut Output) -> Result<(), Failure> {
    output.answer(&ask(store).await?)
}

/// Shows the state whenever it has changed, until a signal.
async fn watch(store: &BoxStore, output: &mut Output) -> Result<(), Failure> {
    let stop = stopped()?;
    tokio::pin!(stop);
    let mut before = None;
    loop {
        let answer = ask(store).await?;
        if before.as_ref() != Some(&answer) {
            if before.is_some() && !output.is_json() {
                output.line("")?;
            }
            output.answer(&answer)?;
            output.flush_waiting().await?;
        }
        let head = answer.status.events;
        before = Some(answer);
        tokio::select! {
            biased;
            () = &mut stop => return Ok(()),
            moved = store.moved(head) => drop(moved?),
            // What is known of peers changes without the log.
            () = sleep(OFTEN) => {}
        }
    }
}

async fn ask(store: &BoxStore) -> Result<Answer, Failure> {
    let replica = replica(store);
    let in_conflict = replica.conflicts().await?.into_iter().map(|open| open.aggregate).collect();
    Ok(Answer { status: replica.status().await?, in_conflict })
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Status { node, author, store, events, refused_here, refused_by_peers, peers, .. } = &self.status;
        writeln!(f, "node       {}", text::plain(node.as_str()))?;
        if author != node {
            let author = text::plain(author.as_str());
            let why = self.status.former.last().map_or("", why);
            writeln!(f, "author     {author}, since {why}")?;
        }
        writeln!(f, "store      {store}")?;
        writeln!(f, "events     {}", text::number(events))?;
        writeln!(f, "conflicts  {}", text::number(self.in_conflict.len()))?;
        for aggregate in self.in_conflict.iter().take(NAMED) {
            writeln!(f, "           {}", text::plain(aggregate.as_str()))?;
        }
        if self.in_conflict.len() > NAMED {
            writeln!(f, "           and {} more", text::number(self.in_conflict.len() - NAMED))?;
        }
        let (here, by_peers) = (text::number(refused_here), text::number(refused_by_peers));
        write!(f, "refused    {here} here, {by_peers} by peers")?;
        if peers.is_empty() {
            write!(f, "\npeers      none yet; `synckit sync` meets the first")?;
        }
        for peer in peers {
            let filter =
                if peer.filter == "all" { String::new() } else { format!(", filter {}", peer.filter) };
            write!(
                f,
                "\npeer       {}{filter}: synced {}, pulled to its position {}, {} left to push, {} refused",
                text::plain(peer.node.as_str()),
                text::time(peer.synced_at),
                text::number(peer.pulled_to),
                text::number(peer.to_push),
                text::number(peer.refused),
            )?;
        }
        if let Some(at) = self.status.copy_seen {
            write!(
                f,
                "\ncopy       another copy of this database was in use {}; see `synckit doctor`",
                text::time(at)
            )?;
        }
        for aggregate in self.status.full.iter().take(NAMED) {
            let (what, then) = nearly_full(aggregate);
            write!(f, "\nfull       {what}: {then}")?;
        }
        match clock::warning(&self.status) {
            Some(warning) => write!(f, "\nclock      {warning}"),
            None => Ok(()),
        }
    }
}
