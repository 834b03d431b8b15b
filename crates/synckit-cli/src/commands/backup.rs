//! `synckit backup`: a copy of a store that may be in use.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use synckit::{ErrorKind, EventStore, Position};

use crate::adapters::{Kept, stores};
use crate::commands::{Existing, closing};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::place::Fresh;
use crate::text;

/// Copy a replica into one file, as it is at one moment, while it is in use
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    synckit backup --db hub.db hub-monday.db\n  \
    synckit backup --db hub.db --replace hub-latest.db\n  \
    synckit restore hub-monday.db --db hub.db       puts it in place again\n\n\
    The copy has everything: events, identity, what is known of peers. It is whole or absent. Do not use it as it is \
    beside the original: `synckit restore` gives it an identity of its own.\n\n\
    A redb file can be open in one process only, so the backup of a hub's redb file is made by the hub: \
    `synckit serve --backup FILE` writes it at each SIGUSR1.")]
pub(crate) struct Args {
    #[command(flatten)]
    replica: Existing,

    /// The file to write
    #[arg(value_name = "FILE")]
    to: PathBuf,

    /// Take the place of a file of this name, once the backup is whole
    #[arg(long)]
    replace: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    backup: String,
    events: Position,
    bytes: u64,
}

pub(crate) async fn run(args: Args, output: &mut Output) -> Result<Exit, Failure> {
    // A missing replica is reported as by any other command.
    let kept = args.replica.open_kept().await.map_err(|failure| {
        let in_use = failure.kind() == Some(ErrorKind::Busy);
        match in_use {
            true => failure
                .hint("the hub that has it open makes the backup: see `synckit serve --help`, --backup"),
            false => failure,
        }
    })?;
    let made = make(&kept, args.replica.scheme()?, &args.to, args.replace).await;
    output.answer(&closing(&kept.store(), made).await?)?;
    Ok(Exit::Done)
}

/// Makes a backup of a store of this kind, and opens it to see that it is one.
pub(crate) async fn make(kept: &Kept, scheme: &str, to: &Path, replace: bool) -> Result<Answer, Failure> {
    let fresh = Fresh::at(to, replace)?;
    kept.backup(fresh.path()).await?;
    let copy = stores().open(&format!("{scheme}:{}", fresh.path().display()), None, false).await?;
    let head = copy.head().await.map_err(Failure::from);
    let events = closing(&copy, head).await?.position;
    let bytes = std::fs::metadata(fresh.path()).map_or(0, |file| file.len());
    fresh.put()?;
    Ok(Answer { backup: to.display().to_string(), events, bytes })
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (to, events) = (text::plain(&self.backup), text::count(self.events, "event"));
        write!(f, "{to} has {events}, {}", text::bytes(self.bytes))
    }
}
