//! What is stored comes back, at the right positions.

use synckit_core::{
    Data, Dot, Event, EventStore, Limits, Metadata, NewEvent, Query, StoredEvent, VectorClock,
};
use synckit_plan::{Record, StoreExt};

use super::{contents, log_of, named, open, receive, receiving, record, record_of, scan};
use crate::case::CaseResult;
use crate::fixture::StoreFixture;
use crate::samples::{
    Author, aggregate, all_characters, event_id, new_event, node, store_id, tricky_events, tricky_names,
};

/// A new log has a store id, no events, and a notebook that names its node.
pub async fn an_empty_log<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let head = store.head().await?;
    assert_eq!(head.position, 0);
    assert_eq!(store.head().await?, head);
    for after in [0, 5, u64::MAX] {
        for query in [Query::after(after), Query::after(after).of_aggregate(aggregate("x"))] {
            let page = store.read(query.except_source(Some(store_id(1)))).await?;
            assert_eq!((page.events, page.scanned_to, page.more), (Vec::new(), after, false));
        }
    }
    let identity = store.identity().await?;
    assert_eq!((&identity.node, &identity.author, &identity.former), (&node("n"), &node("n"), &Vec::new()));
    let id = super::text(&store, synckit_core::Note::STORE).await?;
    assert_eq!(id, Some(head.store.to_string()));
    Ok(())
}

/// Data and metadata keep every byte: numbers, key order, spaces, binary.
pub async fn recorded_events_come_back_byte_for_byte<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let given = tricky_events();
    let recorded = record(&store, given.clone()).await?;
    assert_eq!(recorded.events.len(), given.len());
    let log = log_of(&store).await?;
    let events: Vec<Event> = log.iter().map(|stored| stored.event.clone()).collect();
    assert_eq!(events, recorded.events);
    for (event, given) in events.iter().zip(&given) {
        assert_eq!(event.data, given.data, "{:?}", given.id);
        assert_eq!(event.data.as_bytes(), given.data.as_bytes());
        assert_eq!(event.metadata.as_json(), given.metadata.as_json());
        assert_eq!(Some(&event.id), given.id.as_ref());
    }
    assert!(log.iter().all(|stored| stored.source.is_none()));
    Ok(())
}

/// A foreign event also keeps its stamp.
pub async fn foreign_events_come_back_byte_for_byte<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let (mut near, mut far) = (Author::new("near"), Author::new("far \u{10ffff}\0"));
    let mut given = vec![near.write("tricky")];
    far.see(&given[0]);
    given.extend(tricky_events().into_iter().map(|new| far.write_this(new)));
    let received = receive(&store, 1, &given).await?;
    assert_eq!((received.accepted, received.refused), (given.len(), Vec::new()));
    let log = log_of(&store).await?;
    for (stored, given) in log.iter().zip(&given) {
        assert_eq!(stored.event, *given);
        assert_eq!(stored.event.digest(), given.digest());
    }
    assert_eq!(log.len(), given.len());
    Ok(())
}

/// A log keeps the source of each event.
pub async fn the_source_of_every_event_is_kept<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let mut far = Author::new("far");
    receive(&store, 0, &far.write_many("x", 1)).await?;
    receive(&store, 255, &far.write_many("x", 1)).await?;
    record(&store, vec![new_event("x", "own")]).await?;
    let sources: Vec<_> = log_of(&store).await?.iter().map(|stored| stored.source).collect();
    assert_eq!(sources, [Some(store_id(0)), Some(store_id(255)), None]);
    Ok(())
}

/// Repetitions, refusals and commits that fail use no position.
pub async fn positions_count_from_one_without_gaps<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let mut far = Author::new("far");
    let mut expected = 0;
    for round in 0..10 {
        let recorded = record(&store, vec![new_event("x", &format!("own-{round}"))]).await?;
        expected += 1;
        assert_eq!(recorded.head, expected);
        let mut events = far.write_many("x", 3);
        events[1].clock = VectorClock::new();
        receive(&store, 1, &events).await?;
        receive(&store, 2, &events).await?;
        expected += 2;
        let bad = NewEvent::new("synckit.reserved", "x", &1)?.with_id(event_id("bad"));
        assert!(record(&store, vec![new_event("x", "not"), bad]).await.is_err());
        assert_eq!(store.head().await?.position, expected);
    }
    let positions: Vec<u64> = log_of(&store).await?.iter().map(|stored| stored.position).collect();
    assert_eq!(positions, (1..=expected).collect::<Vec<_>>());
    Ok(())
}

/// Ids, aggregates, types and nodes are compared byte by byte: nothing is folded, trimmed or normalised.
pub async fn names_that_differ_little_are_different<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let names = tricky_names();
    let events: Vec<Event> = names
        .iter()
        .map(|name| {
            let new = NewEvent::new(name, name, name).expect("the names are valid");
            Author::new(name).write_this(new.with_id(event_id(name)))
        })
        .collect();
    let received = receive(&store, 1, &events).await?;
    assert_eq!((received.accepted, received.refused), (names.len(), Vec::new()));
    assert_eq!(store.not_held(events.iter().map(|event| event.id.clone()).collect()).await?, []);
    for (name, event) in names.iter().zip(&events) {
        let found = scan(&store, Query::after(0).of_aggregate(aggregate(name))).await?;
        let found: Vec<&Event> = found.iter().map(|stored| &stored.event).collect();
        assert_eq!(found, [event], "the aggregate {name:?}");
    }
    assert_eq!(receive(&store, 2, &events).await?.duplicates, names.len());
    Ok(())
}

/// Every Unicode character survives in data, as JSON and as bytes, and in metadata.
pub async fn every_character_survives<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let mut given = Vec::new();
    for (at, text) in all_characters().into_iter().enumerate() {
        let kinds = [("json", Data::of(&text)?), ("bytes", Data::bytes(text.clone().into_bytes()))];
        for (kind, data) in kinds {
            let new = NewEvent::with_data("Text", "x", data)?.with_id(event_id(&format!("{kind}-{at}")));
            given.push(new);
        }
        let metadata = Metadata::of(&std::collections::BTreeMap::from([("text", text)]))?;
        given.push(new_event("x", &format!("metadata-{at}")).with_metadata(metadata));
    }
    let author = node("n");
    let limits = Limits { event_bytes: 1 << 20, ..Limits::default() };
    let events = given.iter().cloned().map(named).collect();
    store.commit(Record { limits, ..record_of(author, events) }).await?;
    let log = log_of(&store).await?;
    assert_eq!(log.len(), given.len());
    for (stored, given) in log.iter().zip(&given) {
        let same = stored.event.data == given.data && stored.event.metadata == given.metadata;
        assert!(same, "the event {:?} changed", given.id);
    }
    Ok(())
}

/// The largest possible clock is kept, and so are the heads that carry it.
pub async fn a_clock_of_a_thousand_nodes_survives<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let nodes = (0..1_000).map(|at| node(&format!("{at:03}-{}", "n".repeat(251))));
    let entries: Vec<_> = nodes.zip(1..).collect();
    let mut event = Author::new("far").write("x");
    event.clock = VectorClock::from_entries(entries.clone())?;
    event.dot = entries.last().map(|(node, counter)| Dot::new(node.clone(), *counter));
    let mut receiving = receiving(1, std::slice::from_ref(&event));
    receiving.limits.event_bytes = 1 << 20;
    let received = store.commit(receiving).await?;
    assert_eq!(received.refused, []);
    let log = log_of(&store).await?;
    let mark = log[0].mark;
    assert_eq!(log, [StoredEvent { position: 1, mark, source: Some(store_id(1)), event }]);
    Ok(())
}

/// A commit has no limit of its own.
pub async fn ten_thousand_events_in_one_commit<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let new = |at: usize| new_event(&format!("aggregate-{}", at % 700), &format!("own-{at}"));
    let recorded = record(&store, (0..10_000).map(new).collect()).await?;
    assert_eq!(recorded.head, 10_000);
    let mut far = Author::new("far");
    let foreign: Vec<Event> = (0..10_000).map(|at| far.write(&format!("aggregate-{}", at % 700))).collect();
    let received = receive(&store, 1, &foreign).await?;
    assert_eq!((received.accepted, received.conflicts.len()), (10_000, 700));
    let log = log_of(&store).await?;
    let events: Vec<&Event> = log.iter().map(|stored| &stored.event).collect();
    assert_eq!(events, recorded.events.iter().chain(&foreign).collect::<Vec<_>>());
    assert_eq!(receive(&store, 1, &foreign).await?.duplicates, 10_000);
    assert_eq!(contents(&store).await?.log.len(), 20_000);
    Ok(())
}
