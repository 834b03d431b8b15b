//! Pages, aggregates, sources.

use synckit_core::{Data, Event, EventStore, NewEvent, Query, StoredEvent};

use super::{ids, log_of, open, receive, record, scan};
use crate::case::{CaseResult, random};
use crate::fixture::StoreFixture;
use crate::rng::Rng;
use crate::samples::{Author, aggregate, event_id, new_event, store_id};

/// At a limit of n, logs of 0, 1, n-1, n, n+1 and many events come in full pages and a last one.
pub async fn pages_end_at_the_limit_of_events<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let mut length = 0;
    for (add, pages) in
        [(0, &[0][..]), (1, &[1]), (8, &[9]), (1, &[10]), (1, &[10, 1]), (24, &[10, 10, 10, 5])]
    {
        let news = (length..length + add).map(|at| new_event("x", &format!("e{at}"))).collect();
        record(&store, news).await?;
        length += add;
        let mut after = 0;
        for (at, expected) in pages.iter().enumerate() {
            let page = store.read(Query::after(after).at_most(10, usize::MAX)).await?;
            assert_eq!(page.events.len(), *expected);
            let positions: Vec<u64> = page.events.iter().map(|stored| stored.position).collect();
            assert_eq!(positions, (after + 1..=after + *expected as u64).collect::<Vec<_>>());
            after += *expected as u64;
            assert_eq!((page.scanned_to, page.more), (after, at + 1 < pages.len()));
        }
    }
    Ok(())
}

/// The smallest pages: one event each; and none, which reads nothing and does not move.
pub async fn a_page_of_one_event_and_of_none<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    receive(&store, 1, &Author::new("far").write_many("x", 2)).await?;
    record(&store, vec![new_event("x", "own"), new_event("y", "other")]).await?;
    for (query, found) in [
        (Query::after(0), &["far-1", "far-2", "own", "other"][..]),
        (Query::after(0).except_source(Some(store_id(1))), &["own", "other"]),
        (Query::after(0).of_aggregate(aggregate("y")), &["other"]),
    ] {
        assert_eq!(ids(&scan(&store, query.clone().at_most(1, usize::MAX)).await?), found);
        for (after, more) in [(0, true), (3, true), (4, false), (9, false)] {
            let nothing = Query { after, ..query.clone().at_most(0, usize::MAX) };
            let page = store.read(nothing).await?;
            assert_eq!((page.events, page.scanned_to, page.more), (Vec::new(), after, more));
        }
    }
    Ok(())
}

fn of_size(id: String, bytes: usize) -> NewEvent {
    let new = NewEvent::with_data("Sized", "x", Data::bytes(vec![1; bytes])).expect("the names are valid");
    new.with_id(event_id(&id))
}

/// A page holds what fits into its bytes by `Event::size`, to the byte.
pub async fn pages_end_at_the_limit_of_bytes<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let news = (10..20).map(|at| of_size(format!("e{at}"), 1_000)).collect();
    let size = record(&store, news).await?.events[0].size();
    for (bytes, expected) in [(3 * size - 1, 2), (3 * size, 3), (3 * size + 1, 3), (10 * size, 10)] {
        let page = store.read(Query::after(0).at_most(100, bytes)).await?;
        assert_eq!((page.events.len(), page.scanned_to), (expected, expected as u64));
        assert_eq!(page.more, expected < 10);
    }
    Ok(())
}

/// One event always comes, however few bytes are asked for, so that a reader makes progress.
pub async fn an_event_larger_than_the_page_still_comes<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let sizes = [10, 100_000, 10, 10, 100_000, 100_000];
    let news = sizes.iter().enumerate().map(|(at, size)| of_size(format!("e{at}"), *size)).collect();
    record(&store, news).await?;
    for bytes in [0, 1, 500] {
        let mut query = Query::after(0).at_most(100, bytes);
        let found = scan(&store, query.clone()).await?;
        assert_eq!(ids(&found), ["e0", "e1", "e2", "e3", "e4", "e5"]);
        query.after = 1;
        assert_eq!(store.read(query).await?.events.len(), 1);
    }
    Ok(())
}

/// The events of one aggregate, in log order, from any position, in pages.
pub async fn an_aggregate_is_read_alone<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let name = |at: usize| ["x", "y", "x/", "X", "x"][at % 5];
    record(&store, (0..50).map(|at| new_event(name(at), &format!("e{at:02}"))).collect()).await?;
    let all: Vec<String> = (0..50).filter(|at| name(*at) == "x").map(|at| format!("e{at:02}")).collect();
    for limit in [1, 3, 20, 100] {
        let query = Query::after(0).of_aggregate(aggregate("x")).at_most(limit, usize::MAX);
        assert_eq!(ids(&scan(&store, query.clone()).await?), all);
        let mut rest = query;
        rest.after = 25;
        assert_eq!(ids(&scan(&store, rest).await?), all[10..]);
    }
    let none = scan(&store, Query::after(0).of_aggregate(aggregate("none"))).await?;
    assert_eq!(none, []);
    Ok(())
}

/// The events of several aggregates, in the order of the log and each once, from any position, in pages.
pub async fn aggregates_are_read_together<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let name = |at: usize| ["x", "y", "z", "y", "w"][at % 5];
    record(&store, (0..50).map(|at| new_event(name(at), &format!("e{at:02}"))).collect()).await?;
    let asked = ["z", "none", "x", "z"];
    let found = |from: usize| {
        let wanted = (from..50).filter(|at| asked.contains(&name(*at)));
        wanted.map(|at| format!("e{at:02}")).collect::<Vec<_>>()
    };
    for limit in [1, 3, 20, 100] {
        let query = Query::after(0).of_aggregates(asked.map(aggregate)).at_most(limit, usize::MAX);
        assert_eq!(ids(&scan(&store, query.clone()).await?), found(0));
        assert_eq!(ids(&scan(&store, Query { after: 25, ..query }).await?), found(25));
    }
    let page = store.read(Query::after(0).of_aggregates([])).await?;
    assert_eq!((page.events.len(), page.scanned_to, page.more), (0, 50, false));
    Ok(())
}

/// Events from one store are left out; local ones and those of others are kept.
pub async fn one_source_is_left_out<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let (mut ann, mut bob) = (Author::new("ann"), Author::new("bob"));
    receive(&store, 1, &ann.write_many("x", 2)).await?;
    record(&store, vec![new_event("x", "own")]).await?;
    receive(&store, 2, &bob.write_many("x", 2)).await?;
    receive(&store, 1, &ann.write_many("y", 1)).await?;
    let without =
        async |source: u8| scan(&store, Query::after(0).except_source(Some(store_id(source)))).await;
    assert_eq!(ids(&without(1).await?), ["own", "bob-1", "bob-2"]);
    assert_eq!(ids(&without(2).await?), ["ann-1", "ann-2", "own", "ann-3"]);
    assert_eq!(without(3).await?.len(), 6);
    Ok(())
}

/// A page names its store and the marks at the position it was read after and at the one it ends at, whether it holds
/// the events or not. Events of one commit share a mark, those of another commit have another.
pub async fn a_page_names_the_marks_at_its_ends<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    record(&store, vec![new_event("x", "e1"), new_event("y", "e2")]).await?;
    receive(&store, 1, &Author::new("far").write_many("z", 3)).await?;
    let (head, log) = (store.head().await?, log_of(&store).await?);
    let marks: Vec<_> = log.iter().map(|stored| stored.mark).collect();
    assert!(marks[0] == marks[1] && marks[2] == marks[4] && marks[1] != marks[2], "{marks:?}");
    let mark_at = |position: u64| log.iter().find(|stored| stored.position == position).map(|at| &at.mark);
    for after in 0..=7 {
        for query in [
            Query::after(after),
            Query::after(after).at_most(0, 1_000),
            Query::after(after).at_most(1, 1_000),
            Query::after(after).at_most(10, 1),
            Query::after(after).of_aggregate(aggregate("y")),
            Query::after(after).of_aggregate(aggregate("x")).except_source(Some(store_id(1))),
            Query::after(after).except_source(Some(store_id(1))),
        ] {
            let page = store.read(query.clone()).await?;
            assert_eq!(page.store, head.store);
            assert_eq!(page.from.as_ref(), mark_at(after), "{query:?}");
            assert_eq!(page.upto.as_ref(), mark_at(page.scanned_to), "{query:?}");
        }
    }
    Ok(())
}

/// If nothing matches, a page is empty but moves on, finally to the end of the log.
pub async fn a_page_without_matches_moves_on<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let mut far = Author::new("far");
    receive(&store, 1, &far.write_many("x", 3_000)).await?;
    let nothing = Query::after(0).except_source(Some(store_id(1)));
    for query in
        [nothing.clone(), nothing.of_aggregate(aggregate("x")), Query::after(0).of_aggregate(aggregate("y"))]
    {
        let mut query = query.at_most(10, 1_000);
        loop {
            let page = store.read(query.clone()).await?;
            assert_eq!(page.events, []);
            assert!(page.scanned_to > query.after, "a page moves on");
            query.after = page.scanned_to;
            if !page.more {
                break;
            }
        }
        assert_eq!(query.after, 3_000);
    }
    record(&store, vec![new_event("x", "own")]).await?;
    let found = scan(&store, Query::after(0).except_source(Some(store_id(1)))).await?;
    assert_eq!(ids(&found), ["own"]);
    Ok(())
}

/// Random logs and queries: each page is what a filtered list gives, nothing is skipped and nothing comes twice.
pub async fn any_query_finds_what_a_model_finds<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let mut rng = random();
    let mut authors = [Author::new("a"), Author::new("b"), Author::new("c")];
    for round in 0..60 {
        let which = rng.below(4);
        let count = 1 + rng.below(8);
        let of = |rng: &mut Rng| ["x", "y", "z"][rng.below(3)];
        if which == 3 {
            let new = |at| new_event(of(&mut rng), &format!("own-{round}-{at}"));
            record(&store, (0..count).map(new).collect()).await?;
        } else {
            let events: Vec<Event> = (0..count).map(|_| authors[which].write(of(&mut rng))).collect();
            receive(&store, which as u8, &events).await?;
        }
    }
    let log = log_of(&store).await?;
    for _ in 0..200 {
        let some: Vec<_> = (0..rng.below(4)).map(|_| aggregate(["x", "y", "z", "w"][rng.below(4)])).collect();
        let aggregates = rng.chance(50).then_some(some);
        let few = if rng.chance(50) { 5 } else { 400 };
        let bytes = if rng.chance(50) { 200 } else { 40_000 };
        let query = Query {
            after: rng.below(log.len() + 10) as u64,
            max_events: 1 + rng.below(few),
            max_bytes: rng.below(bytes),
            aggregates,
            except_source: rng.chance(50).then(|| store_id(rng.below(4) as u8)),
        };
        check(&store, &log, query).await?;
    }
    Ok(())
}

async fn check(store: &impl EventStore, log: &[StoredEvent], query: Query) -> synckit_core::Result<()> {
    let wanted = |stored: &&StoredEvent| {
        stored.position > query.after
            && query.aggregates.as_ref().is_none_or(|of| of.contains(&stored.event.aggregate_id))
            && (query.except_source.is_none() || stored.source != query.except_source)
    };
    let expected: Vec<&StoredEvent> = log.iter().filter(wanted).collect();
    let found = scan(store, query.clone()).await?;
    assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{query:?}");
    let page = store.read(query.clone()).await?;
    let reached = expected.iter().take_while(|stored| stored.position <= page.scanned_to).count();
    assert_eq!(page.events.len(), reached, "all up to `scanned_to` is in the page of {query:?}");
    let bytes: usize = page.events.iter().map(|stored| stored.event.size()).sum();
    assert!(bytes <= query.max_bytes || page.events.len() == 1, "{bytes} bytes in a page of {query:?}");
    Ok(())
}
