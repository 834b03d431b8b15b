//! `synckit show`: what is true of one aggregate now.

use std::fmt;

use serde::Serialize;
use synckit::{AggregateId, Error, ErrorKind, Event, conflict::Current};

use crate::commands::conflicts::show::Shown;
use crate::commands::{Existing, closing, history, replica};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::text;

/// Show what is true of one aggregate now: one event, several side by side, or the sides of a conflict
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: synckit show --db a.db --aggregate note-1\n\n\
    This is what an application shows whose events each replace what was there before. One whose events add up, such \
    as items sold, shows all that stand: `synckit history --live`.")]
pub(crate) struct Args {
    #[command(flatten)]
    replica: Existing,

    /// The aggregate
    #[arg(long, value_name = "ID")]
    aggregate: AggregateId,
}

#[derive(Debug, Serialize)]
struct Answer {
    aggregate: AggregateId,
    /// `nothing`, `one`, `several` or `in_conflict`.
    state: &'static str,
    /// The events that stand; of a conflict, those that its sides show.
    events: Vec<Event>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conflict: Option<Shown>,
}

pub(crate) async fn run(args: Args, output: &mut Output) -> Result<Exit, Failure> {
    let store = args.replica.open().await?;
    let asked = async {
        let replica = replica(&store);
        let current = replica.current(&args.aggregate).await?;
        let known = current != Current::Nothing || !replica.heads(&args.aggregate).await?.is_empty();
        Ok::<_, Failure>((current, known))
    };
    let (current, known) = closing(&store, asked.await).await?;
    if !known {
        let error = Error::new(ErrorKind::NotFound, "there is no event of this aggregate")
            .with("aggregate", &args.aggregate)
            .with("store", args.replica.name());
        return Err(Failure::from(error).hint("`synckit aggregates` lists them"));
    }
    output.answer(&Answer::of(args.aggregate, &current))?;
    Ok(Exit::Done)
}

impl Answer {
    fn of(aggregate: AggregateId, current: &Current) -> Self {
        let (state, conflict) = match current {
            Current::Nothing => ("nothing", None),
            Current::One(_) => ("one", None),
            Current::Several(_) => ("several", None),
            Current::InConflict(conflict) => ("in_conflict", Some(Shown::of(conflict, None).in_full())),
        };
        Answer { aggregate, state, events: current.events().into_iter().cloned().collect(), conflict }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(conflict) = &self.conflict {
            return conflict.fmt(f);
        }
        if self.events.is_empty() {
            return write!(f, "{}: a filter left out what stands", text::plain(self.aggregate.as_str()));
        }
        for (number, event) in self.events.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&history::line(event))?;
        }
        Ok(())
    }
}
