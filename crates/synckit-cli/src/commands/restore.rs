//! `synckit restore`: puts a backup in place, with an identity of its own.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use synckit::{
    BoxStore, Environment, Error, ErrorKind, EventStore, NodeId, Position, StoreId, SystemEnvironment,
    plan::Renew,
    store::{Identity, Renewal},
};

use crate::adapters::{Kept, is_file, stores};
use crate::commands::{closing, entropy};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::place::Fresh;
use crate::text;

/// Put a backup in place, with a fresh identity, so that it can sync at once
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    synckit restore hub-monday.db --db hub.db\n  \
    synckit restore till.bak --db redb:till.redb        the backup of a redb file\n\n\
    The backup stays as it is. The restored replica keeps its name and authors under a fresh one, so that nothing it \
    records is taken for what the original recorded after the backup. With the next syncs it gets back what others have of \
    it. Nothing is replaced: move a damaged file away first, with its -wal and -shm.")]
pub(crate) struct Args {
    /// The backup
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,

    /// Where the replica goes: FILE or sqlite:FILE, redb:FILE; of the same kind as the backup
    #[arg(long, value_name = "STORE")]
    db: String,
}

#[derive(Debug, Serialize)]
struct Answer {
    node: NodeId,
    author: NodeId,
    store: StoreId,
    events: Position,
}

pub(crate) async fn run(args: Args, output: &mut Output) -> Result<Exit, Failure> {
    let (scheme, location) = stores().locate(&args.db)?;
    if !is_file(scheme) {
        let message = "a backup is a file, and is restored as one; import events into another store";
        return Err(Error::new(ErrorKind::Unsupported, message).into());
    }
    let fresh = Fresh::at(Path::new(location), false)?;
    let named = |path: &Path| format!("{scheme}:{}", path.display());
    Kept::copy(&named(&args.backup), fresh.path()).await?;
    let copy = stores().open(&named(fresh.path()), None, false).await?;
    let renewed = async {
        let identity = renew(&copy, copy.head().await?.store).await?;
        let head = copy.head().await?;
        Ok(Answer { node: identity.node, author: identity.author, store: head.store, events: head.position })
    };
    let answer = closing(&copy, renewed.await).await?;
    fresh.put()?;
    output.answer(&answer)?;
    Ok(Exit::Done)
}

/// Gives a store that was set back a fresh id and a fresh name, unless it no longer has this id.
pub(super) async fn renew(store: &BoxStore, id: StoreId) -> Result<Identity, Failure> {
    let renew = Renew::new(id, Renewal::SetBack, SystemEnvironment.now(), entropy()?);
    Ok(store.commit(renew).await?)
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let events = text::count(self.events, "event");
        let (node, author) = (text::plain(self.node.as_str()), text::plain(self.author.as_str()));
        write!(f, "restored {node} with {events}; it records as {author} from now on; sync it")
    }
}
