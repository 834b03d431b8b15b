//! A hub that settles the conflicts that are pushed to it, by rules in a file that may change.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use synckit::{BoxStore, EventStore, Replica};

use crate::commands::rules::{self, Chosen};
use crate::failure::{Failure, describe};
use crate::output;
use crate::text;

/// The interval at which the file is checked.
const LOOK: Duration = Duration::from_secs(1);

/// The rules, and the file they come from.
pub(super) struct Settling {
    path: PathBuf,
    changed: Option<SystemTime>,
    chosen: Chosen,
}

impl Settling {
    pub(super) fn new(path: &Path) -> Result<Self, Failure> {
        // The time is read before the file, so a change in between is noticed later.
        let changed = changed(path);
        Ok(Settling { path: path.to_owned(), changed, chosen: rules::load(path)? })
    }

    /// Loads the rules again if the file has changed, and returns whether it did. If the file has mistakes, the rules
    /// stay as they are.
    fn look(&mut self) -> bool {
        let Some(rules) = &self.chosen.file else { return false };
        let now = changed(&self.path);
        if now == self.changed {
            return false;
        }
        self.changed = now;
        let path = self.path.display();
        let replaced = rules::reader().read_file(&self.path).and_then(|read| rules.replace(read));
        match &replaced {
            Ok(()) => output::message(format_args!("the rules in {path} were read again")),
            Err(error) => {
                output::message(format_args!("the rules stay as they were: {}", describe(error)));
            }
        }
        replaced.is_ok()
    }
}

fn changed(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

/// Settles the conflicts that exist, then those that arrive. Ends only if the store fails; without rules never.
pub(super) async fn run(store: &BoxStore, settling: Option<Settling>) -> Failure {
    let Some(mut settling) = settling else { return std::future::pending().await };
    let replica = Replica::builder(store.clone()).with_resolver(settling.chosen.resolver.clone()).build();
    let mut look = tokio::time::interval(LOOK);
    let mut after = 0;
    loop {
        tokio::select! {
            moved = store.moved(after) => match moved {
                Ok(position) => after = position,
                Err(error) => return error.into(),
            },
            // New rules may settle what is left.
            _ = look.tick() => if !settling.look() { continue },
        }
        match replica.settle_listed().await {
            Ok(report) if report.settled > 0 => {
                output::message(format_args!("{} settled", text::count(report.settled, "conflict")));
            }
            Ok(_) => {}
            Err(error) => return error.into(),
        }
    }
}
