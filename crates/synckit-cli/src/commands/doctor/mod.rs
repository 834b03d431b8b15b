//! `synckit doctor`: the identity of a replica, and what is wrong with it.

use std::fmt;

use serde::Serialize;
use synckit::{
    AggregateId, BoxStore, Status, VectorClock,
    conflict::Heads,
    store::{Former, Renewal, StoreExt},
};

use crate::commands::{Existing, clock, closing, replica};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::text;

/// Say who a replica is, under which names it went before and why, and what is wrong with it
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: synckit doctor --db a.db\n\nReads what is noted about every aggregate, which takes a while \
    if there are many. Changes nothing."
)]
pub(crate) struct Args {
    #[command(flatten)]
    replica: Existing,
}

/// An aggregate with at least this number of names in its clock is reported.
const MANY: usize = VectorClock::MAX_NODES * 8 / 10;

#[derive(Debug, Serialize)]
struct Answer {
    status: Status,
    /// What is wrong and what to do, each in a sentence.
    findings: Vec<String>,
}

pub(crate) async fn run(args: Args, output: &mut Output) -> Result<Exit, Failure> {
    let store = args.replica.open().await?;
    let answer = closing(&store, ask(&store).await).await?;
    output.answer(&answer)?;
    Ok(Exit::Done)
}

async fn ask(store: &BoxStore) -> Result<Answer, Failure> {
    let status = replica(store).status().await?;
    let mut findings: Vec<String> = clock::warning(&status).into_iter().collect();
    if let Some(at) = status.copy_seen {
        findings.push(format!(
            "another copy of this database, or another device named {}, was in use when this replica synced {}: if it is a \
             copy, run `synckit reidentify` on one of them",
            text::plain(status.node.as_str()),
            text::time(at)
        ));
    }
    if status.renumbers {
        findings.push(
            "events that nobody else has yet get fresh numbers with the next sync that pushes: sync it"
                .to_owned(),
        );
    }
    let refused = status.refused_here + status.refused_by_peers;
    if refused > 0 {
        let refused = text::count(refused, "event");
        findings.push(format!("{refused} could not be stored: `synckit refused` lists them"));
    }
    if status.conflicts > 0 {
        let conflicts = text::count(status.conflicts, "conflict");
        findings.push(format!("{conflicts} not settled: `synckit conflicts` lists them"));
    }
    for note in store.notes_under("heads/").await? {
        let names = Heads::decode(&note.value)?.clock().map_or(VectorClock::MAX_NODES, |clock| clock.len());
        let aggregate = AggregateId::new(&note.key["heads/".len()..])?;
        if names >= MANY {
            findings.push(format!(
                "{} was written under {} of at most {} names: continue in another aggregate, and name this one in it",
                text::plain(aggregate.as_str()),
                text::number(names),
                text::number(VectorClock::MAX_NODES)
            ));
        }
    }
    Ok(Answer { status, findings })
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
