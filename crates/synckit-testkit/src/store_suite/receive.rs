//! Events from elsewhere: each is accepted, a repetition, or refused with its reason.

use synckit::StoreExt;
use synckit_core::notes::{self, Aside, Note};
use synckit_core::plan::Received;
use synckit_core::{Data, Dot, Event, EventStore, Limits, NewEvent, RefusalCode, Timestamp, VectorClock};

use super::{contents, ids, log_of, open, receive, receiving, record, text};
use crate::case::CaseResult;
use crate::fixture::StoreFixture;
use crate::samples::{Author, NOW, event_id, new_event, node, store_id};

fn refusals(received: &Received) -> Vec<(usize, &str, RefusalCode)> {
    received.refused.iter().map(|refused| (refused.index, refused.id.as_str(), refused.code)).collect()
}

fn note(key: &str, value: &str) -> Note {
    Note { key: key.to_owned(), value: value.as_bytes().to_vec() }
}

/// Once held, an event is a repetition, whoever sends it; the notebook stays as it is.
pub async fn receiving_twice_changes_nothing<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let own = record(&store, vec![new_event("x", "own")]).await?.events;
    let foreign = Author::new("far").write_many("x", 5);
    assert_eq!(receive(&store, 1, &foreign).await?.accepted, 5);
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
    assert_eq!(refusals(&received), [(1, "far-1", RefusalCode::IdTaken)]);
    assert_eq!((received.accepted, received.duplicates), (2, 1));
    let log = log_of(&store).await?;
    assert_eq!((&log[..1], ids(&log)), (&before[..], vec!["far-1", "far-2", "far-3"]));
    Ok(())
}

/// One event per dot: another event under a held dot is refused by name, and the rest goes on.
pub async fn a_forked_dot_is_refused_and_the_rest_accepted<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let mut far = Author::new("far");
    let mut events = far.write_many("x", 10);
    receive(&store, 1, &events[..5]).await?;
    let mut forked = events[2].clone();
    forked.id = event_id("forked");
    events.insert(7, forked);
    let received = receive(&store, 1, &events[5..]).await?;
    assert_eq!(refusals(&received), [(2, "forked", RefusalCode::ForkedOrigin)]);
    assert_eq!(received.accepted, 5);
    let facts = store.ask(synckit_core::Needs { dots: vec![Dot::new(node("far"), 3)], ..Default::default() });
    assert_eq!(facts.await?.dots[&Dot::new(node("far"), 3)], event_id("far-3"));
    assert_eq!(store.head().await?.position, 10);
    Ok(())
}

/// Two events under one new dot in one batch: the first stays.
pub async fn a_forked_dot_within_one_batch_is_refused<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let event = Author::new("far").write("x");
    let mut forked = event.clone();
    forked.id = event_id("forked");
    let received = receive(&store, 1, &[event, forked]).await?;
    assert_eq!(refusals(&received), [(1, "forked", RefusalCode::ForkedOrigin)]);
    assert_eq!(ids(&log_of(&store).await?), ["far-1"]);
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
    assert_eq!(refusals(&received), [(5, "far-6", RefusalCode::TooLarge)]);
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
    assert_eq!(refusals(&received), [(1, "far-2", RefusalCode::TooLarge)]);
    let log = log_of(&store).await?;
    assert!(log.len() == 1 && log[0].event == largest, "the event changed");
    Ok(())
}

/// A time beyond the drift limit is refused; one at the limit is not.
pub async fn a_time_too_far_ahead_is_refused<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let drift = Limits::default().drift_seconds * 1_000;
    let mut far = Author::new("far");
    let (mut late, mut last) = (far.write("x"), far.write("y"));
    late.time = Timestamp::from_millis(NOW + drift + 1);
    last.time = Timestamp::from_millis(NOW + drift);
    let received = receive(&store, 1, &[late, last.clone()]).await?;
    assert_eq!(refusals(&received), [(0, "far-1", RefusalCode::ClockDrift)]);
    assert_eq!(text(&store, notes::TIME).await?, Some(last.time.to_string()));
    Ok(())
}

/// A stamp no author makes is refused: a clock without the own dot, counter 0, a dot on a resolution's type.
pub async fn a_stamp_that_contradicts_itself_is_refused<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let mut far = Author::new("far");
    let (mut no_clock, mut zero, mut no_dot) = (far.write("x"), far.write("x"), far.write("x"));
    no_clock.clock = VectorClock::new();
    zero.dot = Some(Dot::new(node("far"), 0));
    no_dot.dot = None;
    let reserved = far.write_this(NewEvent::new(synckit_core::RESOLUTION_TYPE, "x", &1)?);
    let good = far.write("x");
    let received = receive(&store, 1, &[no_clock, zero, no_dot, reserved, good]).await?;
    let codes: Vec<_> = received.refused.iter().map(|refused| (refused.index, refused.code)).collect();
    assert_eq!(codes, [0, 1, 2, 3].map(|index| (index, RefusalCode::Invalid)));
    assert_eq!(ids(&log_of(&store).await?), ["far-5"]);
    Ok(())
}

/// What is refused is kept in the notebook with its reason and its text, where that is wanted.
pub async fn refused_events_are_set_aside<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let mut events = Author::new("far").write_many("x", 3);
    events[1].clock = VectorClock::new();
    receive(&store, 1, &events).await?;
    assert_eq!(store.notes_under(notes::ASIDE_IN).await?, []);
    let mut receiving = receiving(2, &events);
    receiving.set_aside = true;
    receiving.notes.push(note("checkpoint", "3"));
    store.commit_receive(receiving).await?;
    let aside = store.notes_under(notes::ASIDE_IN).await?;
    assert_eq!(aside.len(), 1);
    assert_eq!(aside[0].key, notes::aside_in(store_id(2), "far-2"));
    let aside: Aside = aside[0].parse()?;
    assert_eq!((aside.code, aside.peer), (RefusalCode::Invalid, store_id(2)));
    let kept: Event = serde_json::from_str(&aside.event.expect("the event is kept")).expect("it is an event");
    assert_eq!(kept, events[1]);
    assert_eq!(text(&store, "checkpoint").await?.as_deref(), Some("3"));
    Ok(())
}

/// The checkpoint moves in the same commit, also where no event was new; notes can be deleted with it.
pub async fn notes_are_written_with_the_events<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let events = Author::new("far").write_many("x", 1);
    store.edit(vec![note("old", "1")], Vec::new()).await?;
    for value in ["1", "2"] {
        let mut receiving = receiving(1, &events);
        receiving.notes.push(note("checkpoint", value));
        receiving.delete.push("old".to_owned());
        store.commit_receive(receiving).await?;
        assert_eq!(text(&store, "checkpoint").await?.as_deref(), Some(value));
        assert_eq!(text(&store, "old").await?, None);
    }
    Ok(())
}

/// A note that says "all of these are held" is written only when none was refused.
pub async fn notes_if_complete_wait_for_a_batch_without_refusals<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let mut events = Author::new("far").write_many("x", 2);
    let good = events[1].clock.clone();
    events[1].clock = VectorClock::new();
    for (repaired, expected) in [(false, None), (true, Some("2"))] {
        if repaired {
            events[1].clock = good.clone();
        }
        let mut receiving = receiving(1, &events);
        receiving.notes_if_complete.push(note("pushed", "2"));
        store.commit_receive(receiving).await?;
        assert_eq!(text(&store, "pushed").await?.as_deref(), expected);
    }
    Ok(())
}

/// An own event that comes back and is not held shows a restore: new events get the successor's name.
pub async fn an_own_event_that_is_not_held_renames_the_author<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let lost = Author::new("n").write_many("x", 3);
    let received = receive(&store, 1, &lost).await?;
    assert_eq!((received.accepted, received.renamed), (3, Some(node("n~2"))));
    let identity = store.identity().await?;
    assert_eq!((identity.node, identity.author), (node("n"), node("n~2")));
    let event = record(&store, vec![new_event("x", "own")]).await?.events.remove(0);
    assert_eq!(event.dot, Some(Dot::new(node("n~2"), 1)));
    assert!(event.has_seen(&lost[2]));
    Ok(())
}
