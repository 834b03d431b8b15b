//! The commands, and what they share: opening stores and waiting for the signal to stop.

pub(crate) mod clock;
pub(crate) mod conflicts;
pub(crate) mod demo;
pub(crate) mod digest;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod history;
pub(crate) mod import;
pub(crate) mod log;
pub(crate) mod record;
pub(crate) mod refused;
pub(crate) mod reidentify;
pub(crate) mod rules;
pub(crate) mod serve;
pub(crate) mod status;
pub(crate) mod sync;

use std::path::Path;

use synckit::{BoxStore, Error, ErrorKind, EventStore, NodeId};

use crate::adapters::stores;
use crate::args::Command;
use crate::failure::{self, Exit, Failure};
use crate::output::Output;

/// Runs the command.
pub(crate) async fn run(command: Command, output: &mut Output) -> Result<Exit, Failure> {
    match command {
        Command::Demo(args) => demo::run(args, output).await,
        Command::Serve(args) => serve::run(args, output).await,
        Command::Record(args) => record::run(args, output).await,
        Command::Import(args) => import::run(args, output).await,
        Command::Sync(args) => sync::run(args, output).await,
        Command::Log(args) => log::run(args, output).await,
        Command::History(args) => history::run(args, output).await,
        Command::Status(args) => status::run(args, output).await,
        Command::Digest(args) => digest::run(args, output).await,
        Command::Doctor(args) => doctor::run(args, output).await,
        Command::Reidentify(args) => reidentify::run(args, output).await,
        Command::Refused(args) => refused::run(args, output).await,
        Command::Conflicts(args) => conflicts::run(args, output).await,
        Command::Explain(args) => explain::run(args, output).await,
        Command::Rules(args) => rules::run(args, output),
    }
}

/// A replica that must exist.
#[derive(Debug, clap::Args)]
pub(crate) struct Existing {
    /// The replica's store: FILE or sqlite:FILE, redb:FILE
    #[arg(long, value_name = "STORE")]
    db: String,
}

/// A replica that is created if its node is named.
#[derive(Debug, clap::Args)]
pub(crate) struct Replica {
    /// The replica's store: FILE or sqlite:FILE, redb:FILE; created if it does not exist and --node is given
    #[arg(long, value_name = "STORE")]
    db: String,

    /// The replica's name, different on each replica; needed for a new store only
    #[arg(long, value_name = "NAME")]
    node: Option<NodeId>,
}

impl Existing {
    pub(crate) fn name(&self) -> &str {
        &self.db
    }

    /// Opens the store; never creates it.
    pub(crate) async fn open(&self) -> Result<BoxStore, Failure> {
        stores().open(&self.db, None, false).await.map_err(|error| {
            no_replica(
                error,
                &self.db,
                "check the path; `synckit record`, `import` and `sync` create a replica",
            )
        })
    }
}

impl Replica {
    /// Opens the store, or creates it if the node is named.
    pub(crate) async fn open(&self) -> Result<BoxStore, Failure> {
        stores().open(&self.db, self.node.clone(), self.node.is_some()).await.map_err(|error| {
            no_replica(error, &self.db, "to create a replica in this file, name it: --node NAME")
        })
    }
}

/// Explains what a missing file means for the command line.
fn no_replica(error: Error, name: &str, hint: &str) -> Failure {
    let path = stores().locate(name).map_or(Path::new(name), |(_, location)| Path::new(location));
    let in_directory = path.parent().is_some_and(|parent| parent.as_os_str().is_empty() || parent.is_dir());
    if error.kind() != ErrorKind::NotFound || !in_directory {
        return error.into();
    }
    let error =
        Error::new(ErrorKind::NotFound, "there is no replica in this file").with("path", path.display());
    Failure::from(error).hint(hint)
}

/// Returns the replica in a store, with the default settings.
pub(crate) fn replica<S: EventStore + Clone>(store: &S) -> synckit::Replica<S> {
    synckit::Replica::new(store.clone())
}

/// Closes a store after its use, so that its log is in one file again.
pub(crate) async fn closing<T>(store: &impl EventStore, result: Result<T, Failure>) -> Result<T, Failure> {
    let closed = store.close().await;
    let value = result?;
    closed?;
    Ok(value)
}

/// Resolves at Ctrl-C, and on Unix also at SIGTERM. On Unix the signals are caught from this call on, even before the
/// future is polled.
pub(crate) fn stopped() -> Result<impl Future<Output = ()> + Send, Failure> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let hear = |kind| {
            signal(kind).map_err(|error| failure::system("the signals to stop cannot be caught", error))
        };
        let (mut interrupt, mut terminate) = (hear(SignalKind::interrupt())?, hear(SignalKind::terminate())?);
        Ok(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        })
    }
    #[cfg(not(unix))]
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
