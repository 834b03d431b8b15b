//! Events from elsewhere: each is accepted, a repetition, or refused with its reason.

use synckit_core::{
    Data, Dot, ErrorKind, Event, EventStore, Limits, Needs, NewEvent, NodeId, Note, RefusedCode, Timestamp,
    VectorClock,
};
use synckit_plan::{
    OnRecord, Pushed, Received, Restamp, StoreExt,
    notes::{self, RefusedNote},
};

use super::conflicts::heads;
use super::{contents, ids, log_of, open, receive, receiving, record, text};
use crate::case::CaseResult;
use crate::fixture::StoreFixture;
use crate::samples::{Author, NOW, aggregate, event_id, new_event, node, place, store_id};

fn refusals(received: &Received) -> Vec<(&str, RefusedCode)> {
    received.refused.iter().map(|refused| (refused.id.as_str(), refused.code)).collect()
}

fn note(key: &str, value: &str) -> Note {
    Note { key: key.to_owned(), value: value.as_bytes().to_vec() }
}

/// An event that is held is a repetition, whoever sends it; the notebook does not change.
pub async fn receiving_twice_changes_nothing<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let own = record(&store, vec![new_event("x", "own")]).await?.events;
    let foreign = Author::new("far").write_many("x", 5);
    assert_eq!(receive(&store, 1, &foreign).await?.accepted, 5);
    // A local event that comes back was handed out, which is noted once.
    receive(&store, 1, &own).await?;
    let before = contents(&store).await?;
    for source in [1, 2] {
        let again = receive(&store, source, &[&own[..], &foreign[..]].concat()).await?;
        assert_eq!((again.accepted, again.duplicates, again.refused), (0, 6, Vec::new()));
        assert_eq!(contents(&store).await?, before);
    }
    Ok(())
}

/// The same event twice in one batch is stored once.
pub async fn an_event_twice_in_one_batch<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let event = Author::new("far").write("x");
    let received = receive(&store, 1, &[event.clone(), event.clone()]).await?;
    assert_eq!((received.accepted, received.duplicates), (1, 1));
    assert_eq!(log_of(&store).await?.len(), 1);
    Ok(())
}

/// One content per id: another event under a held id is refused, and nothing is overwritten.
pub async fn an_id_that_is_taken_is_refused_and_the_rest_accepted<F: StoreFixture>(
    fixture: &F,
) -> CaseResult {
    let store = open(fixture).await?;
    let mut far = Author::new("far");
    let mut events = far.write_many("x", 3);
    receive(&store, 1, &events[..1]).await?;
    let before = log_of(&store).await?;
    let mut other = far.write("y");
    other.id = events[0].id.clone();
    events.insert(1, other);
    let received = receive(&store, 1, &events).await?;
    assert_eq!(refusals(&received), [("far-1", RefusedCode::IdTaken)]);
    assert_eq!((received.accepted, received.duplicates), (2, 1));
    let log = log_of(&store).await?;
    assert_eq!((&log[..1], ids(&log)), (&before[..], vec!["far-1", "far-2", "far-3"]));
    Ok(())
}

/// One event per dot: of two events under one dot the one with the greater id gets an alias, which is recorded.
pub async fn a_forked_dot_gets_an_alias_and_nothing_is_refused<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let mut far = Author::new("far");
    let mut events = far.write_many("x", 10);
    receive(&store, 1, &events[..5]).await?;
    let mut forked = events[2].clone();
    forked.id = event_id("forked");
    events.insert(7, forked.clone());
    let received = receive(&store, 1, &events[5..]).await?;
    assert_eq!((refusals(&received), received.accepted), (vec![], 6));
    let dots = [Dot::new(node("far"), 3), Dot::new(NodeId::alias(&forked.id), 1)];
    let facts = store.facts(Needs { dots: dots.to_vec(), ..Default::default() }).await?;
    assert_eq!(dots.each_ref().map(|dot| facts.dots[dot].to_string()), ["far-3", "forked"]);
    let log = log_of(&store).await?;
    let (alias, restamp) = (&log[7], &log[11]);
    assert_eq!((alias.event.id.as_str(), alias.source), ("forked", Some(store_id(1))));
    assert_eq!(alias.event.content_digest(), forked.content_digest());
    assert_eq!(alias.event.clock.counter(&node("far")), 2, "it had seen what came before it");
    assert_eq!((restamp.event.clone(), restamp.source), (Restamp::event_of(&alias.event, &dots[0])?, None));
    assert_eq!(heads(&store, "x").await?.len(), 2, "it is an edit beside the others");
    // Receiving the old stamp or the restamp again changes nothing.
    assert_eq!(receive(&store, 2, &[forked, restamp.event.clone()]).await?.duplicates, 2);
    assert_eq!(log_of(&store).await?, log);
    Ok(())
}

/// The same for two events of different aggregates under one new dot in one batch.
pub async fn a_forked_dot_within_one_batch_gets_an_alias<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let event = Author::new("far").write("x");
    let forked = Event { id: event_id("a fork"), aggregate_id: aggregate("y"), ..event.clone() };
    let received = receive(&store, 1, &[event, forked.clone()]).await?;
    assert_eq!((refusals(&received), received.accepted), (vec![], 2));
    let log = log_of(&store).await?;
    assert_eq!(ids(&log)[..2], ["far-1", "a fork"]);
    assert_eq!(log[0].event.dot, Some(Dot::new(NodeId::alias(&event_id("far-1")), 1)));
    assert_eq!((&log[1].event, log.len()), (&forked, 3));
    Ok(())
}

/// One event under two stamps: the greater stands, whichever came first, and is recorded.
pub async fn an_event_with_two_stamps_takes_the_greater<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let lesser = Author::new("far").write("x");
    let was = Dot::new(node("far"), 1);
    let mut greater = Author::new("far~0123456789").write("x");
    greater = Event { dot: greater.dot, clock: greater.clock, ..lesser.clone() };
    receive(&store, 1, std::slice::from_ref(&lesser)).await?;
    for event in [&greater, &lesser, &greater] {
        let received = receive(&store, 2, std::slice::from_ref(event)).await?;
        assert_eq!((received.duplicates, received.refused.len()), (1, 0));
        let log = log_of(&store).await?;
        assert_eq!((&log[0].event, log[0].source), (&greater, Some(store_id(1))));
        assert_eq!((&log[1].event, log.len()), (&Restamp::event_of(&greater, &was)?, 2));
        assert_eq!(heads(&store, "x").await?, ["far-1"]);
    }
    let taken = Event { aggregate_id: aggregate("y"), ..greater.clone() };
    assert_eq!(refusals(&receive(&store, 2, &[taken]).await?), [("far-1", RefusedCode::IdTaken)]);
    Ok(())
}

/// If a filter lets a restamp through before its event, the event gets its stamp when it comes.
pub async fn a_restamp_waits_for_its_event<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let (event, was) = (Author::new("far").write("x"), Dot::new(node("far"), 1));
    let other = Author::new("far~0123456789").write("x");
    let moved = Event { dot: other.dot, clock: other.clock, ..event.clone() };
    receive(&store, 1, &[Restamp::event_of(&moved, &was)?]).await?;
    assert_eq!(heads(&store, "x").await?.len(), 0);
    receive(&store, 1, &[event]).await?;
    let log = log_of(&store).await?;
    assert_eq!((&log[1].event, log.len()), (&moved, 2));
    assert_eq!(heads(&store, "x").await?, ["far-1"]);
    Ok(())
}

/// Eleven events with one too large in the middle: ten arrive.
pub async fn too_large_is_refused_and_the_rest_accepted<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let mut far = Author::new("far");
    let mut events = far.write_many("x", 5);
    let large = NewEvent::with_data("Large", "x", Data::bytes(vec![0; 300 << 10]))?;
    events.push(far.write_this(large));
    events.extend(far.write_many("x", 5));
    let received = receive(&store, 1, &events).await?;
    assert_eq!(refusals(&received), [("far-6", RefusedCode::TooLarge)]);
    assert_eq!((received.accepted, store.head().await?.position), (10, 10));
    Ok(())
}

/// The limit on the size of an event is exact: at it the event is stored, a byte above it is refused.
pub async fn the_largest_event_is_accepted_and_one_byte_more_refused<F: StoreFixture>(
    fixture: &F,
) -> CaseResult {
    let store = open(fixture).await?;
    let (limit, mut far) = (Limits::default().event_bytes, Author::new("far"));
    let new = |bytes: usize| NewEvent::with_data("Large", "x", Data::bytes(vec![7; bytes]));
    let room = 1_000 + limit - far.clone().write_this(new(1_000)?).size();
    let (largest, above) = (far.write_this(new(room)?), far.write_this(new(room + 1)?));
    assert_eq!((largest.size(), above.size()), (limit, limit + 1));
    let received = receive(&store, 1, &[largest.clone(), above]).await?;
    assert_eq!(refusals(&received), [("far-2", RefusedCode::TooLarge)]);
    let log = log_of(&store).await?;
    assert!(log.len() == 1 && log[0].event == largest, "the event changed");
    Ok(())
}

/// A time far ahead is no reason to refuse an event: clocks can be wrong. It affects its aggregate and no other.
pub async fn a_time_far_ahead_is_stored_and_lifts_no_other_aggregate<F: StoreFixture>(
    fixture: &F,
) -> CaseResult {
    let store = open(fixture).await?;
    let mut far = Author::new("far");
    let mut late = far.write("x");
    for time in [Timestamp::from_millis(NOW + 365 * 86_400_000), Timestamp::from_bits(u64::MAX)] {
        late = Event { time, ..far.write("x") };
        assert_eq!(receive(&store, 1, std::slice::from_ref(&late)).await?.accepted, 1);
    }
    let on_top = record(&store, vec![new_event("x", "on top"), new_event("y", "beside")]).await?.events;
    assert!(on_top[0].has_seen(&late) && on_top[0].canonical_cmp(&late).is_gt());
    assert_eq!(on_top[1].time, Timestamp::from_millis(NOW));
    Ok(())
}

/// A stamp that no author makes is refused: a clock without the event's dot, counter 0, a dot on a resolution's type.
pub async fn a_stamp_that_contradicts_itself_is_refused<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let mut far = Author::new("far");
    let (mut no_clock, mut zero, mut no_dot) = (far.write("x"), far.write("x"), far.write("x"));
    no_clock.clock = VectorClock::new();
    zero.dot = Some(Dot::new(node("far"), 0));
    no_dot.dot = None;
    let reserved = far.write_this(NewEvent::new(synckit_plan::RESOLUTION_TYPE, "x", &1)?);
    let good = far.write("x");
    let received = receive(&store, 1, &[no_clock, zero, no_dot, reserved, good]).await?;
    assert_eq!(
        refusals(&received),
        ["far-1", "far-2", "far-3", "far-4"].map(|id| (id, RefusedCode::Invalid))
    );
    assert_eq!(ids(&log_of(&store).await?), ["far-5"]);
    Ok(())
}

/// If the caller wants it, a refused event is kept in the notebook with its reason and its text.
pub async fn refused_events_are_set_aside<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let mut events = Author::new("far").write_many("x", 3);
    events[1].clock = VectorClock::new();
    receive(&store, 1, &events).await?;
    assert_eq!(store.notes_under(notes::REFUSED_HERE).await?, []);
    let mut receiving = receiving(2, &events);
    receiving.keep_refused = true;
    receiving.notes.push(note("checkpoint", "3"));
    store.commit(receiving).await?;
    let aside = store.notes_under(notes::REFUSED_HERE).await?;
    assert_eq!(aside.len(), 1);
    assert_eq!(aside[0].key, notes::refused_here(store_id(2), "far-2"));
    let aside: RefusedNote = aside[0].parse()?;
    assert_eq!((aside.code, aside.peer), (RefusedCode::Invalid, store_id(2)));
    let kept: Event = serde_json::from_str(&aside.event.expect("the event is kept")).expect("it is an event");
    assert_eq!(kept, events[1]);
    assert_eq!(text(&store, "checkpoint").await?.as_deref(), Some("3"));
    Ok(())
}

/// The checkpoint moves in the same commit, even if no event was new; notes can be deleted with it.
pub async fn notes_are_written_with_the_events<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let events = Author::new("far").write_many("x", 1);
    store.edit(vec![note("old", "1")], Vec::new()).await?;
    for value in ["1", "2"] {
        let mut receiving = receiving(1, &events);
        receiving.notes.push(note("checkpoint", value));
        receiving.delete.push("old".to_owned());
        store.commit(receiving).await?;
        assert_eq!(text(&store, "checkpoint").await?.as_deref(), Some(value));
        assert_eq!(text(&store, "old").await?, None);
    }
    Ok(())
}

/// The position on record of the source says "all of these are held": it moves only if none was refused.
pub async fn what_is_on_record_waits_for_a_batch_without_refusals<F: StoreFixture>(
    fixture: &F,
) -> CaseResult {
    let store = open(fixture).await?;
    let mut events = Author::new("far").write_many("x", 2);
    let good = events[1].clock.clone();
    events[1].clock = VectorClock::new();
    for (repaired, expected) in [(false, None), (true, Some(place(1, 2)))] {
        if repaired {
            events[1].clock = good.clone();
        }
        let mut receiving = receiving(1, &events);
        receiving.on_record = Some(record_of(None, 2));
        store.commit(receiving).await?;
        let pushed = text(&store, "pushed").await?.map(|pushed| pushed.parse::<Pushed>()).transpose()?;
        assert_eq!(pushed.map(|pushed| pushed.place), expected);
    }
    Ok(())
}

fn record_of(from: Option<u64>, upto: u64) -> OnRecord {
    let (from, upto) = (from.map(|from| place(1, from)), Some(place(1, upto)));
    OnRecord { key: "pushed".to_owned(), from, upto, known: Vec::new() }
}

/// A batch that comes late, or from a copy that has pushed in the same name, is not stored: the position on record is
/// not the one that the sender assumes. The same batch again is a repetition.
pub async fn what_is_on_record_moves_only_from_where_it_is<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let events = Author::new("far").write_many("x", 6);
    let push = async |events: &[Event], from, upto| {
        let mut receiving = receiving(1, events);
        receiving.on_record = Some(record_of(from, upto));
        store.commit(receiving).await.map(|received| received.accepted).map_err(|error| error.kind())
    };
    assert_eq!(push(&events[..2], None, 2).await, Ok(2));
    assert_eq!(push(&events[..2], None, 2).await, Ok(0), "the same again");
    assert_eq!(push(&events[2..4], Some(2), 4).await, Ok(2));
    let before = contents(&store).await?;
    for (from, upto) in [(None, 2), (Some(2), 3), (Some(5), 6), (None, 6)] {
        assert_eq!(push(&events[4..], from, upto).await, Err(ErrorKind::CursorUnknown));
        assert_eq!(contents(&store).await?, before);
    }
    assert_eq!(push(&events[4..], Some(4), 6).await, Ok(2));
    Ok(())
}

/// If an event that the store itself recorded comes back and is not held, the log was set back: the store gets a
/// fresh id and a fresh name, and the old ones are recorded.
pub async fn an_own_event_that_is_not_held_renews_the_store<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let id = store.head().await?.store;
    let lost = Author::new("n").write_many("x", 3);
    let received = receive(&store, 1, &lost).await?;
    let identity = store.identity().await?;
    assert_eq!((received.accepted, received.renewed.as_ref()), (3, Some(&identity.author)));
    assert_eq!((&identity.node, identity.author.chosen()), (&node("n"), "n"));
    assert!(identity.author != node("n") && identity.suspect && identity.was(id));
    assert_ne!(store.head().await?.store, id);
    let event = record(&store, vec![new_event("x", "own")]).await?.events.remove(0);
    assert_eq!(event.dot, Some(Dot::new(identity.author.clone(), 1)));
    assert!(event.has_seen(&lost[2]));
    // What happens under the former name does not concern this store.
    let more = Author::new("n").write_many("y", 4);
    assert_eq!(receive(&store, 1, &more[3..]).await?.renewed, None);
    assert_eq!(store.identity().await?, identity);
    Ok(())
}

/// The clock of a foreign event shows local events that are not here: whether it arrives, or something is recorded on
/// top of it.
pub async fn a_clock_that_knows_more_of_the_own_name_renews_the_store<F: StoreFixture>(
    fixture: &F,
) -> CaseResult {
    let store = open(fixture).await?;
    let own = record(&store, vec![new_event("x", "own")]).await?.events.remove(0);
    let mut far = Author::new("far");
    far.see(&own);
    assert_eq!(receive(&store, 1, &[far.write("x")]).await?.renewed, None);
    let mut lost = own.clone();
    lost.clock = VectorClock::from_entries([(node("n"), 5)])?;
    far.see(&lost);
    let renewed = receive(&store, 1, &[far.write("x")]).await?.renewed;
    assert!(renewed.is_some(), "it had seen n:5");
    let event = record(&store, vec![new_event("x", "on top")]).await?.events.remove(0);
    assert_eq!(event.dot.map(|dot| (dot.node, dot.counter)), renewed.map(|name| (name, 1)));
    Ok(())
}
