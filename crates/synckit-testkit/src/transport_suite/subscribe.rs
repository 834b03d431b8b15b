//! Catch-up, then live, in one stream that can be resumed from any of its cursors.

use std::time::Duration;

use futures_util::StreamExt;
use synckit_core::{
    Cursor, Data, ErrorKind, Event, EventId, EventStore, Filter, Limits, NewEvent, PageStream, PullRequest,
    Result, Transport,
};
use synckit_plan::StoreExt;

use super::{connect, connect_with, pulling, pushing, soon};
use crate::case::CaseResult;
use crate::fault::{Call, drop_at};
use crate::fixture::TransportFixture;
use crate::rng::Rng;
use crate::samples::{Author, new_event, store_id};
use crate::store_suite::{receive, record};

/// Takes the next `count` events, and the cursor after them.
async fn take(pages: &mut PageStream, count: usize) -> Result<(Vec<Event>, Cursor)> {
    let mut events = Vec::new();
    loop {
        let page = soon(pages.next()).await.expect("the stream never ends")?;
        events.extend(page.events);
        if events.len() >= count {
            return Ok((events, page.next));
        }
    }
}

/// First the events that exist, then new ones: pushed by others, or recorded at the hub; never those of the caller.
pub async fn it_catches_up_then_goes_on<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let (mut own, mut other) = (Author::new("node-1"), Author::new("node-2"));
    let old = other.write_many("x", 25);
    receive(&hub.store, 2, &old).await?;
    let request = PullRequest { limit: Some(10), ..pulling(1, None) };
    let mut pages = hub.wire.subscribe(request).await?;
    assert_eq!(take(&mut pages, 25).await?.0, old);
    for round in 0..3 {
        hub.wire.push(pushing(1, &own.write_many("x", 1))).await?;
        let pushed = other.write_many("x", 2);
        hub.wire.push(pushing(2, &pushed)).await?;
        assert_eq!(take(&mut pages, 2).await?.0, pushed);
        let recorded = record(&hub.store, vec![new_event("x", &format!("hub-{round}"))]).await?.events;
        let (events, next) = take(&mut pages, 1).await?;
        assert_eq!((events, next), (recorded, hub.store.cursor_at(29 + 4 * round).await?));
    }
    Ok(())
}

/// What came from the caller is left out, and its ids are listed: those that exist, and those that are pushed later.
pub async fn it_lists_what_came_from_the_caller<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let (mut own, mut other) = (Author::new("node-1"), Author::new("node-2"));
    let filter = Filter::new().with_aggregate("x")?;
    let mut left_out: Vec<EventId> = Vec::new();
    let mut push = async |_round: usize| -> Result<()> {
        let mine = [own.write("x"), own.write("y"), own.write("x")];
        left_out.extend(mine.iter().filter(|event| filter.matches(event)).map(|event| event.id.clone()));
        hub.wire.push(pushing(1, &mine)).await?;
        hub.wire.push(pushing(2, &[other.write("x")])).await.map(drop)
    };
    push(0).await?;
    let request = PullRequest { filter: filter.clone(), limit: Some(2), ..pulling(1, None) };
    let mut pages = hub.wire.subscribe(request).await?;
    for round in 1..4 {
        push(round).await?;
    }
    let (mut events, mut listed) = (0, Vec::new());
    while events < 4 {
        let page = soon(pages.next()).await.expect("the stream never ends")?;
        assert!(page.events.len() + page.ids.len() <= 2, "events and ids together keep the limit");
        events += page.events.len();
        listed.extend(page.ids);
    }
    assert_eq!(listed, left_out);
    Ok(())
}

/// After breaking off at any page and resuming from its cursor, nothing is missing and nothing comes twice.
pub async fn it_resumes_by_its_cursor<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let mut other = Author::new("node-2");
    let mut expected = other.write_many("x", 20);
    receive(&hub.store, 2, &expected).await?;
    let (mut seen, mut cursor) = (Vec::new(), None);
    for _ in 0..6 {
        let request = PullRequest { limit: Some(7), ..pulling(1, cursor) };
        let mut pages = hub.wire.subscribe(request).await?;
        let (events, next) = take(&mut pages, 1).await?;
        seen.extend(events);
        cursor = Some(next);
        drop(pages);
        let more = other.write_many("x", 2);
        hub.wire.push(pushing(2, &more)).await?;
        expected.extend(more);
    }
    let mut pages = hub.wire.subscribe(pulling(1, cursor)).await?;
    seen.extend(take(&mut pages, expected.len() - seen.len()).await?.0);
    assert_eq!(seen, expected);
    Ok(())
}

/// Only events that pass the filter come; the cursor moves past the others.
pub async fn it_filters<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let mut other = Author::new("node-2");
    let filter = Filter::new().with_aggregate("y")?;
    let mut pages = hub.wire.subscribe(PullRequest { filter, ..pulling(1, None) }).await?;
    for round in 1..=3 {
        let events = [other.write("x"), other.write("y"), other.write("x")];
        hub.wire.push(pushing(2, &events)).await?;
        let (found, next) = take(&mut pages, 1).await?;
        assert_eq!(found, events[1..2]);
        assert!(next.position() >= 3 * round - 1);
    }
    Ok(())
}

/// An unknown cursor is an error of the call, not of a page.
pub async fn a_cursor_of_another_log_is_unknown_at_the_start<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    receive(&hub.store, 2, &Author::new("node-2").write_many("x", 3)).await?;
    let id = hub.store.head().await?.store;
    let mark = hub.store.cursor_at(2).await?.mark().expect("it is not the beginning");
    for cursor in [Cursor::at(id, 2, synckit_core::Mark(7)), Cursor::at(store_id(9), 2, mark)] {
        let error = hub.wire.subscribe(pulling(1, Some(cursor))).await.err();
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::CursorUnknown));
    }
    Ok(())
}

/// Subscriptions that nobody reads any more leave the hub working.
pub async fn a_dropped_subscription_does_no_harm<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let mut other = Author::new("node-2");
    for round in 1..=20 {
        let pages = hub.wire.subscribe(pulling(1, None)).await?;
        hub.wire.push(pushing(2, &[other.write("x")])).await?;
        drop(pages);
        assert_eq!(hub.store.head().await?.position, round);
    }
    let mut pages = hub.wire.subscribe(pulling(1, None)).await?;
    assert_eq!(take(&mut pages, 20).await?.0.len(), 20);
    Ok(())
}

/// 10,000 events, half of them there and half new, and 50 reconnections: after any number of pages, with a page
/// dropped on its way or unread. Nothing is missing and nothing comes twice.
pub async fn reconnecting_with_the_cursor_misses_nothing<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let (mut other, mut rng) = (Author::new("node-2"), Rng::new(50));
    let mut expected: Vec<EventId> = Vec::new();
    for _ in 0..5 {
        let old = other.write_many("x", 1_000);
        receive(&hub.store, 2, &old).await?;
        expected.extend(old.into_iter().map(|event| event.id));
    }
    let (mut seen, mut cursor) = (Vec::new(), None);
    for _ in 0..50 {
        let request = PullRequest { limit: Some(1 + rng.below(100)), ..pulling(1, cursor.clone()) };
        let mut pages = hub.wire.subscribe(request).await?;
        for _ in 0..rng.below(4) {
            let page = soon(pages.next()).await.expect("the stream never ends")?;
            seen.extend(page.events.into_iter().map(|event| event.id));
            cursor = Some(page.next);
        }
        // This page may have arrived, and is lost with the connection.
        drop_at(rng.below(5), pages.next()).await;
        drop(pages);
        let new = other.write_many("x", 100);
        hub.wire.push(pushing(2, &new)).await?;
        expected.extend(new.into_iter().map(|event| event.id));
    }
    let mut pages = hub.wire.subscribe(pulling(1, cursor)).await?;
    let (rest, _) = take(&mut pages, expected.len() - seen.len()).await?;
    seen.extend(rest.into_iter().map(|event| event.id));
    assert_eq!(seen.len(), 10_000);
    assert!(seen == expected, "every event once, in the order of the log");
    Ok(())
}

/// A hub waits for a reader that takes one page and then none: it makes no more pages than there is room for on the
/// way, and none of them is lost when the reader continues.
pub async fn a_slow_reader_is_waited_for<F: TransportFixture>(fixture: &F) -> CaseResult {
    const EVENTS: u64 = 160;
    const LARGE: usize = 250_000;
    let hub = connect_with(fixture, Limits { batch_bytes: LARGE, ..Limits::default() }).await?;
    let (mut other, mut rng) = (Author::new("node-2"), Rng::new(1));
    let mut expected = Vec::new();
    for _ in 0..EVENTS {
        // Random bytes, so that compression does not make room.
        let noise: Vec<u8> = (0..LARGE / 8).flat_map(|_| rng.next().to_le_bytes()).collect();
        let event = other.write_this(NewEvent::with_data("Noted", "x", Data::bytes(noise))?);
        receive(&hub.store, 2, std::slice::from_ref(&event)).await?;
        expected.push(event.id);
    }
    let mut pages = hub.wire.subscribe(pulling(1, None)).await?;
    let (first, _) = take(&mut pages, 1).await?;
    let mut made = 0;
    // It ends when nothing moves any more; if there is no time to see that, less is asserted.
    while hub.plan.calls(Call::Read) > made {
        made = hub.plan.calls(Call::Read);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert!(made < EVENTS * 2 / 3, "{made} of {EVENTS} pages were made for a reader that took one");
    let (rest, _) = take(&mut pages, expected.len() - first.len()).await?;
    let seen: Vec<EventId> = first.into_iter().chain(rest).map(|event| event.id).collect();
    assert!(seen == expected, "every event once, in the order of the log");
    Ok(())
}
