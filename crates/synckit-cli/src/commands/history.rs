//! `synckit history`: the events of one aggregate, and which of them stand.

use std::fmt;

use serde::Serialize;
use synckit::{
    AggregateId, Error, ErrorKind, Event, EventId,
    conflict::{Decision, Entry, Resolution, Standing},
};

use crate::commands::{Existing, closing, replica};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::text;

/// Show the history of one aggregate, in the order that is the same on all replicas
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: synckit history --db a.db --aggregate note-1\n\n\
    Each event has its standing:\n  \
    live        it stands\n  \
    superseded  it lost a conflict; it stays in the log\n  \
    resolution  it says which side of a conflict stands")]
pub(crate) struct Args {
    #[command(flatten)]
    replica: Existing,

    /// The aggregate
    #[arg(long, value_name = "ID")]
    aggregate: AggregateId,

    /// Only the events that stand
    #[arg(long)]
    live: bool,
}

#[derive(Debug, Serialize)]
struct Answer {
    standing: &'static str,
    /// The resolution by which it was superseded.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<EventId>,
    event: Event,
}

pub(crate) async fn run(args: Args, output: &mut Output) -> Result<Exit, Failure> {
    let store = args.replica.open().await?;
    let history = replica(&store).history(&args.aggregate).await.map_err(Failure::from);
    let history = closing(&store, history).await?;
    if history.entries().is_empty() {
        let error = Error::new(ErrorKind::NotFound, "there is no event of this aggregate")
            .with("aggregate", &args.aggregate)
            .with("store", args.replica.name());
        return Err(Failure::from(error).hint("`synckit aggregates` lists them"));
    }
    for entry in history.entries().iter().filter(|entry| !args.live || entry.standing == Standing::Live) {
        output.answer(&Answer::of(entry))?;
    }
    Ok(Exit::Done)
}

impl Answer {
    fn of(entry: &Entry) -> Self {
        let (standing, by) = match &entry.standing {
            Standing::Live => ("live", None),
            Standing::Superseded { by } => ("superseded", Some(by.clone())),
            Standing::Resolution => ("resolution", None),
        };
        Answer { standing, by, event: entry.event.clone() }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<10}  {}", self.standing, line(&self.event))
    }
}

/// The number of characters of the data that are shown.
const SHOWN: usize = 120;

/// Formats an event as one line: time, author, type, aggregate, data or decision.
pub(crate) fn line(event: &Event) -> String {
    let author = event.dot.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    let what = match (event.data.as_json(), Resolution::read(event)) {
        (_, Ok(resolution)) => decision(&resolution),
        (Some(json), Err(_)) => text::short(json, SHOWN),
        (None, Err(_)) => text::count(event.data.as_bytes().len(), "byte"),
    };
    format!(
        "{}  {:<8}  {}  {}  {what}",
        text::time(event.time.millis()),
        text::plain(&author),
        text::plain(event.event_type.as_str()),
        text::plain(event.aggregate_id.as_str()),
    )
}

fn decision(resolution: &Resolution) -> String {
    let sides = text::count(resolution.sides.len(), "side");
    let by = text::plain(&resolution.by);
    match &resolution.decision {
        Decision::Keep(kept) => format!("of {sides}, {} stands, by {by}", text::plain(&kept.to_string())),
        Decision::KeepAll => format!("{sides} stand, by {by}"),
        Decision::Merge(_) => format!("{sides} merged, by {by}"),
    }
}
