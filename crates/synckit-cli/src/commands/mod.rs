//! The commands, and what they share: opening stores and waiting for the signal to stop.

pub(crate) mod aggregates;
pub(crate) mod backup;
pub(crate) mod clock;
pub(crate) mod conflicts;
pub(crate) mod demo;
pub(crate) mod digest;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod history;
pub(crate) mod import;
pub(crate) mod log;
pub(crate) mod record;
pub(crate) mod refused;
pub(crate) mod reidentify;
pub(crate) mod restore;
pub(crate) mod rules;
pub(crate) mod serve;
pub(crate) mod show;
pub(crate) mod status;
pub(crate) mod sync;
pub(crate) mod wait;
mod whole;

use std::io::Read;
use std::path::Path;

use synckit::{
    BoxStore, Environment, Error, ErrorKind, EventStore, NodeId, SystemEnvironment, plan::Entropy,
};

use crate::adapters::{Kept, is_file, shown, stores};
use crate::args::Command;
use crate::failure::{self, Exit, Failure};
use crate::output::Output;
use crate::text;
use crate::waiting::saying;

/// Runs the command.
pub(crate) async fn run(command: Command, output: &mut Output) -> Result<Exit, Failure> {
    match command {
        Command::Demo(args) => demo::run(args, output).await,
        Command::Serve(args) => serve::run(args, output).await,
        Command::Record(args) => record::run(args, output).await,
        Command::Export(args) => export::run(args, output).await,
        Command::Import(args) => import::run(args, output).await,
        Command::Sync(args) => sync::run(args, output).await,
        Command::Wait(args) => wait::run(args, output).await,
        Command::Log(args) => log::run(args, output).await,
        Command::Aggregates(args) => aggregates::run(args, output).await,
        Command::Show(args) => show::run(args, output).await,
        Command::History(args) => history::run(args, output).await,
        Command::Status(args) => status::run(args, output).await,
        Command::Digest(args) => digest::run(args, output).await,
        Command::Backup(args) => backup::run(args, output).await,
        Command::Restore(args) => restore::run(args, output).await,
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
    /// The replica's store: FILE or sqlite:FILE, redb:FILE, postgres://USER@HOST/DATABASE?log=NAME
    #[arg(long, value_name = "STORE")]
    db: String,
}

/// A replica that is created if its node is named.
#[derive(Debug, clap::Args)]
pub(crate) struct Replica {
    /// The replica's store: FILE or sqlite:FILE, redb:FILE, postgres://…; created if it does not exist and --node is given
    #[arg(long, value_name = "STORE")]
    db: String,

    /// The replica's name, different on each replica; needed for a new store only
    #[arg(long, value_name = "NAME")]
    node: Option<NodeId>,
}

impl Existing {
    /// Returns its name as it may be shown.
    pub(crate) fn name(&self) -> String {
        shown(&self.db)
    }

    /// Returns which kind of store it is.
    pub(crate) fn scheme(&self) -> Result<&'static str, Failure> {
        Ok(stores().locate(&self.db)?.0)
    }

    /// Returns the file that the store is kept in.
    pub(crate) fn file(&self) -> Result<&Path, Failure> {
        Ok(Path::new(stores().locate(&self.db)?.1))
    }

    /// Opens the store; never creates it.
    pub(crate) async fn open(&self) -> Result<BoxStore, Failure> {
        Ok(self.open_kept().await?.store())
    }

    /// Opens the store as one of its kind; never creates it.
    pub(crate) async fn open_kept(&self) -> Result<Kept, Failure> {
        let hint = "check what --db names; `synckit record`, `import` and `sync` create a replica";
        open(&self.db, None, false, hint).await
    }
}

impl Replica {
    /// Opens the store, or creates it if the node is named.
    pub(crate) async fn open(&self) -> Result<BoxStore, Failure> {
        let hint = "to create a replica here, name it: --node NAME";
        Ok(open(&self.db, self.node.clone(), self.node.is_some(), hint).await?.store())
    }
}

/// Opens a store, and explains on the command line's terms why it cannot be. `absent` is the hint for a missing file.
pub(crate) async fn open(
    name: &str,
    node: Option<NodeId>,
    create: bool,
    absent: &str,
) -> Result<Kept, Failure> {
    let waiting = format!("{} to be free: another process has it", text::plain(&shown(name)));
    let error = match saying(waiting, Kept::open(name, node, create)).await {
        Ok(kept) => return Ok(kept),
        Err(error) => error,
    };
    let (scheme, path) = stores().locate(name).map_or(("", name), |found| found);
    if !is_file(scheme) {
        let is_absent = error.kind() == ErrorKind::NotFound;
        return Err(if is_absent { Failure::from(error).hint(absent) } else { error.into() });
    }
    let path = Path::new(path);
    let in_directory = path.parent().is_some_and(|parent| parent.as_os_str().is_empty() || parent.is_dir());
    Err(match error.kind() {
        ErrorKind::NotFound if in_directory => {
            let error = Error::new(ErrorKind::NotFound, "there is no replica in this file");
            Failure::from(error.with("path", path.display())).hint(absent)
        }
        ErrorKind::Corrupt => match kind_of_file(path).filter(|kind| *kind != scheme) {
            Some(kind) => {
                let error = Error::invalid(format!("this is a {kind} database"));
                let hint = format!("name it as {kind}:{}", path.display());
                Failure::from(error.with("path", path.display())).hint(hint)
            }
            None => error.into(),
        },
        _ => error.into(),
    })
}

/// Returns the scheme of the engine that has written a file, as far as its first bytes tell.
fn kind_of_file(path: &Path) -> Option<&'static str> {
    let mut first = [0; 16];
    std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut first)).ok()?;
    match () {
        () if first.starts_with(b"redb\x1a\x0a\xa9\x0d\x0a") => Some("redb"),
        () if first == *b"SQLite format 3\0" => Some("sqlite"),
        () => None,
    }
}

/// Draws the randomness of one commit.
pub(crate) fn entropy() -> Result<Entropy, Failure> {
    let mut bytes = [0; Entropy::BYTES];
    SystemEnvironment.fill_random(&mut bytes)?;
    Ok(Entropy::from_bytes(bytes))
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
