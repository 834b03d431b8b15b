//! `synckit conflicts`: conflicts that wait for a person, and decisions. `show.rs` has how a conflict is shown.

pub(super) mod show;

use std::fmt;

use serde::Serialize;
use synckit::{
    AggregateId, BoxStore, Conflict, Data, Error, ErrorKind, EventId, NewEvent,
    conflict::{Answer, AuditEntry, Ruling},
    store::StoreExt,
};

use crate::commands::{Existing, closing, replica};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::text;
use show::Shown;

/// List conflicts, show their sides with the changed fields, settle them; list all decisions
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    synckit conflicts --db a.db                                              list what is not settled\n  \
    synckit conflicts --db a.db --aggregate form-7                           show its sides and what each changed\n  \
    synckit conflicts --db a.db --aggregate form-7 --keep e-17 --by ann      this side stands\n  \
    synckit conflicts --db a.db --aggregate form-7 --keep-all                all sides stand\n  \
    synckit conflicts --db a.db --aggregate form-7 --merge '{\"guests\":60}'   this replaces all sides\n  \
    synckit conflicts --db a.db --aggregate form-7 --keep e-18 --again       decide again what is settled\n  \
    synckit conflicts --db a.db --decisions --json                           export every decision that was taken\n\n\
    A decision is an event: it reaches the other replicas with the next sync. It counts more than rules, \
    and a later decision counts more than an earlier one. If two people decide at the same time, all replicas end \
    with one of the decisions. What lost stays in the log: see `synckit history` and `explain`.")]
pub(crate) struct Args {
    #[command(flatten)]
    replica: Existing,

    /// The aggregate in conflict; without it, all are listed
    #[arg(long, value_name = "ID")]
    aggregate: Option<AggregateId>,

    /// Settle it: this event stands, with all it had seen
    #[arg(long, value_name = "EVENT", requires = "aggregate", group = "decision")]
    keep: Option<EventId>,

    /// Settle it: all sides stand
    #[arg(long, requires = "aggregate", group = "decision")]
    keep_all: bool,

    /// Settle it: this JSON replaces all sides, as an event of the type of the last side
    #[arg(long, value_name = "JSON", requires = "aggregate", group = "decision")]
    merge: Option<String>,

    /// Who decides; the name of the replica by default
    #[arg(long, value_name = "NAME", requires = "decision")]
    by: Option<String>,

    /// Why; it is recorded with the decision
    #[arg(long, value_name = "TEXT", requires = "decision")]
    because: Option<String>,

    /// Decide again what is settled, as long as nothing was recorded on top of it
    #[arg(long, requires = "aggregate")]
    again: bool,

    /// List all decisions in the log, in the order in which they arrived
    #[arg(long, conflicts_with_all = ["aggregate", "decision"])]
    decisions: bool,
}

#[derive(Debug, Serialize)]
struct Decided {
    aggregate: AggregateId,
    resolution: EventId,
    by: String,
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Decision(AuditEntry);

pub(crate) async fn run(args: Args, output: &mut Output) -> Result<Exit, Failure> {
    let store = args.replica.open().await?;
    let done = match &args.aggregate {
        None if args.decisions => decisions(&store, output).await,
        None => list(&store, output).await,
        Some(aggregate) => one(&store, aggregate, &args, output).await,
    };
    closing(&store, done).await?;
    Ok(Exit::Done)
}

async fn list(store: &BoxStore, output: &mut Output) -> Result<(), Failure> {
    let replica = replica(store);
    let open = replica.conflicts().await?;
    if open.is_empty() && !output.is_json() {
        return output.line("nothing is in conflict");
    }
    for open in open {
        if let Some(conflict) = replica.conflict(&open.aggregate).await? {
            output.answer(&Shown::of(&conflict, Some(open.found_at)))?;
        }
    }
    Ok(())
}

/// The number of events in the log that one page of decisions covers.
const PAGE: usize = 1_000;

async fn decisions(store: &BoxStore, output: &mut Output) -> Result<(), Failure> {
    let replica = replica(store);
    let mut after = 0;
    loop {
        let page = replica.audit(after, PAGE).await?;
        after = page.scanned_to;
        for entry in page.entries {
            output.answer(&Decision(entry))?;
        }
        if !page.more {
            return Ok(());
        }
    }
}

async fn one(
    store: &BoxStore,
    aggregate: &AggregateId,
    args: &Args,
    output: &mut Output,
) -> Result<(), Failure> {
    let replica = replica(store);
    let conflict = match args.again {
        true => settled(store, aggregate).await?,
        false => replica.conflict(aggregate).await?.ok_or_else(|| {
            let error = Error::new(ErrorKind::NotFound, "the aggregate is not in conflict");
            Failure::from(error.with("aggregate", aggregate))
                .hint("`synckit conflicts` lists those that are; --again decides again what was settled")
        })?,
    };
    let Some(answer) = args.answer(&conflict)? else {
        return output.answer(&Shown::of(&conflict, None).in_full());
    };
    let by = match &args.by {
        Some(by) => by.clone(),
        None => store.identity().await?.node.to_string(),
    };
    let ruling = Ruling { reason: args.because.clone(), ..Ruling::from(answer) };
    let resolution = replica.settle(&conflict, ruling, &by).await.map_err(|error| {
        Failure::from(error).hint("`synckit conflicts` with the aggregate shows the events that can be kept")
    })?;
    output.answer(&Decided { aggregate: aggregate.clone(), resolution: resolution.id, by })
}

/// Returns the conflict that the decision on top of an aggregate has settled.
async fn settled(store: &BoxStore, aggregate: &AggregateId) -> Result<Conflict, Failure> {
    let replica = replica(store);
    let heads = replica.heads(aggregate).await?;
    let [top] = heads.as_slice() else {
        let error = Error::new(ErrorKind::NotFound, "the aggregate has no decision on top");
        return Err(Failure::from(error.with("aggregate", aggregate))
            .hint("without --again the command shows the conflict"));
    };
    Ok(replica.settled_conflict(aggregate, top).await?)
}

impl Args {
    fn answer(&self, conflict: &Conflict) -> Result<Option<Answer>, Failure> {
        if let Some(id) = &self.keep {
            return Ok(Some(Answer::Keep(id.clone())));
        }
        if self.keep_all {
            return Ok(Some(Answer::KeepAll));
        }
        let Some(json) = &self.merge else { return Ok(None) };
        let shown = conflict.branches.iter().flat_map(|branch| &branch.shows);
        let last = shown.max_by(|left, right| left.canonical_cmp(right));
        let last = last.ok_or_else(|| {
            Failure::from(Error::invalid("a filter left out what the sides show; keep one of them instead"))
        })?;
        let merged = NewEvent::with_data(&last.event_type, &conflict.aggregate_id, Data::json(json)?)?;
        Ok(Some(Answer::Merge(merged)))
    }
}

impl fmt::Display for Decided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (aggregate, by) = (text::plain(self.aggregate.as_str()), text::plain(&self.by));
        write!(f, "{aggregate} is settled, by {by}; the next sync sends the decision to the others")
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (time, aggregate) = (text::time(self.0.time.millis()), text::plain(self.0.aggregate.as_str()));
        write!(f, "{time}  {aggregate}  {}", text::plain(&self.0.to_string()))
    }
}
