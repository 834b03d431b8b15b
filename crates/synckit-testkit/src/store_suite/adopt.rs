//! Events by authors who cannot stamp: the store stamps them in their name.

use synckit_core::{Data, Dot, Event, EventStore, Limits, NewEvent, NodeId, Query, RefusedCode, Result};
use synckit_plan::{
    Adopt, Adopted, Adoptee, StoreExt,
    notes::{self, Seen},
};

use super::{contents, counter, ids, log_of, named, open, receive, record, scan};
use crate::case::CaseResult;
use crate::fixture::StoreFixture;
use crate::samples::{Author, NOW, aggregate, entropy, event_id, new_event, node, store_id};

/// Returns an adoption of these events by the author `old`, who has seen this.
fn adopting(events: Vec<NewEvent>, seen: &Seen) -> Adopt {
    let adoptee = |new| {
        let (id, event) = named(new);
        Adoptee { id, event, seen: seen.clone() }
    };
    Adopt {
        author: node("old"),
        source: store_id(9),
        events: events.into_iter().map(adoptee).collect(),
        now: NOW,
        limits: Limits::default(),
        entropy: entropy(),
    }
}

async fn commit(store: &impl EventStore, adopt: Adopt) -> Result<Adopted> {
    store.commit(adopt).await
}

/// Adopts these events by an author who has seen nothing.
async fn adopt(store: &impl EventStore, events: Vec<NewEvent>) -> Result<Adopted> {
    commit(store, adopting(events, &Seen::default())).await
}

fn seen(event: &Event, upto: u64) -> Seen {
    Seen { upto, clock: event.clock.clone() }
}

/// Counters continue, times are later than all of the aggregate, and the local name and counters of the store do not
/// change.
pub async fn events_are_stamped_in_the_name_of_their_author<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    record(&store, vec![new_event("x", "own")]).await?;
    let first = adopt(&store, vec![new_event("x", "1"), new_event("y", "2")]).await?;
    assert_eq!((first.events.len(), first.duplicates, first.head), (2, 0, 3));
    let second = adopt(&store, vec![new_event("x", "3")]).await?;
    let log = log_of(&store).await?;
    assert_eq!(ids(&log), ["own", "1", "2", "3"]);
    for (at, counter) in [(1, 1), (2, 2), (3, 3)] {
        assert_eq!(log[at].event.dot, Some(Dot::new(node("old"), counter)));
        assert_eq!(log[at].source, Some(store_id(9)));
        let event = &log[at].event;
        let mut earlier = log[..at].iter().filter(|stored| stored.event.aggregate_id == event.aggregate_id);
        assert!(earlier.all(|stored| stored.event.time < event.time) && event.check_stamp().is_ok());
    }
    assert_eq!(second.events[0].clock.iter().collect::<Vec<_>>(), [(&node("old"), 3)]);
    assert_eq!(counter(&store, "old").await?, 3);
    let next = record(&store, vec![new_event("z", "next")]).await?.events.remove(0);
    assert_eq!(next.dot, Some(Dot::new(node("n"), 2)));
    let others = scan(&store, Query::after(0).except_source(Some(store_id(9)))).await?;
    assert_eq!(ids(&others), ["own", "next"]);
    Ok(())
}

/// An edit on top of events that its author is not known to have seen is a conflict; on top of events he has seen it
/// is not.
pub async fn what_was_not_seen_is_concurrent_and_what_was_seen_is_not<F: StoreFixture>(
    fixture: &F,
) -> CaseResult {
    let store = open(fixture).await?;
    let mut far = Author::new("far");
    let events = [far.write("x"), far.write("y")];
    receive(&store, 1, &events).await?;
    let blind = adopt(&store, vec![new_event("x", "blind")]).await?.events.remove(0);
    assert!(!blind.has_seen(&events[0]));
    let known = seen(&events[1], 2);
    let aware = commit(&store, adopting(vec![new_event("y", "aware")], &known)).await?.events.remove(0);
    assert!(aware.has_seen(&events[1]));
    let conflicts = store.notes_under(notes::CONFLICTS).await?;
    assert_eq!(conflicts.iter().map(|note| note.key.as_str()).collect::<Vec<_>>(), ["conflict/x"]);
    Ok(())
}

/// What an author was known to have seen is in the clocks of all that he writes later, whether it is repeated or not.
/// Otherwise an event would have seen another without having seen what that one had seen.
pub async fn what_was_seen_once_stays_seen<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let mut far = Author::new("far");
    let cause = far.write("x");
    receive(&store, 1, std::slice::from_ref(&cause)).await?;
    commit(&store, adopting(vec![new_event("x", "1")], &seen(&cause, 1))).await?;
    let again = adopt(&store, vec![new_event("x", "2"), new_event("x", "3")]).await?;
    assert!(again.events.iter().all(|event| event.has_seen(&cause)));
    let key = notes::seen(&node("old"), &aggregate("x"));
    let note = store.note(key.clone()).await?.expect("what was seen is kept");
    let kept = Seen::decode(&key, &note.value)?;
    assert_eq!(kept, Seen { upto: 1, clock: again.events[1].clock.clone() });
    Ok(())
}

/// A repetition changes nothing, in the same batch or later; this also holds for events by other authors.
pub async fn adopting_twice_is_adopting_once<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    record(&store, vec![new_event("x", "own")]).await?;
    let batch = || vec![new_event("x", "1"), new_event("x", "own"), new_event("x", "1"), new_event("y", "2")];
    let first = adopt(&store, batch()).await?;
    assert_eq!((first.events.len(), first.duplicates), (2, 2));
    let before = contents(&store).await?;
    let again = adopt(&store, batch()).await?;
    assert_eq!((again.events, again.duplicates, again.refused), (Vec::new(), 4, Vec::new()));
    assert_eq!(contents(&store).await?, before);
    Ok(())
}

/// Each bad event is refused with its reason; the others are stored with counters that leave no gap.
pub async fn one_bad_event_does_not_stop_the_rest<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    record(&store, vec![new_event("x", "taken")]).await?;
    let large = NewEvent::with_data("Large", "x", Data::bytes(vec![0; 300 << 10]))?;
    let batch = vec![
        new_event("x", "1"),
        new_event("y", "taken"),
        NewEvent::new("synckit.reserved", "x", &1)?.with_id(event_id("reserved")),
        large.with_id(event_id("large")),
        new_event("x", "2"),
    ];
    let adopted = adopt(&store, batch).await?;
    let codes: Vec<_> = adopted.refused.iter().map(|one| (one.id.as_str(), one.code)).collect();
    assert_eq!(
        codes,
        [
            ("taken", RefusedCode::IdTaken),
            ("reserved", RefusedCode::Invalid),
            ("large", RefusedCode::TooLarge)
        ]
    );
    assert_eq!(ids(&log_of(&store).await?), ["taken", "1", "2"]);
    assert_eq!(adopted.events[1].dot, Some(Dot::new(node("old"), 2)));
    Ok(())
}

/// If others are known to have written under a name, this store does not use it: no dot names two events.
pub async fn a_name_that_is_taken_is_not_written_under<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let mut old = Author::new("old");
    receive(&store, 1, &old.write_many("x", 3)).await?;
    for counter in [1, 2] {
        let event = adopt(&store, vec![new_event("x", &counter.to_string())]).await?.events.remove(0);
        assert_eq!(event.dot, Some(Dot::new(renamed(&store).await?, counter)));
    }
    Ok(())
}

/// Returns the name of `old` with the suffix that the store has now.
async fn renamed(store: &impl EventStore) -> Result<NodeId> {
    let identity = store.identity().await?;
    let name = identity.adopting(&node("old"));
    let suffix = |name: &NodeId| name.as_str().split_once('~').map(|(_, suffix)| suffix.to_owned());
    assert!(name.chosen() == "old" && suffix(&name).is_some());
    assert_eq!(suffix(&name), suffix(&identity.author));
    Ok(name)
}

/// If an event of the store itself shows that the store was set back, adopted events get a fresh author name too.
pub async fn a_renewal_of_the_store_renames_whom_it_adopts<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    adopt(&store, vec![new_event("x", "1")]).await?;
    receive(&store, 1, &[Author::new("n").write("y")]).await?;
    let event = adopt(&store, vec![new_event("x", "2")]).await?.events.remove(0);
    assert_eq!(event.dot, Some(Dot::new(renamed(&store).await?, 1)));
    assert!(event.clock.has_seen(&Dot::new(node("old"), 1)), "what the author wrote he has seen");
    Ok(())
}

/// An adopted event that comes back and that this store does not hold has the same effect.
pub async fn an_adopted_event_that_comes_back_renames<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let mut elsewhere = Author::new("old");
    let first = adopt(&store, vec![new_event("x", "1")]).await?.events.remove(0);
    elsewhere.write("x");
    elsewhere.see(&first);
    let received = receive(&store, 1, &[elsewhere.write("x")]).await?;
    assert_eq!((received.accepted, received.renewed), (1, Some(store.identity().await?.author)));
    let event = adopt(&store, vec![new_event("x", "2")]).await?.events.remove(0);
    assert_eq!(event.dot, Some(Dot::new(renamed(&store).await?, 1)));
    Ok(())
}
