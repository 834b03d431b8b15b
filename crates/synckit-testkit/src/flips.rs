//! Files in which a bit flipped: an event is reported as damaged or returned as it was, and good copies replace what is
//! damaged.

use std::path::Path;

use synckit::{Endpoint, SyncManager};
use synckit_core::{
    Data, Dot, ErrorKind, Event, EventStore, Held, Metadata, Needs, NewEvent, NodeId, Position, Query,
    Result, StoredEvent, VectorClock,
};
use synckit_memory::MemoryStore;
use synckit_plan::{Mend, Restamp};

use crate::plans;
use crate::rng::Rng;
use crate::samples::{entropy, event_id, new_event, node};

/// How many bits are flipped.
const FLIPS: usize = 300;

/// Events under the dot of an event whose row is damaged are stored, under other dots. A store that holds `held` and
/// `damaged` from one author is given them.
///
/// # Panics
/// If one is not stored, or has that dot.
pub async fn nobody_gets_the_dot_of_a_damaged_row(store: &impl EventStore, held: &Event, damaged: &Event) {
    let before = store.head().await.expect("answers").position;
    let twins = ["a-twin", "z-twin"].map(|id| Event { id: event_id(id), ..damaged.clone() });
    let received = store.commit(plans::receive(8, twins.to_vec())).await.expect("commits");
    assert_eq!((received.accepted, received.refused), (2, Vec::new()));
    let stamped = Event { dot: damaged.dot.clone(), clock: damaged.clock.clone(), ..held.clone() };
    let restamp = Restamp::event_of(&stamped, held.dot.as_ref().expect("has a dot")).expect("a restamp");
    let received = store.commit(plans::receive(8, vec![restamp])).await.expect("commits");
    assert_eq!((received.accepted, received.refused), (1, Vec::new()));
    let page = store.read(Query::after(before)).await.expect("reads");
    let (plain, restamps): (Vec<_>, Vec<_>) =
        page.events.into_iter().map(|stored| stored.event).partition(|event| !event.is_derived());
    assert_eq!(plain.len(), 2);
    assert!(plain.iter().all(|event| event.author().is_some_and(NodeId::is_alias)), "{plain:?}");
    let named =
        |event: &Event| restamps.iter().any(|one| Restamp::read(one).is_ok_and(|one| one.event == event.id));
    assert!(plain.iter().chain([held]).all(named), "what has another stamp is said");
    let page = store.read(Query::after(0).at_most(1, usize::MAX)).await.expect("reads");
    assert!(page.events[0].event.author().is_some_and(NodeId::is_alias), "{page:?}");
}

/// Flips bits of a file where the rows are, one at a time in a copy of its own. All files are in this directory.
///
/// # Panics
/// If an event is returned that was altered, also after copies of all events have come, if a call fails for another
/// reason than the damage, or if too few rows are damaged or replaced.
pub async fn a_flipped_bit_never_alters_an_event<S: EventStore>(
    directory: &Path,
    create: impl AsyncFn(&Path) -> Result<S>,
    open: impl AsyncFn(&Path) -> Result<S>,
) {
    let path = directory.join("store");
    let store = create(&path).await.expect("opens");
    for number in 0..6 {
        store.commit(plans::one(&node("n"), &format!("recorded-{number}"))).await.expect("commits");
    }
    let sent = (1..=4).map(|counter| Event {
        id: event_id(&format!("sent-{counter}")),
        data: Data::json(format!("{{\"text\":\"FAR {counter}\"}}")).expect("valid"),
        metadata: Metadata::json("{\"by\":\"ann\"}").expect("valid"),
        dot: Some(Dot::new(node("far"), counter)),
        clock: VectorClock::from_entries([(node("far"), counter)]).expect("small"),
        ..plans::event("e", counter)
    });
    store.commit(plans::receive(7, sent.collect())).await.expect("commits");
    let before = plans::content(&store).await.log;
    store.close().await.expect("closes");
    let good = std::fs::read(&path).expect("reads");
    let places = on_pages_with(&good, b"FAR 4");
    assert!(!places.is_empty());
    let (mut rng, mut reported, mut mended) = (Rng::new(7), 0, 0);
    for flip in 0..FLIPS {
        let place = places[rng.below(places.len())];
        let mut bytes = good.clone();
        bytes[place] ^= 1 << rng.below(8);
        // An engine may tidy up beside its file for a while after it is closed.
        let copy = directory.join(flip.to_string());
        std::fs::create_dir(&copy).expect("makes");
        let damaged = copy.join("damaged");
        std::fs::write(&damaged, bytes).expect("writes");
        match open(&damaged).await {
            Ok(store) => {
                let found = damage_reported(&store, &before).await;
                if found > 0 {
                    mended += usize::from(mend(&store, &before).await);
                }
                reported += found;
                drop(store.close().await);
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                reported += 1;
            }
        }
    }
    assert!(reported > FLIPS / 3, "only {reported} calls reported damage");
    assert!(mended > FLIPS / 10, "only {mended} stores were mended");
}

/// Gives a damaged store copies of all events. Returns whether it is whole then: an index may be damaged as well.
async fn mend(store: &impl EventStore, before: &[StoredEvent]) -> bool {
    let copies: Vec<Event> = before.iter().map(|was| was.event.clone()).collect();
    let mend = Mend { copies, now: 9, entropy: entropy() };
    let mended = store.commit(mend).await;
    let mended = mended.inspect_err(|error| assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}")).is_ok();
    let mut whole = mended;
    for was in before {
        match store.read(Query::after(was.position - 1).at_most(1, usize::MAX)).await {
            Ok(page) => {
                let unaltered = |read: &StoredEvent| before.iter().any(|was| was.event == read.event);
                assert!(page.events.iter().all(unaltered), "an altered event after a good copy: {page:?}");
                whole &= page.events.first().is_some_and(|read| read.event == was.event);
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                whole = false;
            }
        }
    }
    whole
}

/// Damaged rows are fetched again from a peer. A store that is called `here` and is empty gets damage at its positions
/// 2, 5 and 7 from `damage`: an event recorded here, one from elsewhere, and a resolution.
///
/// # Panics
/// If a row is not what it was after the sync, or if something is asked for that is not damaged.
pub async fn damaged_rows_are_fetched_again<S: EventStore + Clone>(here: S, damage: impl AsyncFn(S) -> S) {
    let hub = MemoryStore::new(node("hub")).expect("a hub");
    let manager = |store: &S| SyncManager::new(store.clone(), Endpoint::new(hub.clone()));
    let there =
        SyncManager::new(MemoryStore::new(node("there")).expect("a store"), Endpoint::new(hub.clone()));
    there.replica().record([("x", "t-1"), ("y", "t-2"), ("x", "t-3")].map(new)).await.expect("records");
    there.sync().await.expect("syncs");
    let first = manager(&here);
    first.replica().record([("x", "h-1"), ("z", "h-2"), ("z", "h-3")].map(new)).await.expect("records");
    first.sync().await.expect("syncs");
    let (before, digest) = (plans::content(&here).await.log, first.replica().digest().await.expect("reads"));
    assert_eq!((before.len(), before[1].source.is_none(), before[4].source.is_none()), (7, true, false));
    assert!(before[6].event.is_resolution());
    drop(first);
    let here = damage(here).await;
    let again = manager(&here);
    // A sync reads nothing old, and finds nothing.
    assert_eq!(again.sync().await.expect("syncs").mended, 0);
    let scrubbed = again.replica().scrub().await.expect("reads");
    assert_eq!((scrubbed.readable, &scrubbed.damaged[..], scrubbed.to_fetch), (4, &[2, 5, 7][..], 3));
    let report = again.sync().await.expect("syncs");
    assert_eq!((report.mended, report.pulled, report.held_back_count), (3, 0, 0));
    assert_eq!(plans::content(&here).await.log, before);
    assert_eq!(again.replica().digest().await.expect("reads"), digest);
    let scrubbed = again.replica().scrub().await.expect("reads");
    assert_eq!((scrubbed.readable, scrubbed.damaged.len()), (7, 0));
    assert_eq!(again.sync().await.expect("syncs").round_trips, 1, "nothing is asked for any more");
    // It can be recorded on top of what was damaged, and goes on as if nothing had been.
    again.replica().record([("x", "h-4"), ("z", "h-5")].map(new)).await.expect("records");
    again.sync().await.expect("syncs");
    there.sync().await.expect("syncs");
    assert_eq!(
        again.replica().digest().await.expect("reads"),
        there.replica().digest().await.expect("reads")
    );
}

/// A row that was damaged before it was pushed is held back, and asked for in vain until somebody has the event. A store
/// that is called `here` and is empty gets damage at its position 2 from `damage`, and is put right by `restore`.
///
/// # Panics
/// If the others do not arrive, or if the row does not once it can be read.
pub async fn a_damaged_row_that_nobody_has_stops_nothing<S: EventStore + Clone>(
    here: S,
    damage: impl AsyncFn(S) -> S,
    restore: impl AsyncFn(S) -> S,
) {
    let hub = MemoryStore::new(node("hub")).expect("a hub");
    let manager = |store: &S| SyncManager::new(store.clone(), Endpoint::new(hub.clone()));
    manager(&here)
        .replica()
        .record([("x", "h-1"), ("y", "h-2"), ("z", "h-3")].map(new))
        .await
        .expect("records");
    let here = damage(here).await;
    for _ in 0..2 {
        let report = manager(&here).sync().await.expect("syncs");
        assert_eq!((report.mended, report.held_back_count, report.held_back[0].position), (0, 1, 2));
    }
    assert_eq!(hub.head().await.expect("answers").position, 2);
    let here = restore(here).await;
    let report = manager(&here).sync().await.expect("syncs");
    assert_eq!((report.mended, report.held_back_count, report.pushed), (0, 0, 1));
    assert_eq!(manager(&here).sync().await.expect("syncs").round_trips, 1, "nothing is asked for any more");
}

/// Reads a store whose file was damaged, row by row and by id, and returns the number of calls that reported damage.
async fn damage_reported(store: &impl EventStore, before: &[StoredEvent]) -> usize {
    let mut reported = 0;
    for after in 0..before.len() as Position {
        match store.read(Query::after(after)).await {
            Ok(page) => {
                for StoredEvent { position: _, mark, source, event } in &page.events {
                    let unaltered = before
                        .iter()
                        .any(|was| (was.mark, was.source, &was.event) == (*mark, *source, event));
                    assert!(
                        unaltered,
                        "an altered event was returned: {event:?} with {mark:?} from {source:?}"
                    );
                }
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                reported += 1;
            }
        }
    }
    let all: Vec<_> = before.iter().map(|stored| stored.event.id.clone()).collect();
    for ids in all.chunks(1).chain([&all[..]]) {
        match store.facts(Needs { ids: ids.to_vec(), ..Needs::default() }).await {
            Ok(facts) => {
                for (id, held) in facts.held {
                    let StoredEvent { event, .. } =
                        before.iter().find(|was| was.event.id == id).expect("asked for");
                    assert_eq!(held, Held::of(held.position, event), "an altered event was looked up");
                }
                reported += facts.damaged.len();
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                reported += 1;
            }
        }
    }
    reported
}

fn new((of, id): (&str, &str)) -> NewEvent {
    new_event(of, id)
}

/// Returns the places of a file of pages of 4 KiB that are on a page with these bytes.
fn on_pages_with(file: &[u8], bytes: &[u8]) -> Vec<usize> {
    let pages = file.chunks(4 << 10).enumerate();
    let of = |(number, page): (usize, &[u8])| {
        let has = page.windows(bytes.len()).any(|window| window == bytes);
        has.then(|| (number << 12)..(number << 12) + page.len())
    };
    pages.filter_map(of).flatten().collect()
}
