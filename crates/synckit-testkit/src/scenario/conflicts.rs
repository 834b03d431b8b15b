//! Two edits of one thing, made without knowledge of each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use synckit::{LastWriteWins, Replica, SyncManager, conflict::Closure};
use synckit_core::{NewEvent, Result};
use synckit_plan::{Conflict, ConflictResolver, Entry, Standing, StoreExt};

use super::ground::{assert_agree, note, record, settle};
use super::world::{Hub, Log, Manager};
use super::{Cell, Ended, ScenarioResult};
use crate::check::Created;

/// Returns a manager whose resolver counts how often it is asked; the latest edit stands.
async fn counting(hub: &Hub, replica: &Log, asked: &Arc<AtomicUsize>) -> Result<Manager> {
    let asked = asked.clone();
    let resolver = Closure::new("counted", move |conflict: &Conflict| {
        asked.fetch_add(1, Ordering::SeqCst);
        LastWriteWins.resolve(conflict)
    });
    Ok(SyncManager::builder(
        Replica::builder(replica.store.clone()).with_resolver(resolver).build(),
        hub.connect().await?,
    )
    .build())
}

pub(super) async fn run(cell: &Cell) -> ScenarioResult {
    let (hub, mut created, asked) = (Hub::start(cell).await?, Created::new(), Arc::default());
    let (a, b) = (Log::make(&cell.replica, "a").await?, Log::make(&cell.replica, "b").await?);
    let (to_a, to_b) = (counting(&hub, &a, &asked).await?, counting(&hub, &b, &asked).await?);
    let begun: Vec<NewEvent> = vec![note("the beginning", 1)];
    record(&to_a, begun, &mut created).await?;
    settle(&[&to_a, &to_b]).await?;
    assert_eq!(asked.load(Ordering::SeqCst), 0, "edits that follow each other are no conflict");

    let edits = [
        record(&to_a, [note("an edit at a", 1)], &mut created).await?.remove(0),
        record(&to_b, [note("an edit at b", 1)], &mut created).await?.remove(0),
    ];
    settle(&[&to_a, &to_b]).await?;
    assert!(asked.load(Ordering::SeqCst) > 0, "the resolver was not asked about concurrent edits");
    assert_agree(&[&hub.log, &a, &b], &created).await;
    for log in [&hub.log, &a, &b] {
        let name = &log.name;
        let history = log.store.history(&edits[0].aggregate_id).await?;
        let of = |id| history.entries().iter().find(|entry: &&Entry| entry.event.id == id);
        let standings: Vec<_> =
            edits.iter().map(|edit| of(edit.id.clone()).map(|entry| &entry.standing)).collect();
        let live = standings.iter().filter(|standing| **standing == Some(&Standing::Live)).count();
        let lost = |standing: &Option<&Standing>| matches!(standing, Some(Standing::Superseded { .. }));
        let lost = standings.iter().filter(|standing| lost(standing)).count();
        assert_eq!((live, lost), (1, 1), "{name}: one edit stands and the other can be read: {standings:?}");
        let resolutions = history.entries().iter().filter(|entry| entry.event.is_resolution()).count();
        assert_eq!(resolutions, 1, "{name}: replicas that decide alike write one resolution");
    }
    Ok(Ended::Well)
}
