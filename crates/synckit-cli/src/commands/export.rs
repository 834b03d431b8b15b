//! `synckit export`: the events of a replica as JSON lines.

use serde::Serialize;
use synckit::{AggregateId, BoxStore, Event, EventStore, NewEvent, store::Query};

use crate::commands::{Existing, closing};
use crate::failure::{Exit, Failure};
use crate::output::Output;

/// Write the events of a replica as JSON lines, for other tools or another replica
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    synckit export --db a.db > all.jsonl                     every event whole, in the order of the log\n  \
    synckit import --db new.db --node b --exact all.jsonl    takes them back as they are\n  \
    synckit export --db a.db --plain > facts.jsonl           what was recorded, without its stamps\n  \
    synckit import --db new.db --node b facts.jsonl          records it again, as written now by b\n  \
    synckit export --db a.db --aggregate note-1 | jq .data\n\n\
    A line is {\"id\", \"type\", \"aggregate_id\", \"data\", \"metadata\"?, \"dot\"?, \"clock\", \"time\"}; \
    \"data_base64\" in place of \"data\" holds bytes. An event without a dot is a decision in a conflict. The replica may \
    be in use meanwhile. A backup also keeps what is known of peers: see `synckit backup`.")]
pub(crate) struct Args {
    #[command(flatten)]
    replica: Existing,

    /// Only events of this aggregate
    #[arg(long, value_name = "ID")]
    aggregate: Option<AggregateId>,

    /// Without stamps and without decisions in conflicts, as `import` takes them without --exact
    #[arg(long)]
    plain: bool,
}

pub(crate) async fn run(args: Args, output: &mut Output) -> Result<Exit, Failure> {
    let store = args.replica.open().await?;
    closing(&store, export(&store, &args, output).await).await?;
    Ok(Exit::Done)
}

async fn export(store: &BoxStore, args: &Args, output: &mut Output) -> Result<(), Failure> {
    let mut after = 0;
    loop {
        let mut query = Query::after(after);
        query.aggregates = args.aggregate.clone().map(|aggregate| vec![aggregate]);
        let page = store.read(query).await?;
        after = page.scanned_to;
        for event in page.events.into_iter().map(|stored| stored.event) {
            match args.plain {
                true if event.is_derived() => {}
                true => output.object(&plain(event))?,
                false => output.object(&event)?,
            }
        }
        if !page.more {
            return Ok(());
        }
    }
}

/// Returns what was recorded: an event without its stamp.
fn plain(event: Event) -> impl Serialize {
    let Event { id, event_type, aggregate_id, data, metadata, .. } = event;
    NewEvent { id: Some(id), event_type, aggregate_id, data, metadata }
}
