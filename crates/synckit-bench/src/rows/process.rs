//! The processes beside the one that measures: this program, started by itself.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::SystemTime;

use clap::Subcommand;
use synckit::{EventStore, NewEvent, Replica};

use super::hub::{Hub, Wire};
use super::stores::{runtime, sqlite};
use super::{subscribers, views};
use crate::measure::Measured;

/// A process beside the one that measures. A side of a sync prints its highest memory use so far, before the sync and
/// after.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Side {
    /// Serve the store in this directory until standard input ends, and print the highest memory use for each line of it.
    #[command(hide = true)]
    Hub { directory: PathBuf },
    /// Fill a new store in this directory from the hub at this URL.
    #[command(hide = true)]
    Replica { directory: PathBuf, url: String },
    /// Build the view of the store in this directory, and print the highest memory use before and after, and the number of
    /// events in the view.
    #[command(hide = true)]
    View { directory: PathBuf },
    /// Record an event in the replica in this directory for each line of standard input, and print when it was recorded.
    #[command(hide = true)]
    Writer { directory: PathBuf },
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
                    let answer = || -> Measured<()> {
                        for line in std::io::stdin().lines() {
                            line?;
                            println!("{}", peak()?);
                        }
                        Ok(())
                    };
                    tokio::task::block_in_place(answer)?;
                    println!("{}", peak()?);
                    hub.stop().await
                }
                Side::View { directory } => {
                    println!("{}", peak()?);
                    let events = views::build(directory).await?;
                    println!("{}", peak()?);
                    println!("{events}");
                    Ok(())
                }
                Side::Writer { directory } => {
                    let replica = Replica::new(sqlite(directory, "a").await?);
                    println!("ready");
                    for line in std::io::stdin().lines() {
                        line?;
                        replica.record([NewEvent::new("NoteEdited", "note", "text")?]).await?;
                        println!("{}", micros()?);
                    }
                    Ok(())
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

/// Returns the wall clock, which processes share, in microseconds.
pub(super) fn micros() -> Measured<u64> {
    Ok(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_micros().try_into()?)
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

    /// Writes an empty line to its standard input.
    pub(super) fn nudge(&mut self) -> Measured<()> {
        Ok(self.child.stdin.as_mut().ok_or("its input has ended")?.write_all(b"\n")?)
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
