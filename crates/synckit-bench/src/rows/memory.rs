//! How much memory a sync takes on either side. Each side is a process.

use std::path::Path;

use synckit::EventStore;

use super::process::Running;
use super::stores::{receive_samples, runtime, sqlite};
use crate::measure::{Measured, Scale};
use crate::sample::{Samples, Spread};

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
