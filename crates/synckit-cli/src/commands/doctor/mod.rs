//! `synckit doctor`: the identity of a replica, what is wrong with it, and what to do.
//!
//! - `findings.rs`: what is wrong
//! - `integrity.rs`: whether everything can be read; `reading.rs`: reading past what cannot
//! - `salvage.rs`: what can be read goes into a new store

mod findings;
mod integrity;
mod reading;
mod salvage;

use std::fmt;

use serde::Serialize;
use synckit::{
    BoxStore, NodeId, Status,
    store::{Former, Renewal},
};

use crate::commands::{Existing, closing, replica};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::text;
pub(crate) use findings::nearly_full;
use findings::{About, Finding};
use integrity::{Checked, Damages};

/// Say who a replica is, what is wrong with it and what to do; save what can be read of a damaged one
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    synckit doctor --db a.db\n  \
    synckit doctor --db a.db --salvage new.db      what can be read of a.db goes into a new replica\n\n\
    Reads every event and looks it up in each index, which takes a while in a long log. Changes no event. Where the row of \
    an event is damaged, it notes that, and the next sync fetches the event again. The exit code is 1 if the store is \
    damaged, or if --salvage could not save everything.\n\n\
    A salvaged replica keeps its name and authors under a fresh one. What is known of peers is not carried over: the next \
    sync compares everything and brings back what they have.")]
pub(crate) struct Args {
    #[command(flatten)]
    replica: Existing,

    /// Put what can be read into this new store: FILE or sqlite:FILE, redb:FILE
    #[arg(long, value_name = "NEW")]
    salvage: Option<String>,

    /// The name of the replica, if the damaged store does not say it any more
    #[arg(long, value_name = "NAME", requires = "salvage")]
    node: Option<NodeId>,
}

#[derive(Debug, Serialize)]
struct Answer {
    status: Status,
    /// How many events could be read.
    readable: u64,
    damage: Damages,
    findings: Vec<Finding>,
}

pub(crate) async fn run(args: Args, output: &mut Output) -> Result<Exit, Failure> {
    let store = args.replica.open().await?;
    if let Some(into) = &args.salvage {
        let saved = salvage::run(&store, into, args.node, output).await;
        return closing(&store, saved).await;
    }
    let answer = closing(&store, ask(&store, &args.replica).await).await?;
    let damaged = answer.findings.iter().any(|finding| finding.about == About::Integrity);
    output.answer(&answer)?;
    Ok(if damaged { Exit::Failed } else { Exit::Done })
}

async fn ask(store: &BoxStore, existing: &Existing) -> Result<Answer, Failure> {
    let status = replica(store).status().await?;
    let checked = Checked::of(store).await?;
    let fetched = match checked.damage.is_empty() {
        true => 0,
        // A store that cannot be written can still be looked at.
        false => replica(store).scrub().await.map_or(0, |scrubbed| scrubbed.to_fetch),
    };
    let findings =
        findings::of(store, &existing.name(), existing.file()?, &status, &checked, fetched).await?;
    Ok(Answer { status, readable: checked.events, damage: checked.damage, findings })
}

/// Returns in words why a name was given up.
pub(crate) fn why(former: &Former) -> &'static str {
    match former.why {
        Renewal::CopyInUse => "another copy of this database is in use",
        Renewal::NameTaken => "the name belongs to another device",
        Renewal::Asked => "somebody said that this is a copy",
        _ => "this replica was set back to an older copy",
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Status { node, author, store, former, .. } = &self.status;
        write!(f, "node    {}\nauthor  {}", text::plain(node.as_str()), text::plain(author.as_str()))?;
        write!(f, "\nstore   {store}")?;
        for former in former {
            let name = text::plain(former.author.as_str());
            write!(
                f,
                "\nformer  {name}, store {}, until {}: {}",
                former.store,
                text::time(former.at),
                why(former)
            )?;
        }
        if self.findings.is_empty() {
            return write!(f, "\nnothing is wrong");
        }
        self.findings.iter().try_for_each(|finding| write!(f, "\n- {finding}"))
    }
}
