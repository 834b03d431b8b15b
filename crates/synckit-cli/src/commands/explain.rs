//! `synckit explain`: why an event stands or not.

use std::fmt;

use serde::Serialize;
use synckit::{AggregateId, Error, EventId, conflict::Explanation};

use crate::commands::{Existing, closing, replica};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::text;

/// Say why an event stands or not: what its author had seen, what it was concurrent with, who decided
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    synckit explain --db a.db 0198c0de-7f3a-7cc1-8b5e-2f1f6a8e9d10\n  \
    synckit explain --db a.db e-17 --aggregate note-1       quicker in a long log\n\n\
    The ids of events are shown by `synckit log --json` and `synckit conflicts`.")]
pub(crate) struct Args {
    #[command(flatten)]
    replica: Existing,

    /// The event
    #[arg(value_name = "EVENT")]
    event: EventId,

    /// Its aggregate; without it, the whole log is searched
    #[arg(long, value_name = "ID")]
    aggregate: Option<AggregateId>,
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Answer(Explanation);

pub(crate) async fn run(args: Args, output: &mut Output) -> Result<Exit, Failure> {
    let store = args.replica.open().await?;
    let replica = replica(&store);
    let explained = match &args.aggregate {
        Some(aggregate) => {
            let history = replica.history(aggregate).await;
            history.and_then(|history| Explanation::of(&history, &args.event))
        }
        None => replica.explain(&args.event).await,
    };
    let explained = explained.map_err(|error: Error| Failure::from(error.with("store", args.replica.name())));
    let explanation = closing(&store, explained).await?;
    output.answer(&Answer(explanation))?;
    Ok(Exit::Done)
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Explanation { event, aggregate, dot, time, on_top_of, seen, concurrent_with, because, .. } =
            &self.0;
        let author = dot.as_ref().map_or_else(|| "a resolution".to_owned(), ToString::to_string);
        writeln!(f, "event            {}", text::plain(event.as_str()))?;
        writeln!(f, "aggregate        {}", text::plain(aggregate.as_str()))?;
        writeln!(f, "author           {}", text::plain(&author))?;
        writeln!(f, "time             {}", text::time(time.millis()))?;
        writeln!(f, "on top of        {}", ids(on_top_of))?;
        writeln!(f, "had seen         {} of this aggregate", text::count(*seen, "event"))?;
        writeln!(f, "concurrent with  {}", ids(concurrent_with))?;
        write!(f, "{}", text::plain(because))
    }
}

/// The number of ids that are shown.
const SHOWN: usize = 10;

fn ids(ids: &[EventId]) -> String {
    let mut shown: Vec<String> =
        ids.iter().take(SHOWN).map(|id| text::plain(id.as_str()).into_owned()).collect();
    match ids.len() {
        0 => "nothing".to_owned(),
        all if all > SHOWN => {
            shown.push(format!("and {} more", text::number(all - SHOWN)));
            shown.join(", ")
        }
        _ => shown.join(", "),
    }
}
