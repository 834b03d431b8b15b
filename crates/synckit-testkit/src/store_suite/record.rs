//! New events authored here.

use synckit_core::{Data, Dot, ErrorKind, EventStore, Limits, NewEvent, Timestamp};

use super::{contents, counter, ids, log_of, named, open, receive, record, record_at, record_of};
use crate::case::CaseResult;
use crate::fixture::StoreFixture;
use crate::samples::{Author, NOW, event_id, new_event, node};

/// Counters continue across aggregates; clocks are per aggregate; the notebook follows.
pub async fn events_are_stamped<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    record(&store, vec![new_event("x", "1"), new_event("y", "2")]).await?;
    let events = record(&store, vec![new_event("x", "3")]).await?.events;
    assert_eq!(events[0].dot, Some(Dot::new(node("n"), 3)));
    assert_eq!(events[0].clock.iter().collect::<Vec<_>>(), [(&node("n"), 3)]);
    let log = log_of(&store).await?;
    assert!(log[2].event.has_seen(&log[0].event) && !log[1].event.clock.has_seen(&Dot::new(node("n"), 3)));
    assert!(log[0].event.time < log[2].event.time);
    assert_eq!(counter(&store, "n").await?, 3);
    Ok(())
}

/// An event recorded on top of a foreign event has seen it and is later, however slow the wall clock is.
pub async fn an_effect_is_later_than_its_cause<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let mut far = Author::new("far");
    let mut cause = far.write("x");
    cause.time = Timestamp::from_millis(NOW + 3_600_000);
    receive(&store, 1, std::slice::from_ref(&cause)).await?;
    let effect = record(&store, vec![new_event("x", "effect")]).await?.events.remove(0);
    assert!(effect.has_seen(&cause) && effect.time > cause.time);
    assert_eq!(effect.clock.iter().collect::<Vec<_>>(), [(&node("far"), 1), (&node("n"), 1)]);
    Ok(())
}

/// The time of an aggregate never goes backwards; the time of other aggregates does not affect it.
pub async fn the_wall_clock_may_go_backwards<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let mut last = Timestamp::ZERO;
    for (at, now) in [NOW, NOW - 3_600_000, NOW - 1, 0, NOW + 5].into_iter().enumerate() {
        let new = [new_event("x", &format!("e{at}")), new_event(&format!("y{at}"), &format!("f{at}"))];
        let [event, other]: [_; 2] =
            record_at(&store, now, new.into()).await?.events.try_into().expect("two");
        assert!(event.time > last && event.time.millis() >= NOW);
        assert_eq!(other.time, Timestamp::from_millis(now), "what another aggregate has seen lifts no time");
        last = event.time;
    }
    Ok(())
}

/// A record is all or nothing: events, counters and notes.
pub async fn one_bad_event_stops_the_whole_record<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    record(&store, vec![new_event("x", "first")]).await?;
    let before = contents(&store).await?;
    let bad = NewEvent::new("synckit.reserved", "x", &1)?.with_id(event_id("bad"));
    let large = NewEvent::with_data("Large", "x", Data::bytes(vec![0; 300 << 10]))?.with_id(event_id("bad"));
    let taken = new_event("y", "first");
    let kinds = [(bad, ErrorKind::Invalid), (large, ErrorKind::TooLarge), (taken, ErrorKind::Conflict)];
    for (bad, kind) in kinds {
        let error = record(&store, vec![new_event("x", "a"), bad, new_event("x", "b")]).await;
        assert_eq!(error.map_err(|error| error.kind()), Err(kind));
        assert_eq!(contents(&store).await?, before);
    }
    let next = record(&store, vec![new_event("x", "a")]).await?.events.remove(0);
    assert_eq!(next.dot, Some(Dot::new(node("n"), 2)));
    Ok(())
}

/// An id that is held with the same content is a repetition, in the same record or a later one.
pub async fn recording_twice_is_recording_once<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let batch = vec![new_event("x", "1"), new_event("y", "2"), new_event("x", "1")];
    let first = record(&store, batch.clone()).await?;
    assert_eq!((first.events.len(), first.duplicates), (2, vec![event_id("1")]));
    let before = contents(&store).await?;
    let again = record_at(&store, NOW + 1_000, batch).await?;
    assert_eq!((again.events, again.head), (Vec::new(), 2));
    assert_eq!(contents(&store).await?, before);
    let mixed = record(&store, vec![new_event("y", "2"), new_event("x", "3")]).await?;
    assert_eq!((mixed.duplicates, mixed.head), (vec![event_id("2")], 3));
    assert_eq!(ids(&log_of(&store).await?), ["1", "2", "3"]);
    Ok(())
}

/// An id that is held with other content is refused, whatever the difference is.
pub async fn an_id_names_one_content<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let data = || Data::json("1.0");
    let new = |kind, of, data| NewEvent::with_data(kind, of, data).map(|new| new.with_id(event_id("id")));
    let first = new("T", "x", data()?)?;
    record(&store, vec![first.clone()]).await?;
    let before = contents(&store).await?;
    let metadata = synckit_core::Metadata::json(r#"{"a":1}"#)?;
    let others = [
        new("U", "x", data()?)?,
        new("T", "y", data()?)?,
        new("T", "x", Data::json("1.00")?)?,
        new("T", "x", Data::bytes(*b"1.0"))?,
        first.clone().with_metadata(metadata),
    ];
    for other in others {
        let error = record(&store, vec![other]).await;
        assert_eq!(error.map_err(|error| error.kind()), Err(ErrorKind::Conflict));
    }
    assert_eq!(contents(&store).await?, before);
    Ok(())
}

/// The limit on the size of an event is exact, and an event of that size is stored.
pub async fn the_largest_event_and_one_byte_more<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let limit = Limits::default().event_bytes;
    let of_size = |id: &str, bytes: usize| {
        let new = NewEvent::with_data("Large", "x", Data::bytes(vec![7; bytes]));
        new.map(|new| new.with_id(event_id(id)))
    };
    let empty = record(&store, vec![of_size("0", 0)?]).await?.events.remove(0);
    let room = limit - empty.size();
    let error = record(&store, vec![of_size("2", room + 1)?]).await;
    assert_eq!(error.map_err(|error| error.kind()), Err(ErrorKind::TooLarge));
    let largest = record(&store, vec![of_size("1", room)?]).await?.events.remove(0);
    assert_eq!(largest.size(), limit);
    let log = log_of(&store).await?;
    assert!(log.len() == 2 && log[1].event == largest);
    Ok(())
}

/// The store knows the author: a caller who guesses wrong still writes under the right name.
pub async fn a_wrong_guess_of_the_author_is_put_right<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    record(&store, vec![new_event("x", "1")]).await?;
    let events = vec![named(new_event("x", "2"))];
    let guess = record_of(node("someone"), events);
    let event = store.commit(guess).await?.events.remove(0);
    assert_eq!(event.dot, Some(Dot::new(node("n"), 2)));
    assert_eq!(store.head().await?.position, 2);
    Ok(())
}
