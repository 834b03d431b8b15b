//! What an event costs after little and after much, measured in turn: the one pays for what the other has grown by.

use synckit::EventStore;
use synckit_sqlite::SqliteStore;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::incremental::Pair;
use super::stores::{in_task, receive_all, receive_samples, runtime, sqlite};
use crate::measure::{Measured, Sample, Standing};
use crate::sample::{PAGE, Samples, Spread};

/// How many pages are received in one measurement.
const PAGES: usize = 5;
/// How many syncs are one measurement.
const SYNCS: usize = 50;

/// A store with a history, which what is measured makes longer.
struct Grown {
    runtime: Runtime,
    store: SqliteStore,
    samples: Samples,
    added: usize,
    _directory: TempDir,
}

impl Grown {
    fn new(history: usize, spread: Spread) -> Measured<Grown> {
        let (directory, runtime, mut samples) = (tempfile::tempdir()?, runtime()?, Samples::new(spread)?);
        let store = runtime.block_on(async {
            let store = sqlite(directory.path(), "grown").await?;
            receive_samples(&store, &mut samples, history).await?;
            Measured::Ok(store)
        })?;
        Ok(Grown { runtime, store, samples, added: 0, _directory: directory })
    }

    fn receive(&mut self) -> Measured<Sample> {
        let events = self.samples.take(PAGES * PAGE)?;
        self.added += events.len();
        let store = self.store.clone();
        Sample::of(events.len(), || in_task(&self.runtime, async move { receive_all(&store, events).await }))
    }
}

/// Pages received after so many events spread like this. The store stands for all rounds; one that has grown by a
/// half is made anew.
pub(super) fn receiving(history: usize, spread: Spread) -> Measured<Standing> {
    let mut grown = Grown::new(history, spread)?;
    Ok(Box::new(move || {
        if grown.added * 2 >= history {
            grown.runtime.block_on(grown.store.close())?;
            grown = Grown::new(history, spread)?;
        }
        grown.receive()
    }))
}

/// Syncs of one new event each, after so many events.
pub(super) fn syncing(history: usize) -> Measured<Standing> {
    let runtime = runtime()?;
    let pair = runtime.block_on(Pair::with_history(history))?;
    Ok(Box::new(move || {
        runtime.block_on(async {
            let mut time = std::time::Duration::ZERO;
            for _ in 0..SYNCS {
                time += pair.sync_one().await?;
            }
            Ok(Sample { work: SYNCS as f64, time })
        })
    }))
}
