//! Pages, cursors, filters.

use futures_util::StreamExt;
use synckit_core::{
    Cursor, Data, ErrorKind, Event, EventStore, Filter, Limits, Mark, Metadata, NewEvent, PullRequest,
    PullResponse, Scope, Transport,
};
use synckit_plan::StoreExt;

use super::{connect, connect_with, events_of, ids, pull_all, pulling, soon};
use crate::case::CaseResult;
use crate::fixture::TransportFixture;
use crate::samples::{Author, all_characters, event_id, new_event, store_id, tricky_events, tricky_names};
use crate::store_suite::{receive, receiving, record};

/// A pull from an empty log returns an empty page at its beginning.
pub async fn an_empty_log<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let start = Cursor::start(hub.store.head().await?.store);
    for cursor in [None, Some(start.clone())] {
        let page = hub.wire.pull(pulling(1, cursor)).await?;
        assert_eq!((page.events, page.next, page.more), (Vec::new(), start.clone(), false));
    }
    Ok(())
}

/// The events that come are as they were stored, with their stamps.
pub async fn events_come_byte_for_byte<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let mut news = tricky_events();
    for name in tricky_names() {
        news.push(NewEvent::new(&name, &name, &name)?.with_id(event_id(&name)));
    }
    let recorded = record(&hub.store, news).await?.events;
    let pulled = events_of(&pull_all(&hub.wire, pulling(1, None)).await?);
    for (pulled, recorded) in pulled.iter().zip(&recorded) {
        assert_eq!(pulled, recorded);
        assert_eq!(pulled.digest(), recorded.digest());
    }
    assert_eq!(pulled.len(), recorded.len());
    Ok(())
}

/// Every Unicode character comes, as JSON and as bytes.
pub async fn every_character_comes<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let mut author = Author::new("far");
    let mut events = Vec::new();
    for text in all_characters() {
        events.push(author.write_this(NewEvent::new("Text", "x", &text)?));
        events.push(author.write_this(NewEvent::with_data("Text", "x", Data::bytes(text.into_bytes()))?));
    }
    assert_eq!(receive(&hub.store, 9, &events).await?.refused, []);
    let pages = pull_all(&hub.wire, pulling(1, None)).await?;
    assert!(events_of(&pages) == events, "a character changed");
    Ok(())
}

/// Events of the largest size come, a few per page, within the bytes of a batch.
pub async fn the_largest_events_come_page_by_page<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let (limits, mut author) = (Limits::default(), Author::new("far"));
    let large = |author: &mut Author| -> synckit_core::Result<Event> {
        let new = |room| NewEvent::with_data("Large", "x", Data::bytes(vec![0xff; room]));
        let probe = author.clone().write_this(new(1_000)?);
        Ok(author.write_this(new(1_000 + limits.event_bytes - probe.size())?))
    };
    let mut events = Vec::new();
    for _ in 0..20 {
        events.push(large(&mut author)?);
    }
    assert_eq!(receive(&hub.store, 9, &events).await?.refused, []);
    let pages = pull_all(&hub.wire, pulling(1, None)).await?;
    for page in &pages {
        let bytes: usize = page.events.iter().map(Event::size).sum();
        assert!(bytes <= limits.batch_bytes, "{bytes} bytes in a page");
    }
    assert!(events_of(&pages) == events, "an event changed");
    Ok(())
}

/// At a limit of n, logs of 1, n-1, n, n+1 and many events come in full pages and a last one.
pub async fn pages_end_at_the_limit<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let mut author = Author::new("far");
    let mut length = 0;
    for target in [1, 9, 10, 11, 35] {
        receive(&hub.store, 9, &author.write_many("x", target - length)).await?;
        length = target;
        let request = PullRequest { limit: Some(10), ..pulling(1, None) };
        let pages = pull_all(&hub.wire, request).await?;
        assert_eq!(events_of(&pages).len(), length);
        for (at, page) in pages.iter().enumerate() {
            let expected = (length - 10 * at).min(10);
            assert_eq!(page.events.len(), expected);
            let place = hub.store.cursor_at((10 * at + expected) as u64).await?;
            assert_eq!(page.next, place);
        }
    }
    Ok(())
}

/// The limit of the hub holds, whatever limit the caller asks for.
pub async fn a_limit_above_the_hubs_is_the_hubs<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect_with(fixture, Limits { batch_events: 5, ..Limits::default() }).await?;
    receive(&hub.store, 9, &Author::new("far").write_many("x", 12)).await?;
    for limit in [None, Some(1_000_000)] {
        let pages = pull_all(&hub.wire, PullRequest { limit, ..pulling(1, None) }).await?;
        assert_eq!(pages.iter().map(|page| page.events.len()).collect::<Vec<_>>(), [5, 5, 2]);
    }
    Ok(())
}

/// Nothing comes after the position that a caller names as the end, and the cursor stops there.
pub async fn a_pull_ends_where_it_is_told_to<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let events = Author::new("far").write_many("x", 25);
    receive(&hub.store, 9, &events).await?;
    for (upto, limit) in [(1, None), (10, Some(10)), (17, Some(10)), (17, None), (25, None), (99, Some(10))] {
        let request = PullRequest { limit, upto: Some(upto), ..pulling(1, None) };
        let pages = pull_all(&hub.wire, request).await?;
        let end = upto.min(25);
        assert_eq!(events_of(&pages), events[..end as usize]);
        assert_eq!(pages.last().map(|page| page.next.clone()), Some(hub.store.cursor_at(end).await?));
    }
    let cursor = Some(hub.store.cursor_at(20).await?);
    let page = hub.wire.pull(PullRequest { upto: Some(12), ..pulling(1, cursor.clone()) }).await?;
    assert_eq!((page.events.len(), page.more, Some(page.next)), (0, false, cursor));
    Ok(())
}

/// After a cursor, only new events come.
pub async fn a_cursor_resumes<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let mut author = Author::new("far");
    let mut cursor = None;
    for round in 0..4 {
        let events = author.write_many("x", round);
        receive(&hub.store, 9, &events).await?;
        let page = hub.wire.pull(pulling(1, cursor)).await?;
        assert_eq!((page.events, page.more), (events, false));
        cursor = Some(page.next);
    }
    Ok(())
}

/// Events that came from the caller are left out.
pub async fn events_of_the_caller_are_left_out<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    record(&hub.store, vec![new_event("x", "hub")]).await?;
    hub.wire.push(super::pushing(1, &Author::new("node-1").write_many("x", 2))).await?;
    hub.wire.push(super::pushing(2, &Author::new("node-2").write_many("x", 1))).await?;
    for (byte, expected) in [
        (1, &["hub", "node-2-1"][..]),
        (2, &["hub", "node-1-1", "node-1-2"]),
        (3, &["hub", "node-1-1", "node-1-2", "node-2-1"]),
    ] {
        let pages = pull_all(&hub.wire, pulling(byte, None)).await?;
        assert_eq!(ids(&events_of(&pages)), expected);
        assert_eq!(pages.last().map(|page| page.next.position()), Some(4));
    }
    Ok(())
}

/// A replica that had other ids before asks what came to the hub from those: ids only, page by page, through its
/// filter.
pub async fn ids_of_what_came_from_some_stores_are_listed<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    record(&hub.store, vec![new_event("x", "hub")]).await?;
    for byte in 1..=3 {
        let mut author = Author::new(&format!("node-{byte}"));
        hub.wire.push(super::pushing(byte, &[author.write("x"), author.write("y")])).await?;
    }
    let asking = |stores: &[u8], of: &str| -> synckit_core::Result<PullRequest> {
        let scope = Scope::Sent(stores.iter().map(|byte| store_id(*byte)).collect());
        let filter = if of.is_empty() { Filter::new() } else { Filter::new().with_aggregate(of)? };
        Ok(PullRequest { scope, filter, ..pulling(9, None) })
    };
    for (stores, of, expected) in [
        (&[1][..], "", &["node-1-1", "node-1-2"][..]),
        (&[1, 3], "y", &["node-1-2", "node-3-2"]),
        (&[7], "", &[]),
    ] {
        for limit in [None, Some(1)] {
            let request = PullRequest { limit, ..asking(stores, of)? };
            let pages = pull_all(&hub.wire, request).await?;
            let listed: Vec<_> = pages.iter().flat_map(|page| &page.ids).map(|id| id.as_str()).collect();
            assert_eq!((listed, events_of(&pages)), (expected.to_vec(), vec![]));
            assert_eq!(pages.last().map(|page| page.next.position()), Some(7));
        }
    }
    Ok(())
}

/// Events can be asked for by their ids, also those that came from the caller; events that are not held are left out.
pub async fn named_events_are_sent_whoever_brought_them<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let mut author = Author::new("node-1");
    let events = [author.write("x"), author.write("y"), author.write("x")];
    hub.wire.push(super::pushing(1, &events)).await?;
    let named = ["node-1-3", "absent", "node-1-1", "node-1-2"].map(event_id).to_vec();
    let request = PullRequest { scope: Scope::Named(named.clone()), ..pulling(1, None) };
    let page = hub.wire.pull(request.clone()).await?;
    assert_eq!((&page.events[..], page.ids, page.more), (&events[..], vec![], false));
    let filter = Filter::new().with_aggregate("y")?;
    let page = hub.wire.pull(PullRequest { filter, ..request }).await?;
    assert_eq!(page.events, events[1..2]);
    let many = (0..=Limits::default().batch_events).map(|at| event_id(&at.to_string())).collect();
    let error = hub.wire.pull(PullRequest { scope: Scope::Named(many), ..pulling(1, None) }).await.err();
    assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::TooLarge));
    Ok(())
}

/// Filters by type, aggregate, prefix and metadata mean the same on the other side.
pub async fn filters_pass_what_they_name<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let mut news = Vec::new();
    for (kind, of, who) in
        [("A", "n/1", "ann"), ("B", "n/1", "bob"), ("A", "n/2", "bob"), ("C", "m\0é", "😀")]
    {
        let metadata = Metadata::of(&std::collections::BTreeMap::from([("who", who)]))?;
        let id = event_id(&format!("{kind}-{of}"));
        news.push(NewEvent::new(kind, of, &1)?.with_id(id).with_metadata(metadata));
    }
    record(&hub.store, news).await?;
    let filters = [
        Filter::new(),
        Filter::new().with_type("A")?,
        Filter::new().with_type("A")?.with_type("C")?,
        Filter::new().with_aggregate("n/1")?,
        Filter::new().with_aggregate("m\0é")?,
        Filter::new().with_aggregate_prefix("n/")?.with_type("B")?,
        Filter::new().with_metadata("who", "bob")?,
        Filter::new().with_metadata("who", "😀")?.with_metadata("who", "ann")?,
        Filter::new().with_type("none")?,
    ];
    let all = events_of(&pull_all(&hub.wire, pulling(1, None)).await?);
    for filter in filters {
        let request = PullRequest { filter: filter.clone(), ..pulling(1, None) };
        let pages = pull_all(&hub.wire, request).await?;
        let expected: Vec<Event> = all.iter().filter(|event| filter.matches(event)).cloned().collect();
        assert_eq!(events_of(&pages), expected, "{filter:?}");
        assert_eq!(pages.last().map(|page| page.next.position()), Some(4));
    }
    Ok(())
}

/// The cursor is after everything that was examined, matched or not: it is never sent nor examined again.
pub async fn a_filter_that_passes_nothing_moves_on<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    let mut author = Author::new("far");
    receive(&hub.store, 9, &author.write_many("x", 2_500)).await?;
    let filter = Filter::new().with_aggregate("y")?;
    let request = PullRequest { limit: Some(10), filter: filter.clone(), ..pulling(1, None) };
    let pages = pull_all(&hub.wire, request).await?;
    let end = pages.last().expect("there is a page").next.clone();
    assert_eq!((events_of(&pages), end.position()), (Vec::new(), 2_500));
    let event = author.write("y");
    receive(&hub.store, 9, std::slice::from_ref(&event)).await?;
    let page = hub.wire.pull(PullRequest { filter, ..pulling(1, Some(end)) }).await?;
    assert_eq!((page.events, page.next.position()), (vec![event], 2_501));
    Ok(())
}

/// A cursor of another log, of another event, beyond the end: always the same kind of error.
pub async fn a_cursor_of_another_log_is_unknown<F: TransportFixture>(fixture: &F) -> CaseResult {
    let hub = connect(fixture).await?;
    receive(&hub.store, 9, &Author::new("far").write_many("x", 3)).await?;
    let id = hub.store.head().await?.store;
    let mark = hub.store.cursor_at(2).await?.mark().expect("it is not the beginning");
    for cursor in [
        Cursor::at(id, 2, Mark(7)),
        Cursor::at(id, 4, mark),
        Cursor::at(store_id(9), 2, mark),
        Cursor::start(store_id(9)),
    ] {
        let error = hub.wire.pull(pulling(1, Some(cursor.clone()))).await.err();
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::CursorUnknown), "{cursor}");
    }
    Ok(())
}

/// An event that the client considers too large arrives whole or is reported as unreadable, and the others of its
/// page arrive, in a pull and in a subscription.
pub async fn an_unreadable_event_does_not_spoil_its_page<F: TransportFixture>(fixture: &F) -> CaseResult {
    let limits = Limits { event_bytes: 1 << 20, ..Limits::default() };
    let hub = connect_with(fixture, limits).await?;
    let mut author = Author::new("far");
    let mut events = author.write_many("x", 4);
    let large = NewEvent::with_data("Large", "x", Data::bytes(vec![0xff; 400_000]))?;
    events.insert(2, author.write_this(large.with_id(event_id("large"))));
    let mut receive = receiving(9, &events);
    receive.limits = limits;
    assert_eq!(hub.store.commit(receive).await?.refused, []);
    let large = events.remove(2);
    let check = |page: PullResponse| {
        let (came, others): (Vec<_>, Vec<_>) =
            page.events.into_iter().partition(|event| event.id == large.id);
        assert_eq!(ids(&others), ids(&events));
        assert!(others == events, "an event changed");
        let named = page.unreadable.iter().filter(|bad| bad.id == large.id.as_str()).count();
        assert_eq!(came.len() + named, 1, "the large event comes, or is named, once");
        assert!(came.is_empty() || came == [large.clone()], "an event changed");
        assert_eq!((page.next.position(), page.more), (5, false));
    };
    check(hub.wire.pull(pulling(1, None)).await?);
    let mut pages = hub.wire.subscribe(pulling(1, None)).await?;
    check(soon(pages.next()).await.expect("the stream never ends")?);
    Ok(())
}
