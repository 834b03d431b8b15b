//! The hub over real HTTP, the replicas' files, and child processes that sync.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use serde::Deserialize;
use synckit::{Endpoint, Error, ErrorKind, EventStore, NewEvent, NodeId, store::Query};
use synckit_http::HttpService;
use synckit_sqlite::{SqliteConfig, SqliteStore};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::edits::Reference;
use super::gate::Gate;
use crate::commands::{closing, replica};
use crate::failure::{self, Failure};
use crate::text;

/// A hub in this process and three replicas, each of whose syncs is a separate process.
pub(super) struct World {
    directory: PathBuf,
    /// Removes the directory when it is dropped.
    temporary: Option<TempDir>,
    hub: SqliteStore,
    gate: Gate<Endpoint<SqliteStore>>,
    url: String,
    stop: oneshot::Sender<()>,
    server: JoinHandle<synckit::Result<()>>,
}

/// What a sync reports: the part of `synckit sync --json` that is needed here.
#[derive(Debug, Deserialize)]
pub(super) struct Synced {
    pub(super) pushed: usize,
    pub(super) pulled: usize,
    pub(super) refused_count: usize,
    pub(super) conflicts: Conflicts,
}

#[derive(Debug, Deserialize)]
pub(super) struct Conflicts {
    pub(super) settled: usize,
    pub(super) left: usize,
}

/// How a replica was killed.
#[derive(Debug)]
pub(super) struct Killed {
    node: String,
    status: ExitStatus,
    recorded: usize,
    committed: usize,
}

impl World {
    /// Creates the directory and starts the hub.
    pub(super) async fn create(keep: Option<&Path>) -> Result<Self, Failure> {
        let cannot = |error| failure::system("the directory of the demo cannot be created", error);
        let (directory, temporary) = match keep {
            Some(path) => (empty_directory(path).map_err(cannot)?, None),
            None => {
                let temporary = tempfile::Builder::new().prefix("synckit-demo-").tempdir().map_err(cannot)?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        let hub = SqliteStore::open_as(directory.join("hub.db"), NodeId::new("hub")?).await?;
        let gate = Gate::new(Endpoint::new(hub.clone()));
        let no_port = |error| failure::system("no loopback port is free to listen on", error);
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(no_port)?;
        let url = format!("http://{}", listener.local_addr().map_err(no_port)?);
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            let _: Result<(), _> = stopped.await;
        };
        let service = HttpService::new(gate.clone());
        let server = tokio::spawn(synckit_http::serve(listener, service, shutdown));
        Ok(World { directory, temporary, hub, gate, url, stop, server })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn hub(&self) -> &SqliteStore {
        &self.hub
    }

    fn path(&self, node: &str) -> PathBuf {
        self.directory.join(format!("{node}.db"))
    }

    /// Opens a replica that exists already.
    pub(super) async fn open(&self, node: &str) -> Result<SqliteStore, Failure> {
        Ok(SqliteStore::open(SqliteConfig::new(self.path(node)).with_create(false)).await?)
    }

    /// Records at a replica, which is created if it does not exist, and adds what was recorded to the reference.
    pub(super) async fn record(
        &self,
        node: &'static str,
        commits: &[Vec<NewEvent>],
        reference: &mut Reference,
    ) -> Result<(), Failure> {
        let store = SqliteStore::open_as(self.path(node), NodeId::new(node)?).await?;
        let replica = replica(&store);
        let recorded = async {
            for commit in commits {
                replica.record(commit.iter().cloned()).await?;
                reference.add(node, commit);
            }
            Ok(())
        };
        closing(&store, recorded.await).await
    }

    /// Lets a replica sync in a separate process.
    pub(super) async fn sync(&self, node: &str) -> Result<Synced, Failure> {
        let output = self.command(node)?.output().await;
        let output = output.map_err(|error| failure::system("a sync cannot be started", error))?;
        serde_json::from_slice(&output.stdout).map_err(|error| {
            let said = String::from_utf8_lossy(&output.stderr);
            let failed = Error::new(ErrorKind::Internal, "a sync failed").with("replica", node);
            failed.with("it said", said.trim()).with_source(error).into()
        })
    }

    /// Lets a replica sync, and kills it when the hub has committed its n-th push and not yet sent the answer.
    pub(super) async fn kill_in_a_push(
        &self,
        node: &str,
        batch: usize,
        pushes: usize,
    ) -> Result<Killed, Failure> {
        let reached = self.gate.arm(node, pushes);
        let mut child = self
            .command(node)?
            .args(["--batch", &batch.to_string()])
            .spawn()
            .map_err(|error| failure::system("a sync cannot be started", error))?;
        let waited = |error| failure::system("a sync cannot be waited for", error);
        tokio::select! {
            _ = reached => {}
            status = child.wait() => {
                let status = status.map_err(waited)?;
                let error = Error::new(ErrorKind::Internal, "the replica ended before it could be killed");
                return Err(error.with("replica", node).with("status", status).into());
            }
        }
        child.start_kill().map_err(|error| failure::system("the replica cannot be killed", error))?;
        let status = child.wait().await.map_err(waited)?;
        self.gate.open();
        let store = self.open(node).await?;
        let recorded = closing(&store, authored(&store, node).await).await?;
        let committed = authored(&self.hub, node).await?;
        Ok(Killed { node: node.to_owned(), status, recorded, committed })
    }

    /// Returns the command that runs this program to sync a replica with the hub.
    fn command(&self, node: &str) -> Result<Command, Failure> {
        let program = std::env::current_exe()
            .map_err(|error| failure::system("the path of this program is not known", error))?;
        let mut command = Command::new(program);
        command.arg("--json").arg("sync").arg("--db").arg(self.path(node)).arg(&self.url);
        // All push at the same moment, so no sync is the first to see both sides of a conflict.
        command.args(["--rules", "last-write-wins"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        Ok(command)
    }

    /// Stops the hub and removes the directory, unless it is kept.
    pub(super) async fn end(self) -> Result<(), Failure> {
        self.gate.open();
        let _ = self.stop.send(());
        let served = self.server.await;
        served.map_err(|error| {
            failure::system("the hub stopped unexpectedly", std::io::Error::other(error))
        })??;
        self.hub.close().await?;
        if let Some(temporary) = self.temporary {
            temporary
                .close()
                .map_err(|error| failure::system("the temporary directory cannot be removed", error))?;
        }
        Ok(())
    }
}

fn empty_directory(path: &Path) -> std::io::Result<PathBuf> {
    std::fs::create_dir_all(path)?;
    if std::fs::read_dir(path)?.next().is_some() {
        return Err(std::io::Error::other(format!("{} is not empty; choose another", path.display())));
    }
    path.canonicalize()
}

/// Counts the events of this author in a log.
async fn authored(store: &SqliteStore, node: &str) -> Result<usize, Failure> {
    let (mut count, mut after) = (0, 0);
    loop {
        let page = store.read(Query::after(after)).await?;
        let authors = page.events.iter().filter_map(|stored| stored.event.dot.as_ref());
        count += authors.filter(|dot| dot.node.as_str() == node).count();
        after = page.scanned_to;
        if !page.more {
            return Ok(count);
        }
    }
}

impl Killed {
    /// Returns whether a signal ended it; on systems without signals, whether it failed.
    pub(super) fn by_signal(&self) -> bool {
        #[cfg(unix)]
        {
            std::os::unix::process::ExitStatusExt::signal(&self.status) == Some(9)
        }
        #[cfg(not(unix))]
        {
            !self.status.success()
        }
    }

    /// Returns whether the hub held some of its events then, but not all.
    pub(super) fn is_in_the_middle(&self) -> bool {
        0 < self.committed && self.committed < self.recorded
    }
}

impl fmt::Display for Killed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [committed, recorded] = [self.committed, self.recorded].map(text::number);
        write!(f, "{} syncs and is killed in the middle of a push ({}): ", self.node, self.status)?;
        write!(f, "the hub holds {committed} of its {recorded} events, the last answer never came")
    }
}
