//! Files in which a bit flipped: an event is reported as damaged or returned as it was.

use std::path::Path;

use synckit_core::{
    Data, Dot, ErrorKind, Event, EventStore, Held, Metadata, Needs, NodeId, Position, Query, Result,
    StoredEvent, VectorClock,
};
use synckit_plan::Restamp;

use crate::plans;
use crate::rng::Rng;
use crate::samples::{event_id, node};

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
/// If an event is returned that was altered, if a call fails for another reason than the damage, or if too few do.
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
    let (mut rng, mut reported) = (Rng::new(7), 0);
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
                reported += damage_reported(&store, &before).await;
                drop(store.close().await);
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                reported += 1;
            }
        }
    }
    assert!(reported > FLIPS / 3, "only {reported} calls reported damage");
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

/// Returns the places of a file of pages of 4 KiB that are on a page with these bytes.
fn on_pages_with(file: &[u8], bytes: &[u8]) -> Vec<usize> {
    let pages = file.chunks(4 << 10).enumerate();
    let of = |(number, page): (usize, &[u8])| {
        let has = page.windows(bytes.len()).any(|window| window == bytes);
        has.then(|| (number << 12)..(number << 12) + page.len())
    };
    pages.filter_map(of).flatten().collect()
}
