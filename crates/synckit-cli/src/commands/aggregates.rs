//! `synckit aggregates`: of what there are events.

use std::fmt;

use serde::Serialize;
use synckit::AggregateId;

use crate::commands::{Existing, closing, replica};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::text;

/// List the aggregates: all that there are events of
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    synckit aggregates --db a.db                     all of them\n  \
    synckit aggregates --db a.db --prefix note-      those whose ids begin with note-\n\n\
    They are listed from an index, sorted by id. `synckit show` shows one.")]
pub(crate) struct Args {
    #[command(flatten)]
    replica: Existing,

    /// Only those whose ids begin with this
    #[arg(long, value_name = "TEXT", default_value = "")]
    prefix: String,

    /// Only those after this one
    #[arg(long, value_name = "ID")]
    after: Option<AggregateId>,

    /// At most this many
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
}

/// The number of aggregates that are read at once.
const PAGE: usize = 1_000;

#[derive(Debug, Serialize)]
struct Answer {
    aggregate: AggregateId,
}

pub(crate) async fn run(args: Args, output: &mut Output) -> Result<Exit, Failure> {
    let store = args.replica.open().await?;
    let listed = async {
        let replica = replica(&store);
        let (mut after, mut left) = (args.after, args.limit.unwrap_or(usize::MAX));
        while left > 0 {
            let page = replica.aggregates(&args.prefix, after.as_ref(), left.min(PAGE)).await?;
            let Some(last) = page.last().cloned() else { break };
            left -= page.len();
            after = Some(last);
            for aggregate in page {
                output.answer_waiting(&Answer { aggregate }).await?;
            }
        }
        output.flush_waiting().await
    };
    closing(&store, listed.await).await?;
    Ok(Exit::Done)
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::plain(self.aggregate.as_str()))
    }
}
