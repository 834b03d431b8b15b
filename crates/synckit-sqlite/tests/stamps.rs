//! Restamps and renewals: events keep their places, and every handle goes by what stands there now.

mod support;

use std::path::Path;
use std::time::Duration;

use support::{
    NOW, aggregate, directory, entropy, foreign, log, node, one, peer, receive, received, recorded,
};
use synckit_core::{Dot, ErrorKind, Event, EventId, EventStore, Needs, NodeId, Query, Renewal, VectorClock};
use synckit_plan::{Renew, Renumber, Renumbered};
use synckit_sqlite::{SqliteConfig, SqliteStore};

/// So long that a writer gets its turn on any machine.
fn patient(path: &Path) -> SqliteConfig {
    SqliteConfig::new(path).with_node(node("a")).with_busy_timeout(Duration::from_secs(120))
}

async fn record_many(store: SqliteStore, name: String, count: u64) {
    for n in 0..count {
        recorded(&store, one("a", &format!("{name}-{n}"))).await;
    }
}

/// The dot of an event that had to give up its own.
fn alias_of(event: &Event) -> Option<Dot> {
    Some(Dot::new(NodeId::alias(&event.id), 1))
}

#[tokio::test]
async fn a_dot_that_names_another_event_is_found() {
    let (_directory, path) = directory();
    let store = SqliteStore::open(patient(&path)).await.expect("opens");
    received(&store, receive((1..=1_000).map(|n| foreign(n, "x")).collect())).await;
    // The same dots under other ids, more than one look-up takes.
    let forks = (1..=1_000).map(|n| {
        let mut event = foreign(n, "x");
        event.id = EventId::new(format!("fork-{n}")).expect("valid");
        event
    });
    let forks: Vec<Event> = forks.collect();
    let outcome = received(&store, receive(forks.clone())).await;
    assert_eq!((outcome.accepted, outcome.refused.len()), (1_000, 0));
    // Of each two the greater has given up its dot and says so.
    let log = log(&store).await;
    assert_eq!(log.len(), 3_000);
    for (n, stored) in (1..).zip(&log[..1_000]) {
        let was = foreign(n, "x");
        assert_eq!((&stored.event.id, &stored.event.data), (&was.id, &was.data));
        assert_eq!((stored.event.dot.clone(), stored.source), (alias_of(&was), Some(peer())));
        assert_eq!(stored.mark, log[0].mark);
    }
    assert!(log[1_000..2_000].iter().map(|stored| &stored.event).eq(&forks));
    assert!(log[2_000..].iter().all(|stored| stored.event.is_restamp() && stored.source.is_none()));
    assert!(log[1_000..].iter().all(|stored| stored.mark == log[1_000].mark && stored.mark != log[0].mark));
    let dots = log.iter().filter_map(|stored| stored.event.dot.clone()).collect();
    let facts = store.facts(Needs { dots, ..Needs::default() }).await.expect("reads");
    let named =
        log[..2_000].iter().filter_map(|stored| Some((stored.event.dot.clone()?, stored.event.id.clone())));
    assert_eq!(facts.dots, named.collect());
}

#[tokio::test]
async fn renumbering_keeps_positions_and_ids() {
    let (_directory, path) = directory();
    let store = SqliteStore::open(patient(&path)).await.expect("opens");
    record_many(store.clone(), "e".to_owned(), 3).await;
    let before = log(&store).await;
    let renumber = |head| {
        let events = before[1..].iter().map(|stored| (stored.event.id.clone(), aggregate("x"))).collect();
        Renumber {
            events,
            taken: true,
            name: None,
            last: true,
            handed: 1,
            head,
            now: NOW,
            drift: Duration::from_secs(60),
            entropy: entropy(),
        }
    };
    let outcome = store.commit(renumber(2)).await.expect("commits");
    assert_eq!(outcome, None);
    assert_eq!(log(&store).await, before);
    let outcome = store.commit(renumber(3)).await.expect("commits");
    let Some(Renumbered { events: 2, author, .. }) = outcome else { panic!("{outcome:?}") };
    let after = log(&store).await;
    assert_eq!(after[0], before[0]);
    for (stored, counter) in after[1..3].iter().zip(1..) {
        let was = &before[stored.position as usize - 1];
        assert_eq!(
            (&stored.event.id, &stored.event.data, stored.source),
            (&was.event.id, &was.event.data, None)
        );
        assert_eq!(stored.mark, after[3].mark, "from here on it is another log than a copy's");
        let dot = stored.event.dot.as_ref().expect("a dot");
        assert_eq!((&dot.node, dot.counter), (&author, counter));
        assert_eq!(stored.event.clock.counter(&node("a")), 1);
    }
    assert!(after.len() == 5 && after[3..].iter().all(|stored| stored.event.is_restamp()));
    assert!(after[3..].iter().all(|stored| stored.source.is_none() && stored.mark == after[3].mark));
    assert_eq!(store.identity().await.expect("an identity").author, author);
    let next = recorded(&store, one("a", "next")).await;
    assert_eq!(next.events[0].dot, Some(Dot::new(author, 3)));
}

/// An event takes the dot that another one gives up in the same commit.
#[tokio::test]
async fn a_dot_that_is_given_up_is_taken_in_the_same_commit() {
    let (_directory, path) = directory();
    let store = SqliteStore::open(patient(&path)).await.expect("opens");
    let (first, second) = (foreign(1, "x"), foreign(2, "x"));
    received(&store, receive(vec![first.clone(), second.clone()])).await;
    let moved = Event {
        dot: second.dot.clone(),
        clock: VectorClock::from_entries([(node("peer"), 2)]).expect("valid"),
        ..first
    };
    assert_eq!(received(&store, receive(vec![moved.clone()])).await.duplicates, 1);
    let log = log(&store).await;
    assert_eq!((&log[0].event, log[1].event.dot.clone()), (&moved, alias_of(&second)));
    let dots = log.iter().filter_map(|stored| stored.event.dot.clone()).collect();
    let facts = store.facts(Needs { dots, ..Needs::default() }).await.expect("reads");
    let named = log.iter().filter_map(|stored| Some((stored.event.dot.clone()?, stored.event.id.clone())));
    assert_eq!(facts.dots, named.collect());
}

/// What one handle knows of the log is void once another has renewed it.
#[tokio::test]
async fn every_handle_goes_by_the_id_that_the_store_has_now() {
    let (_directory, path) = directory();
    let handles = [
        SqliteStore::open(patient(&path)).await.expect("opens"),
        SqliteStore::open(patient(&path)).await.expect("opens"),
    ];
    let mut ids = Vec::new();
    for (n, renews) in handles.iter().chain(&handles).enumerate() {
        for (at, store) in handles.iter().enumerate() {
            // Twice, so that the second goes by what is known.
            for part in 0..2 {
                recorded(store, one("a", &format!("{n}-{at}-{part}"))).await;
            }
        }
        let before = renews.head().await.expect("a head").store;
        ids.push(before);
        let renew = Renew::new(before, Renewal::Asked, NOW, entropy());
        let identity = renews.commit(renew).await.expect("commits");
        assert_eq!(identity.former.len(), n + 1);
        for store in &handles {
            let head = store.head().await.expect("a head");
            assert!(!ids.contains(&head.store));
            assert_eq!(store.read(Query::after(0)).await.expect("reads").store, head.store);
            assert_eq!(store.identity().await.expect("an identity"), identity);
            // Events that come from the store itself are refused: so a commit tells which id it goes by.
            let mut own = receive(vec![foreign(1, "y")]);
            own.source = Some(head.store);
            let error = store.commit(own).await.expect_err("comes from here");
            assert_eq!(error.kind(), ErrorKind::Conflict);
            let stale = Renew::new(before, Renewal::Asked, NOW, entropy());
            store.commit(stale).await.expect("changes nothing");
            assert_eq!(store.head().await.expect("a head"), head);
        }
    }
    let head = handles[0].head().await.expect("a head");
    for store in &handles {
        store.close().await.expect("closes");
    }
    let store = SqliteStore::open(patient(&path)).await.expect("opens");
    assert_eq!(store.head().await.expect("a head"), head);
    assert_eq!(store.identity().await.expect("an identity").former.len(), ids.len());
}
