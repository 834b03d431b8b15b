//! A hub that makes a backup of its store when it is told to: a redb file can be opened by nobody else.

use std::path::PathBuf;

use crate::adapters::Kept;
use crate::commands::backup;
use crate::failure::{self, Failure};
use crate::output;

/// Backups on demand. The signal is caught from the moment this is made.
pub(super) struct Backups {
    to: PathBuf,
    #[cfg(unix)]
    asked: tokio::signal::unix::Signal,
}

impl Backups {
    #[cfg(unix)]
    pub(super) fn new(to: PathBuf) -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let asked = signal(SignalKind::user_defined1());
        let asked = asked.map_err(|error| failure::system("SIGUSR1 cannot be caught", error))?;
        Ok(Backups { to, asked })
    }

    #[cfg(not(unix))]
    pub(super) fn new(_: PathBuf) -> Result<Self, Failure> {
        let none = std::io::Error::from(std::io::ErrorKind::Unsupported);
        Err(failure::system("this system has no SIGUSR1 to ask for a backup with", none))
    }

    /// Makes a backup each time it is asked for; `None` never does. A backup that fails ends nothing.
    pub(super) async fn run(backups: Option<Self>, kept: &Kept, scheme: &str) {
        let Some(mut backups) = backups else { return std::future::pending().await };
        loop {
            backups.asked().await;
            match backup::make(kept, scheme, &backups.to, true).await {
                Ok(made) => output::message(made),
                Err(failure) => output::message(format_args!("no backup was made: {}", failure.text())),
            }
        }
    }

    async fn asked(&mut self) {
        #[cfg(unix)]
        if self.asked.recv().await.is_some() {
            return;
        }
        std::future::pending().await
    }
}
