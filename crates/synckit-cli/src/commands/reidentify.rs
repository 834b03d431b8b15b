//! `synckit reidentify`: a copied file becomes a replica of its own.

use std::fmt;

use serde::Serialize;
use synckit::{NodeId, StoreId};

use crate::commands::{Existing, closing, replica};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::text;

/// Make a copied file a replica of its own, with a fresh id and a fresh name
#[derive(Debug, clap::Args)]
#[command(
    after_help = "For a file that was copied from a replica still in use: a new device set up from another's data, \
    several machines from one image, a second hub from a copy of the first. The copy keeps its events, also \
    those it recorded that nobody else has yet.\n\n\
    Without this command, a copy is noticed once both files have been in use; nothing is lost then either.\n\n\
    Example: synckit reidentify --db till-2.db --node till-2"
)]
pub(crate) struct Args {
    #[command(flatten)]
    replica: Existing,

    /// The new name, different on each replica; by default one derived from the old name
    #[arg(long, value_name = "NAME")]
    node: Option<NodeId>,
}

#[derive(Debug, Serialize)]
struct Answer {
    /// The name that the store was made for, or has been given now.
    node: NodeId,
    /// The name that it authors under.
    author: NodeId,
    store: StoreId,
}

pub(crate) async fn run(args: Args, output: &mut Output) -> Result<Exit, Failure> {
    let store = args.replica.open().await?;
    let renewed = async {
        let identity = replica(&store).reidentify(args.node).await?;
        let store = replica(&store).status().await?.store;
        Ok(Answer { node: identity.node, author: identity.author, store })
    };
    let answer = closing(&store, renewed.await).await?;
    output.answer(&answer)?;
    Ok(Exit::Done)
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let author = text::plain(self.author.as_str());
        write!(f, "this replica is {author} from now on, and its store {}", self.store)
    }
}
