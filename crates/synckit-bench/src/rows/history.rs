//! Histories of one aggregate: which events stand, and settling a conflict on top.

use std::time::{Duration, Instant};

use synckit::{
    AggregateId, Data, Dot, Endpoint, Event, EventId, History, NewEvent, NodeId, Replica, SyncManager,
    Timestamp, VectorClock,
    conflict::{Decision, Resolution, Side},
};

use super::stores::{in_task, runtime, sqlite};
use crate::measure::{Measured, Sample, Scale, Standing};

/// The number of settled conflicts in one measurement.
const SETTLED: usize = 10;

/// Creates a row of edits, each concurrent with the last resolution and on top of the one before it; each is settled at
/// once, and both sides stand. One half of the events are resolutions.
fn row(events: usize) -> Measured<Vec<Event>> {
    let nodes = [NodeId::new("a")?, NodeId::new("b")?];
    let aggregate = AggregateId::new("x")?;
    let (mut log, mut tops): (Vec<Event>, Vec<VectorClock>) = (Vec::with_capacity(events), Vec::new());
    let mut last: Option<(Dot, VectorClock)> = None;
    for number in 0..events / 2 {
        let dot = Dot::new(nodes[number % 2].clone(), number as u64 / 2 + 1);
        let mut clock = number.checked_sub(3).map_or_else(VectorClock::new, |before| tops[before].clone());
        clock.observe(&dot)?;
        let time = Timestamp::from_millis(number as u64 * 2);
        let new = NewEvent::with_data("NoteEdited", &aggregate, Data::json("1")?)?;
        log.push(new.stamped(EventId::new(dot.to_string())?, Some(dot.clone()), clock.clone(), time));
        if let Some((other, seen)) = last.replace((dot.clone(), clock.clone())) {
            let base = seen.meet(&clock);
            let mut sides = vec![side(other, &seen, &base)?, side(dot, &clock, &base)?];
            sides.sort_by(|left, right| left.dot.cmp(&right.dot));
            let resolution = Resolution::new(base, sides, Decision::KeepAll, "bench");
            let resolution = resolution.into_event(aggregate.clone(), time.next())?;
            tops.push(resolution.clock.clone());
            log.push(resolution);
        }
    }
    Ok(log)
}

fn side(dot: Dot, clock: &VectorClock, base: &VectorClock) -> Measured<Side> {
    let above = clock.iter().filter(|(node, counter)| **node != dot.node && *counter > base.counter(node));
    let above = VectorClock::from_entries(above.map(|(node, counter)| (node.clone(), counter)))?;
    Ok(Side { dot, above })
}

/// Returns the seconds that the history of this many events takes.
pub(super) fn seconds(scale: Scale) -> Measured<f64> {
    let log = row(scale.events)?;
    let plain = log.iter().filter(|event| !event.is_resolution()).count();
    let started = Instant::now();
    let history = History::of(log)?;
    let seconds = started.elapsed().as_secs_f64();
    assert_eq!(history.live().count(), plain, "both sides of every conflict stand");
    Ok(seconds)
}

/// Measures settling conflicts of one aggregate, one in each sync, on top of this many events.
pub(super) fn settling(events: usize) -> Measured<Standing> {
    let (directory, runtime) = (tempfile::tempdir()?, runtime()?);
    let edit = |number: usize| NewEvent::new("NoteEdited", "note", &number);
    let (manager, hub) = runtime.block_on(async {
        let hub = Replica::new(sqlite(directory.path(), "hub").await?);
        for first in (0..events).step_by(500) {
            hub.record((first..events.min(first + 500)).map(edit).collect::<Result<Vec<_>, _>>()?).await?;
        }
        let store = sqlite(directory.path(), "replica").await?;
        let manager = SyncManager::new(store, Endpoint::new(hub.store().clone()));
        manager.sync().await.map_err(|failed| failed.error)?;
        Measured::Ok((manager, hub))
    })?;
    Ok(Box::new(move || {
        let mut time = Duration::ZERO;
        for number in 0..SETTLED {
            runtime.block_on(async {
                hub.record([edit(number)?]).await?;
                manager.replica().record([edit(number)?]).await?;
                Measured::Ok(())
            })?;
            let (syncing, _kept) = (manager.clone(), &directory);
            let started = Instant::now();
            let sync = async move { Ok(syncing.sync().await.map_err(|failed| failed.error)?) };
            let report = in_task(&runtime, sync)?;
            time += started.elapsed();
            assert_eq!(report.conflicts.settled, 1, "one conflict is settled");
        }
        Ok(Sample { work: SETTLED as f64, time })
    }))
}

/// Measures syncs in which nothing is new, while this many conflicts are left for a person.
pub(super) fn idle(conflicts: usize) -> Measured<Standing> {
    const SYNCS: usize = 50;
    const PART: usize = 500;
    let (directory, runtime) = (tempfile::tempdir()?, runtime()?);
    let edits = |first: usize| {
        let edits = first..conflicts.min(first + PART);
        edits.map(|at| NewEvent::new("NoteEdited", format!("form-{at}"), &at)).collect::<Result<Vec<_>, _>>()
    };
    let manager = runtime.block_on(async {
        let hub = Replica::new(sqlite(directory.path(), "hub").await?);
        let store = sqlite(directory.path(), "replica").await?;
        let replica = Replica::builder(store).with_resolver(synckit::ManualReview).build();
        for first in (0..conflicts).step_by(PART) {
            hub.record(edits(first)?).await?;
            replica.record(edits(first)?).await?;
        }
        let manager = SyncManager::new(replica, Endpoint::new(hub.store().clone()));
        let report = manager.sync().await.map_err(|failed| failed.error)?;
        assert_eq!(report.conflicts.left, conflicts, "every form is in conflict");
        Measured::Ok(manager)
    })?;
    Ok(Box::new(move || {
        let (syncing, _kept) = (manager.clone(), &directory);
        Sample::of(SYNCS, || {
            in_task(&runtime, async move {
                for _ in 0..SYNCS {
                    syncing.sync().await.map_err(|failed| failed.error)?;
                }
                Ok(())
            })
        })
    }))
}

/// Measures syncs of one new event each with this many hubs in turn.
pub(super) fn hubs<const HUBS: usize>(_: Scale) -> Measured<Standing> {
    const EVENTS: usize = 24;
    let (directory, runtime) = (tempfile::tempdir()?, runtime()?);
    let managers = runtime.block_on(async {
        let replica = Replica::new(sqlite(directory.path(), "replica").await?);
        replica.record([NewEvent::new("NoteEdited", "note", &1)?]).await?;
        let mut managers = Vec::new();
        for at in 0..HUBS {
            let hub = sqlite(directory.path(), &format!("hub{at}")).await?;
            let manager = SyncManager::new(replica.clone(), Endpoint::new(hub));
            manager.sync().await.map_err(|failed| failed.error)?;
            managers.push(manager);
        }
        Measured::Ok(managers)
    })?;
    Ok(Box::new(move || {
        let (syncing, _kept) = (managers.clone(), &directory);
        let (work, time) = in_task(&runtime, async move {
            let (mut syncs, mut time) = (0.0, Duration::ZERO);
            for number in 0..EVENTS / HUBS {
                syncing[0].replica().record([NewEvent::new("NoteEdited", "note", &number)?]).await?;
                for manager in &syncing {
                    let started = Instant::now();
                    let report = manager.sync().await.map_err(|failed| failed.error)?;
                    time += started.elapsed();
                    assert_eq!(report.pushed, 1, "one event goes to each hub");
                    syncs += 1.0;
                }
            }
            Measured::Ok((syncs, time))
        })?;
        Ok(Sample { work, time })
    }))
}
