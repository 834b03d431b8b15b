//! Views: what keeping one costs, and reading one aggregate of it.

use std::path::Path;

use serde::{Deserialize, Serialize};
use synckit::view::{View, ViewHandle};
use synckit::{AggregateId, Event, EventStore, NewEvent, Replica};
use synckit_sqlite::SqliteStore;

#[cfg(target_os = "linux")]
use super::process::Running;
use super::stores::{in_task, receive_all, runtime, sqlite};
use crate::measure::{Measured, Sample, Scale, Standing};
use crate::sample::events;

/// The number of reads in one measurement.
const READS: usize = 2_000;

/// What is kept of an aggregate.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Edits {
    edits: u64,
    last: String,
}

/// Counts edits, and keeps the id of the last one.
pub(super) struct Edited;

impl View for Edited {
    type State = Edits;

    fn name(&self) -> &str {
        "edited"
    }

    fn apply(&self, state: &mut Edits, event: &Event) {
        state.edits += 1;
        event.id.as_str().clone_into(&mut state.last);
    }
}

pub(super) async fn view(directory: &Path, name: &str) -> Measured<ViewHandle<SqliteStore, Edited>> {
    Ok(Replica::new(sqlite(directory, name).await?).with_view(Edited)?)
}

/// Receives events in pages, and takes them into a view.
pub(super) fn keeping(scale: Scale) -> Measured<Sample> {
    receiving(scale, true)
}

/// Receives the same events without a view.
pub(super) fn without(scale: Scale) -> Measured<Sample> {
    receiving(scale, false)
}

fn receiving(scale: Scale, keeps: bool) -> Measured<Sample> {
    let (directory, runtime, events) = (tempfile::tempdir()?, runtime()?, events(scale.events)?);
    let view = runtime.block_on(view(directory.path(), "ours"))?;
    let kept = view.clone();
    let sample = Sample::of(scale.events, || {
        in_task(&runtime, async move {
            receive_all(kept.replica().store(), events).await?;
            if keeps {
                kept.catch_up(|_, _| {}).await?;
            }
            Ok(())
        })
    })?;
    runtime.block_on(view.replica().store().close())?;
    Ok(sample)
}

/// Measures reads of one aggregate with this many events.
pub(super) fn getting(events: usize) -> Measured<Standing> {
    let (directory, runtime) = (tempfile::tempdir()?, runtime()?);
    let view = runtime.block_on(async {
        let view = view(directory.path(), "ours").await?;
        let edit = |number: usize| NewEvent::new("NoteEdited", "note", &number);
        for first in (0..events).step_by(500) {
            let edits = (first..events.min(first + 500)).map(edit).collect::<Result<Vec<_>, _>>()?;
            view.replica().record(edits).await?;
        }
        Measured::Ok(view)
    })?;
    let note = AggregateId::new("note")?;
    Ok(Box::new(move || {
        let (reading, note, _kept) = (view.clone(), note.clone(), &directory);
        Sample::of(READS, || {
            in_task(&runtime, async move {
                for _ in 0..READS {
                    let edits = reading.get(&note).await?.ok_or("no such note")?.edits;
                    assert_eq!(edits, events as u64, "all are counted");
                }
                Ok(())
            })
        })
    }))
}

/// Returns by how much a process grows that builds a view, in MiB.
#[cfg(target_os = "linux")]
pub(super) fn memory(scale: Scale) -> Measured<f64> {
    use super::stores::receive_samples;
    use crate::sample::{Samples, Spread};

    let directory = tempfile::tempdir()?;
    runtime()?.block_on(async {
        let store = sqlite(directory.path(), "ours").await?;
        receive_samples(&store, &mut Samples::new(Spread::default())?, scale.events).await?;
        Measured::Ok(store.close().await?)
    })?;
    let path = directory.path().to_str().ok_or("a directory that is not UTF-8")?;
    let mut building = Running::start(&["view", path])?;
    let (before, after) = (building.number()?, building.number()?);
    assert_eq!(building.number()?, scale.events as u64, "all events are in the view");
    Ok((after - before) as f64 / 1024.0)
}

/// Builds the view of the store in this directory; returns the number of events in it.
#[cfg(target_os = "linux")]
pub(super) async fn build(directory: &Path) -> Measured<u64> {
    let view = view(directory, "ours").await?;
    view.catch_up(|_, _| {}).await?;
    let (mut edits, mut last) = (0, None);
    loop {
        let page = view.page("", last.as_ref(), 1_000).await?;
        edits += page.iter().map(|(_, state)| state.edits).sum::<u64>();
        match page.last() {
            Some((aggregate, _)) => last = Some(aggregate.clone()),
            None => return Ok(edits),
        }
    }
}
