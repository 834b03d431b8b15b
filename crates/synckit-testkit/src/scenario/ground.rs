//! What scenarios record, and what they check at the end.

use synckit::{Digest, SyncManager, SyncReport};
use synckit_core::{Event, EventStore, NewEvent, Result, Transport};

use super::world::{Log, Manager};
use crate::case::Failure;
use crate::check::{self, Checked, Created};

/// Returns an event whose content shows where and when it was made.
pub(super) fn note(text: &str, note: usize) -> NewEvent {
    NewEvent::new("NoteEdited", format!("note-{note}"), &format!("{text} on note {note}"))
        .expect("the scenarios use valid names")
}

/// Records these events.
pub(super) async fn record<S: EventStore, T: Transport>(
    manager: &SyncManager<S, T>,
    events: impl IntoIterator<Item = NewEvent, IntoIter: Send> + Send,
    created: &mut Created,
) -> Result<Vec<Event>> {
    let (mut events, mut recorded) = (events.into_iter(), Vec::new());
    loop {
        let batch: Vec<NewEvent> = events.by_ref().take(1_000).collect();
        if batch.is_empty() {
            break;
        }
        recorded.extend(manager.replica().record(batch).await?.events);
    }
    created.extend(recorded.iter().map(|event| (event.id.clone(), event.content_digest())));
    Ok(recorded)
}

/// Records a number of events about a number of notes.
pub(super) async fn record_notes<S: EventStore, T: Transport>(
    manager: &SyncManager<S, T>,
    text: &str,
    count: usize,
    notes: usize,
    created: &mut Created,
) -> Result<Vec<Event>> {
    record(manager, (0..count).map(|at| note(&format!("{text} {at}"), at % notes)), created).await
}

/// Syncs all until nothing moves any more.
pub(super) async fn settle(managers: &[&Manager]) -> Result<(), Failure> {
    for _ in 0..10 {
        let mut moved = 0;
        for manager in managers {
            let report = manager.sync().await?;
            moved += report.pushed + report.pulled + report.conflicts.settled;
        }
        if moved == 0 {
            return Ok(());
        }
    }
    panic!("P3: the replicas do not come to rest");
}

/// Syncs all in turn, for a number of rounds.
pub(super) async fn sync_all(managers: &[&Manager], rounds: usize) -> Result<(), Failure> {
    for _ in 0..rounds {
        for manager in managers {
            manager.sync().await?;
        }
    }
    Ok(())
}

/// Checks P2, P3 and P4 over logs that no longer change.
pub(super) async fn assert_agree(logs: &[&Log], created: &Created) {
    for log in logs {
        let stored = holds(check::log(&log.store).await);
        holds(check::causal(log.name.as_str(), &stored));
    }
    assert_same(logs, created).await;
}

/// Checks P2 and P3 where a filter that was widened has brought older events after younger ones.
pub(super) async fn assert_same(logs: &[&Log], created: &Created) {
    let mut stored = Vec::new();
    for log in logs {
        stored.push(holds(check::log(&log.store).await));
        holds(check::exact(log.name.as_str(), &stored[stored.len() - 1], created));
    }
    let mut digests: Vec<Digest> = Vec::new();
    for (log, stored) in logs.iter().zip(&stored) {
        let (name, store) = (log.name.as_str(), &log.store);
        digests.push(holds(check::view(name, store, stored).await));
        holds(check::settled(name, store).await);
        assert_eq!(digests.last(), digests.first(), "P3: {name} differs from {}", logs[0].name);
    }
}

/// Counts the events in a log that applications recorded.
pub(super) async fn recorded(log: &Log) -> usize {
    let stored = holds(check::log(&log.store).await);
    stored.iter().filter(|stored| !stored.event.is_resolution()).count()
}

/// Asserts that a sync took the number of requests of the steady state and moved little over the wire.
pub(super) fn assert_cheap(report: &SyncReport) {
    assert!(report.round_trips <= 2, "more than two requests: {report:?}");
    let bytes = report.bytes_sent.max(report.bytes_received);
    assert!(bytes < 2_048, "2 KiB or more over the wire: {report:?}");
}

/// Fails with the promise that was broken.
#[track_caller]
pub(super) fn holds<T>(checked: Checked<T>) -> T {
    match checked {
        Ok(value) => value,
        Err(broken) => panic!("{broken}"),
    }
}
