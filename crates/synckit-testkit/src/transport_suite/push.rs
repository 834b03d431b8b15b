//! Events handed over, once and again.

use synckit_core::{
    Cursor, Data, ErrorKind, Event, EventStore, Limits, Mark, MissingRequest, NewEvent, PushRequest,
    RefusedCode, Result, Transport, VectorClock,
};
use synckit_plan::{StoreExt, notes};

use super::{Hub, caller, connect, connect_with, held, pushing};
use crate::case::CaseResult;
use crate::fixture::TransportFixture;
use crate::samples::{Author, all_characters, event_id, place, store_id, tricky_events, tricky_names};
use crate::store_suite::{log_of, text};

/// What arrives is what was sent: data, metadata, names, stamp; and its source is recorded.
pub async fn events_arrive_byte_for_byte<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let mut author = Author::new("node-1 \u{10ffff}\0\"");
    let mut events: Vec<Event> = tricky_events().into_iter().map(|new| author.write_this(new)).collect();
    for name in tricky_names() {
        let new = NewEvent::new(&name, &name, &name)?.with_id(event_id(&name));
        events.push(author.write_this(new));
    }
    let answer = hub.wire.push(pushing(1, &events)).await?;
    assert_eq!((answer.accepted, answer.duplicates, answer.refused), (events.len(), 0, Vec::new()));
    let log = log_of(&hub.store).await?;
    for (stored, event) in log.iter().zip(&events) {
        assert_eq!(stored.event, *event);
        assert_eq!(stored.event.digest(), event.digest());
        assert_eq!(stored.source, Some(store_id(1)));
    }
    Ok(())
}

/// Every Unicode character arrives, as JSON and as bytes.
pub async fn every_character_arrives<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let mut author = Author::new("node-1");
    for text in all_characters() {
        let json = author.write_this(NewEvent::new("Text", "x", &text)?);
        let bytes = author.write_this(NewEvent::with_data("Text", "x", Data::bytes(text.into_bytes()))?);
        let answer = hub.wire.push(pushing(1, &[json.clone(), bytes.clone()])).await?;
        assert_eq!((answer.accepted, answer.refused), (2, Vec::new()));
        let log = log_of(&hub.store).await?;
        assert!(log[log.len() - 2].event == json && log[log.len() - 1].event == bytes, "a character changed");
    }
    Ok(())
}

/// A push whose answer was lost is sent again, by the same caller or through another.
pub async fn pushing_twice_is_pushing_once<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let mut author = Author::new("node-1");
    let mut events = author.write_many("x", 10);
    hub.wire.push(pushing(1, &events)).await?;
    events.extend(author.write_many("x", 2));
    let answer = hub.wire.push(pushing(1, &events)).await?;
    assert_eq!((answer.accepted, answer.duplicates), (2, 10));
    let answer = hub.wire.push(pushing(2, &events)).await?;
    assert_eq!((answer.accepted, answer.duplicates), (0, 12));
    let ids: Vec<_> = events.iter().map(|event| event.id.clone()).collect();
    assert_eq!(held(&hub.store).await?, ids);
    Ok(())
}

/// Ten of eleven arrive; the answer gives the id of the other and the reason.
pub async fn one_bad_event_of_eleven_is_refused_by_its_id<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect_with(fixture, Limits { event_bytes: 10_000, ..Limits::default() }).await?;
    let mut author = Author::new("node-1");
    let first = author.write("x");
    hub.wire.push(pushing(1, std::slice::from_ref(&first))).await?;
    let large = NewEvent::with_data("Large", "x", Data::bytes(vec![0; 20_000]))?;
    let large = author.write_this(large.with_id(event_id("large")));
    let taken = Event { id: first.id.clone(), ..author.write("x") };
    let invalid = Event { clock: VectorClock::new(), ..author.write("x") };
    let codes =
        [(large, RefusedCode::TooLarge), (taken, RefusedCode::IdTaken), (invalid, RefusedCode::Invalid)];
    for (round, (bad, code)) in codes.into_iter().enumerate() {
        let mut events = author.write_many("x", 10);
        events.insert(5, bad.clone());
        let answer = hub.wire.push(pushing(1, &events)).await?;
        assert_eq!((answer.accepted, answer.duplicates), (10, 0));
        let refused = &answer.refused[0];
        assert_eq!((refused.id.as_str(), refused.code), (bad.id.as_str(), code));
        assert!(answer.refused.len() == 1 && !refused.message.is_empty());
        assert_eq!(hub.store.head().await?.position, 11 + 10 * round as u64);
    }
    Ok(())
}

/// An event of the largest size arrives, as JSON, as bytes, and as text that has to be escaped.
pub async fn the_largest_event_arrives<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let mut author = Author::new("node-1");
    for fill in ["[]", "bytes", "escaped"] {
        let data = |room: usize| match fill {
            "[]" => Data::json(format!("[{}]", " ".repeat(room - 2))),
            "bytes" => Ok(Data::bytes(vec![0xff; room])),
            _ => {
                Data::json(format!("\"{}{}\"", "\\u0000".repeat((room - 2) / 6), "x".repeat((room - 2) % 6)))
            }
        };
        let new = |room| data(room).and_then(|data| NewEvent::with_data("Large", "x", data));
        let probe = author.clone().write_this(new(1_000)?);
        let event = author.write_this(new(1_000 + Limits::default().event_bytes - probe.size())?);
        assert_eq!(event.size(), Limits::default().event_bytes);
        let answer = hub.wire.push(pushing(1, std::slice::from_ref(&event))).await?;
        assert_eq!((answer.accepted, answer.refused), (1, Vec::new()), "{fill}");
        assert!(log_of(&hub.store).await?.pop().is_some_and(|stored| stored.event == event), "{fill}");
    }
    Ok(())
}

/// A batch of the maximum size of the hub, in events and in bytes, arrives.
pub async fn a_full_batch_arrives<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let (limits, mut author) = (Limits::default(), Author::new("node-1"));
    let small = author.write_many("x", limits.batch_events);
    assert_eq!(hub.wire.push(pushing(1, &small)).await?.accepted, limits.batch_events);
    let large = || NewEvent::with_data("Large", "x", Data::bytes(vec![0xff; 200_000]));
    let mut batch = Vec::new();
    let mut bytes = 0;
    loop {
        let event = author.write_this(large()?);
        bytes += event.size();
        if bytes > limits.batch_bytes {
            break;
        }
        batch.push(event);
    }
    assert_eq!(hub.wire.push(pushing(1, &batch)).await?.accepted, batch.len());
    Ok(())
}

/// A batch of more events than the hub takes is an error, and none of it is stored.
pub async fn a_batch_above_the_limit_is_too_large<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect_with(fixture, Limits { batch_events: 10, ..Limits::default() }).await?;
    let events = Author::new("node-1").write_many("x", 11);
    let error = hub.wire.push(pushing(1, &events)).await.err().map(|error| error.kind());
    assert_eq!(error, Some(ErrorKind::TooLarge));
    assert_eq!(hub.store.head().await?.position, 0);
    assert_eq!(hub.wire.push(pushing(1, &events[..10])).await?.accepted, 10);
    Ok(())
}

async fn pushed(store: &impl EventStore) -> synckit_core::Result<Option<String>> {
    let pushed = text(store, notes::pushed(store_id(1), "all")).await?;
    Ok(pushed.map(|pushed| pushed.split(' ').next().unwrap_or_default().to_owned()))
}

/// A push without events records the position; a position in another log than the caller's is refused.
pub async fn an_empty_push_moves_the_place_on_record<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let mut from = None;
    for position in [3, 7] {
        let upto = Some(place(1, position));
        let request = PushRequest { from, upto: upto.clone(), ..pushing(1, &[]) };
        let answer = hub.wire.push(request).await?;
        assert_eq!((answer.accepted, answer.duplicates), (0, 0));
        assert_eq!(pushed(&hub.store).await?, upto.as_ref().map(|upto| upto.to_string()));
        from = upto;
    }
    for (from, upto) in [(from, place(2, 9)), (Some(place(2, 7)), place(1, 9))] {
        let error = hub.wire.push(PushRequest { from, upto: Some(upto), ..pushing(1, &[]) }).await;
        assert_eq!(error.map_err(|error| error.kind()), Err(ErrorKind::Invalid));
    }
    Ok(())
}

/// The position says "all of these are held": if one was refused, it stays.
pub async fn a_push_with_refusals_does_not_move_the_place_on_record<F: TransportFixture>(
    fixture: &F,
) -> CaseResult {
    let hub = connect(fixture).await?;
    let mut events = Author::new("node-1").write_many("x", 3);
    let whole = events.clone();
    events[1].clock = VectorClock::new();
    let upto = Some(place(1, 3));
    let answer = hub.wire.push(PushRequest { upto: upto.clone(), ..pushing(1, &events) }).await?;
    assert_eq!((answer.accepted, answer.refused.len(), pushed(&hub.store).await?), (2, 1, None));
    let answer = hub.wire.push(PushRequest { upto: upto.clone(), ..pushing(1, &whole) }).await?;
    assert_eq!((answer.accepted, answer.duplicates), (1, 2));
    assert_eq!(pushed(&hub.store).await?, upto.map(|upto| upto.to_string()));
    Ok(())
}

/// A push that comes late, or from a copy with the same name, gets an error that another position is on record, and
/// is not stored.
pub async fn a_push_from_another_place_than_is_on_record_is_not_stored<F: TransportFixture>(
    fixture: &F,
) -> CaseResult {
    let hub = connect(fixture).await?;
    let events = Author::new("node-1").write_many("x", 4);
    let push = |at: usize, from: Option<u64>, upto: u64| PushRequest {
        from: from.map(|from| place(1, from)),
        upto: Some(place(1, upto)),
        ..pushing(1, &events[at..at + 2])
    };
    hub.wire.push(push(0, None, 2)).await?;
    for late in [push(2, None, 4), push(2, Some(1), 4), push(0, None, 1)] {
        let error = hub.wire.push(late).await.err().map(|error| error.kind());
        assert_eq!(error, Some(ErrorKind::CursorUnknown));
    }
    assert_eq!(pushed(&hub.store).await?, Some(place(1, 2).to_string()));
    assert_eq!(hub.wire.push(push(0, None, 2)).await?.duplicates, 2, "the same again");
    assert_eq!(hub.wire.push(push(2, Some(2), 4)).await?.accepted, 2);
    Ok(())
}

/// Returns a hub that was pushed the first two of three events, the events, and its places.
async fn two_of_three<F: TransportFixture>(
    fixture: &F,
) -> Result<(Hub<F::Transport>, Vec<Event>, [Cursor; 2])> {
    let hub = connect(fixture).await?;
    let events = Author::new("node-1").write_many("x", 3);
    hub.wire.push(pushing(1, &events[..2])).await?;
    let there = [hub.store.cursor_at(1).await?, hub.store.cursor_at(2).await?];
    Ok((hub, events, there))
}

/// A caller that knows a place which the log does not have gets an error, and nothing is stored: the log was restored.
pub async fn a_push_that_knows_a_place_that_is_gone_is_not_stored<F: TransportFixture>(
    fixture: &F,
) -> CaseResult {
    let (hub, events, there) = two_of_three(fixture).await?;
    for known in with_one_gone(&there) {
        let error = hub.wire.push(PushRequest { known, ..pushing(1, &events[2..]) }).await;
        assert_eq!(error.err().map(|error| error.kind()), Some(ErrorKind::CursorUnknown));
        assert_eq!(hub.store.head().await?.position, 2);
    }
    assert_eq!(
        hub.wire.push(PushRequest { known: there.into(), ..pushing(1, &events[2..]) }).await?.accepted,
        1
    );
    Ok(())
}

/// Adds a place that the log does not have: beyond its end, or with another mark.
fn with_one_gone(there: &[Cursor; 2]) -> [Vec<Cursor>; 2] {
    [(3, 7), (2, 7)]
        .map(|(position, mark)| vec![there[0].clone(), Cursor::at(there[1].store(), position, Mark(mark))])
}

/// A caller that asks what is missing and knows a place which the log does not have gets an error: the log was restored.
pub async fn nobody_is_told_what_is_missing_after_a_place_that_is_gone<F: TransportFixture>(
    fixture: &F,
) -> CaseResult {
    let (hub, events, there) = two_of_three(fixture).await?;
    let ids: Vec<_> = events.iter().map(|event| event.id.clone()).collect();
    let asking = |known| MissingRequest { caller: caller(1), ids: ids.clone(), known };
    for known in with_one_gone(&there) {
        let error = hub.wire.missing(asking(known)).await;
        assert_eq!(error.err().map(|error| error.kind()), Some(ErrorKind::CursorUnknown));
    }
    let answer = hub.wire.missing(asking(there.clone().into())).await?;
    assert_eq!((answer.ids, answer.place), (vec![events[2].id.clone()], Some(there[1].clone())));
    Ok(())
}

/// Events that are not held are listed, in the order of the request.
pub async fn missing_events_are_named_in_order<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let events = Author::new("node-1").write_many("x", 4);
    hub.wire.push(pushing(1, &[events[0].clone(), events[2].clone()])).await?;
    let mut asked: Vec<_> = events.iter().rev().map(|event| event.id.clone()).collect();
    asked.extend(tricky_names().iter().map(|name| event_id(name)));
    let missing = hub
        .wire
        .missing(MissingRequest { caller: caller(1), ids: asked.clone(), known: Vec::new() })
        .await?
        .ids;
    let expected = hub.store.not_held(asked).await?;
    assert_eq!((&missing, missing[0].as_str(), missing[1].as_str()), (&expected, "node-1-4", "node-1-2"));
    let nothing = MissingRequest { caller: caller(1), ids: Vec::new(), known: Vec::new() };
    assert_eq!(hub.wire.missing(nothing).await?.ids, []);
    Ok(())
}

/// A request can name as many ids as a batch has events, and no more.
pub async fn asking_for_too_many_is_too_large<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let ids = |count: usize| (0..count).map(|at| event_id(&format!("{at:0255}"))).collect::<Vec<_>>();
    let limit = Limits::default().batch_events;
    let full = MissingRequest { caller: caller(1), ids: ids(limit), known: Vec::new() };
    assert_eq!(hub.wire.missing(full).await?.ids.len(), limit);
    let more = MissingRequest { caller: caller(1), ids: ids(limit + 1), known: Vec::new() };
    let error = hub.wire.missing(more).await.err().map(|error| error.kind());
    assert_eq!(error, Some(ErrorKind::TooLarge));
    Ok(())
}
