//! How much memory a sync takes on either side. Each side is a process: this program, started by itself.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use clap::Subcommand;
use synckit::EventStore;

use super::hub::{Hub, Wire};
use super::stores::{receive_samples, runtime, sqlite};
use super::subscribers;
use crate::measure::{Measured, Scale};
use crate::sample::{Samples, Spread};

/// One side of a sync. It prints to standard output its highest memory use so far, before the sync and after.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Side {
    /// Serve the store in this directory, until standard input ends.
    #[command(hide = true)]
    Hub { directory: PathBuf },
    /// Fill a new store in this directory from the hub at this URL.
    #[command(hide = true)]
    Replica { directory: PathBuf, url: String },
}

impl Side {
    pub(crate) fn run(&self) -> Measured<()> {
        runtime()?.block_on(async {
            match self {
                Side::Hub { directory } => {
                    let store = sqlite(directory, "hub").await?;
                    let hub = Hub::start_with(store, Wire::Http, subscribers::config()).await?;
                    println!("{}", hub.url);
                    println!("{}", peak()?);
                    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
                    println!("{}", peak()?);
                    hub.stop().await
                }
                Side::Replica { directory, url } => {
                    let manager = Wire::Http.manager(sqlite(directory, "replica").await?, url)?;
                    println!("{}", peak()?);
                    manager.sync().await.map_err(|failed| failed.error)?;
                    println!("{}", peak()?);
                    println!("{}", manager.replica().store().head().await?.position);
                    Ok(())
                }
            }
        })
    }
}

/// Returns the highest memory use of this process, in KiB.
fn peak() -> Measured<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM in the status")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// A running side, and its output. It is killed and waited for when it is dropped.
pub(super) struct Running {
    child: Child,
    says: BufReader<ChildStdout>,
}

impl Running {
    pub(super) fn start(arguments: &[&str]) -> Measured<Running> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let says = BufReader::new(child.stdout.take().ok_or("a child without standard output")?);
        Ok(Running { child, says })
    }

    pub(super) fn line(&mut self) -> Measured<String> {
        let mut line = String::new();
        self.says.read_line(&mut line)?;
        match line.trim() {
            "" => Err("one side of the sync has failed".into()),
            line => Ok(line.to_owned()),
        }
    }

    pub(super) fn number(&mut self) -> Measured<u64> {
        Ok(self.line()?.parse()?)
    }

    /// Ends its standard input.
    pub(super) fn end_input(&mut self) {
        drop(self.child.stdin.take());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = (self.child.kill(), self.child.wait());
    }
}

/// Returns the growth of the side that grew more, in MiB.
pub(super) fn growth(scale: Scale) -> Measured<f64> {
    let directory = tempfile::tempdir()?;
    runtime()?.block_on(fill(directory.path(), scale.events))?;
    let path = directory.path().to_str().ok_or("a directory that is not UTF-8")?;
    let mut hub = Running::start(&["hub", path])?;
    let (url, hub_before) = (hub.line()?, hub.number()?);
    let mut replica = Running::start(&["replica", path, &url])?;
    let (before, after) = (replica.number()?, replica.number()?);
    assert_eq!(replica.number()?, scale.events as u64, "all events are pulled");
    hub.end_input();
    let hub_after = hub.number()?;
    Ok((hub_after - hub_before).max(after - before) as f64 / 1024.0)
}

async fn fill(directory: &Path, events: usize) -> Measured<()> {
    let store = sqlite(directory, "hub").await?;
    receive_samples(&store, &mut Samples::new(Spread::default())?, events).await?;
    Ok(store.close().await?)
}
