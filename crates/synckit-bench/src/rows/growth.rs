//! What an event costs after a short and after a long history, measured in turn: the ratio shows what growth costs.

use synckit::EventStore;
use synckit_sqlite::SqliteStore;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::incremental::Pair;
use super::stores::{in_task, receive_all, receive_samples, runtime, sqlite};
use crate::measure::{Measured, Sample, Standing};
use crate::sample::{PAGE, Samples, Spread};

/// The number of pages received in one measurement.
const PAGES: usize = 5;
/// The number of syncs in one measurement.
const SYNCS: usize = 50;

/// A store with a history, which the measurement makes longer.
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

/// Measures receiving pages after a history of this many events, spread like this. The store is kept for all rounds;
/// once it has grown by a half, it is made again.
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

/// Measures syncs of one new event each, after a history of this many events.
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
