//! `synckit digest`: whether replicas agree.

use synckit::Digest;

use crate::commands::{Existing, closing};
use crate::failure::{Exit, Failure};
use crate::output::Output;

/// Print hashes that are the same on all replicas that agree
#[derive(Debug, clap::Args)]
#[command(after_help = "Prints three lines:\n  \
    events  how many events the replica holds\n  \
    set     a hash over all events, independent of the order in which they arrived\n  \
    view    a hash over the events that stand once conflicts are settled\n\n\
    Example: diff <(synckit digest --db a.db) <(synckit digest --db b.db) && echo they agree")]
pub(crate) struct Args {
    #[command(flatten)]
    replica: Existing,
}

pub(crate) async fn run(args: Args, output: &mut Output) -> Result<Exit, Failure> {
    let store = args.replica.open().await?;
    let digest = closing(&store, Digest::of(&store).await.map_err(Failure::from)).await?;
    if output.is_json() {
        output.object(&digest)?;
    } else {
        output.line(format_args!("events {}\nset {}\nview {}", digest.events, digest.set, digest.view))?;
    }
    Ok(Exit::Done)
}
