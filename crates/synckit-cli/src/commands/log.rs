//! `synckit log`: the events of a replica in the order in which they arrived.

use std::fmt;

use serde::Serialize;
use synckit::{
    AggregateId, BoxStore, EventStore, Position, StoreId,
    store::{Query, StoredEvent},
};

use crate::commands::history::line;
use crate::commands::{Existing, closing, stopped};
use crate::failure::{Exit, Failure};
use crate::output::{self, Output};

/// Show the events of a replica, in the order in which they arrived here
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    synckit log --db a.db --aggregate note-1\n  \
    synckit log --db a.db --after 1000 --limit 20\n  \
    synckit log --db a.db --follow             end with Ctrl-C\n  \
    synckit log --db a.db --json | jq .event.data\n\n\
    A line is: position, time, author and its counter, type, aggregate, the beginning of the data. --json prints \
    whole events, one per line.")]
pub(crate) struct Args {
    #[command(flatten)]
    replica: Existing,

    /// Only events of this aggregate
    #[arg(long, value_name = "ID")]
    aggregate: Option<AggregateId>,

    /// Only events after this position
    #[arg(long, value_name = "N", default_value_t = 0)]
    after: Position,

    /// Show at most N events
    #[arg(long, value_name = "N")]
    limit: Option<usize>,

    /// Wait for more events, including those that other processes record
    #[arg(short, long)]
    follow: bool,
}

#[derive(Debug, Serialize)]
struct Answer {
    position: Position,
    /// The store it came from; `null` if it was recorded here.
    source: Option<StoreId>,
    event: synckit::Event,
}

pub(crate) async fn run(args: Args, output: &mut Output) -> Result<Exit, Failure> {
    let store = args.replica.open().await?;
    let printed = match args.follow {
        true => follow(&store, &args, output).await,
        false => print(&store, &args, output).await,
    };
    closing(&store, printed).await?;
    Ok(Exit::Done)
}

async fn follow(store: &BoxStore, args: &Args, output: &mut Output) -> Result<(), Failure> {
    let stop = stopped()?;
    tokio::select! {
        printed = print(store, args, output) => printed,
        () = stop => Ok(()),
    }
}

async fn print(store: &BoxStore, args: &Args, output: &mut Output) -> Result<(), Failure> {
    let mut left = args.limit.unwrap_or(usize::MAX);
    let mut after = args.after;
    while left > 0 {
        let mut query = Query::after(after);
        query.aggregates = args.aggregate.clone().map(|aggregate| vec![aggregate]);
        query.max_events = query.max_events.min(left);
        let page = store.read(query).await?;
        left -= page.events.len();
        for StoredEvent { position, source, event, .. } in page.events {
            output.answer_waiting(&Answer { position, source, event }).await?;
        }
        output.flush_waiting().await?;
        after = page.scanned_to;
        if !page.more && left > 0 {
            if !args.follow {
                break;
            }
            let head = store.moved(after).await?;
            if head < after {
                output::message(format_args!("the log was set back, and ends at {head} now"));
                after = head;
            }
        }
    }
    Ok(())
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>6}  {}", self.position, line(&self.event))
    }
}
