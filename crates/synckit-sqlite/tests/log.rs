//! Reading: what was written comes back, page by page, and the notebook in order.

mod support;

use support::{aggregate, directory, foreign, log, node, one, peer, receive, received, record, recorded};
use synckit_core::{Data, Edit, EventStore, Metadata, NewEvent, Note, NoteQuery, Query};
use synckit_sqlite::SqliteStore;

const NAMES: [&str; 7] = [
    "plain",
    "nul\u{0}inside",
    "\u{0}",
    "trailing\u{0}",
    "é…😀\u{10ffff}",
    "'; DROP TABLE events; --",
    "a%_b",
];

#[tokio::test]
async fn names_and_data_come_back_byte_for_byte() {
    let (_directory, path) = directory();
    let store = SqliteStore::open_as(&path, node("nöde\u{0}!")).await.expect("opens");
    let json = r#"{"n":9007199254740993,"f":1.0,"s":"\u0000é😀","a":[ 1 ]}"#;
    let datas =
        [Data::json(json), Data::json("null"), Ok(Data::bytes(vec![0, 255, 128])), Ok(Data::bytes(vec![]))];
    let datas: Vec<Data> = datas.into_iter().collect::<Result<_, _>>().expect("valid");
    let mut events = Vec::new();
    for (n, name) in NAMES.iter().enumerate() {
        let metadata = Metadata::json(r#"{"b":1, "a":"\u0000"}"#).expect("valid");
        let new = NewEvent::with_data(name, name, datas[n % datas.len()].clone()).expect("valid");
        events.push(((*name).to_owned(), new.with_metadata(metadata)));
    }
    let planner = record("nöde\u{0}!", events);
    let written = recorded(&store, planner.clone()).await;
    assert_eq!(written.events.len(), NAMES.len());
    let again = recorded(&store, planner).await;
    assert_eq!((again.events.len(), again.duplicates.len()), (0, NAMES.len()));
    store.close().await.expect("closes");

    let store = SqliteStore::open_as(&path, node("nöde\u{0}!")).await.expect("opens");
    let read: Vec<_> = log(&store).await.into_iter().map(|stored| stored.event).collect();
    assert_eq!(read, written.events);
    for (event, written) in read.iter().zip(&written.events) {
        assert_eq!(event.digest(), written.digest());
    }
    for name in NAMES {
        let page = store.read(Query::after(0).of_aggregate(aggregate(name))).await.expect("reads");
        assert_eq!(page.events.len(), 1, "{name:?}");
        assert_eq!(page.events[0].event.aggregate_id.as_str(), name);
    }
}

#[tokio::test]
async fn what_came_from_one_store_is_passed_over_in_short_reads() {
    let (_directory, path) = directory();
    let store = SqliteStore::open_as(&path, node("a")).await.expect("opens");
    let events: Vec<_> = (1..=10_500).map(|n| foreign(n, "x")).collect();
    assert_eq!(received(&store, receive(events)).await.accepted, 10_500);
    recorded(&store, one("a", "mine")).await;

    for query in [Query::after(0), Query::after(0).of_aggregate(aggregate("x"))] {
        let page = store.read(query.clone().except_source(Some(peer()))).await.expect("reads");
        assert_eq!((page.events.len(), page.scanned_to, page.more), (0, 10_000, true));
        let query = Query { after: page.scanned_to, ..query };
        let page = store.read(query.except_source(Some(peer()))).await.expect("reads");
        assert_eq!((page.events.len(), page.scanned_to, page.more), (1, 10_501, false));
        assert_eq!(page.events[0].event.id.as_str(), "mine");
    }
    let other = Query::after(0).of_aggregate(aggregate("y")).except_source(Some(peer()));
    let page = store.read(other).await.expect("reads");
    assert_eq!((page.events.len(), page.scanned_to, page.more), (0, 10_501, false));
}

/// The index of aggregates goes by stretches of 16,384 positions.
#[tokio::test]
async fn an_aggregate_is_read_in_order_across_the_stretches_of_its_index() {
    let (_directory, path) = directory();
    let store = SqliteStore::open_as(&path, node("a")).await.expect("opens");
    for part in 0..5_u64 {
        let events = (part * 8_000 + 1..=part * 8_000 + 8_000).map(|n| match n % 400 {
            0 => foreign(n, "rare"),
            _ => foreign(n, "x"),
        });
        assert_eq!(received(&store, receive(events.collect())).await.accepted, 8_000);
    }
    recorded(&store, one("a", "mine")).await;
    let rare: Vec<u64> = (1..=100).map(|n| n * 400).collect();
    for (after, most) in [(0, 1_000), (0, 7), (399, 33), (400, 33), (16_383, 7), (16_384, 7), (40_001, 7)] {
        let mut query = Query::after(after).of_aggregate(aggregate("rare")).at_most(most, usize::MAX);
        let mut found = Vec::new();
        loop {
            let page = store.read(query.clone()).await.expect("reads");
            found.extend(page.events.iter().map(|stored| stored.position));
            query.after = page.scanned_to;
            if !page.more {
                break;
            }
        }
        let expected: Vec<u64> = rare.iter().copied().filter(|position| *position > after).collect();
        assert_eq!(found, expected, "after {after}, {most} a page");
    }
    let others = Query::after(0).of_aggregate(aggregate("x")).except_source(Some(peer()));
    let page = store.read(others).await.expect("reads");
    assert_eq!(
        (page.events.len(), page.more),
        (0, true),
        "it stops before the end, as it has looked at many rows"
    );
}

#[tokio::test]
async fn a_page_ends_at_its_limits() {
    let (_directory, path) = directory();
    let store = SqliteStore::open_as(&path, node("a")).await.expect("opens");
    let empty = store.read(Query::after(0)).await.expect("reads");
    assert_eq!((empty.events.len(), empty.scanned_to, empty.more), (0, 0, false));
    let names = ["x", "y", "x", "y", "x"];
    let events = names.iter().zip(1..).map(|(name, n)| foreign(n, name)).collect();
    received(&store, receive(events)).await;
    let size = log(&store).await[0].event.size();

    // (query, events, scanned_to, more)
    let all = usize::MAX;
    for (query, events, scanned_to, more) in [
        (Query::after(0).at_most(all, all), 5, 5, false),
        (Query::after(0).at_most(0, all), 0, 0, true),
        (Query::after(5).at_most(0, all), 0, 5, false),
        (Query::after(0).at_most(2, all), 2, 2, true),
        (Query::after(3).at_most(2, all), 2, 5, false),
        (Query::after(0).at_most(all, 0), 1, 1, true),
        (Query::after(0).at_most(all, 2 * size), 2, 2, true),
        (Query::after(0).at_most(all, 3 * size - 1), 2, 2, true),
        (Query::after(4).at_most(all, 0), 1, 5, false),
        (Query::after(9), 0, 9, false),
        (Query::after(u64::MAX), 0, u64::MAX, false),
        (Query::after(0).of_aggregate(aggregate("x")).at_most(2, all), 2, 3, true),
        (Query::after(0).of_aggregate(aggregate("y")), 2, 5, false),
        (Query::after(0).of_aggregate(aggregate("z")), 0, 5, false),
    ] {
        let page = store.read(query.clone()).await.expect("reads");
        assert_eq!((page.events.len(), page.scanned_to, page.more), (events, scanned_to, more), "{query:?}");
    }
}

#[tokio::test]
async fn a_page_names_the_marks_at_its_ends() {
    let (_directory, path) = directory();
    let store = SqliteStore::open_as(&path, node("a")).await.expect("opens");
    received(&store, receive((1..=3).map(|n| foreign(n, "x")).collect())).await;
    recorded(&store, one("a", "mine")).await;
    recorded(&store, one("a", "mine too")).await;
    let marks: Vec<_> = log(&store).await.iter().map(|stored| stored.mark).collect();
    assert!(marks[0] == marks[1] && marks[1] == marks[2], "one commit, one mark");
    assert!(marks[2] != marks[3] && marks[3] != marks[4], "another commit, another mark");
    store.close().await.expect("closes");

    let store = SqliteStore::open_as(&path, node("a")).await.expect("opens");
    let at = |position: u64| marks.get(usize::try_from(position.checked_sub(1)?).ok()?).copied();
    for after in [0, 1, 3, 4, 5, 6, u64::MAX] {
        for query in [
            Query::after(after),
            Query::after(after).at_most(0, 1),
            Query::after(after).at_most(2, usize::MAX),
            Query::after(after).of_aggregate(aggregate("y")),
            Query::after(after).except_source(Some(peer())),
        ] {
            let page = store.read(query.clone()).await.expect("reads");
            assert_eq!((page.from, page.upto), (at(after), at(page.scanned_to)), "{query:?}");
            assert!(page.events.iter().all(|stored| Some(stored.mark) == at(stored.position)));
        }
    }
}

#[tokio::test]
async fn notes_are_found_by_key_and_by_prefix_in_byte_order() {
    let (_directory, path) = directory();
    let store = SqliteStore::open_as(&path, node("a")).await.expect("opens");
    let keys =
        ["p/", "p/\u{0}", "p/a", "p/a\u{0}b", "p/ab", "p/é", "p/\u{10ffff}", "p/\u{10ffff}z", "p0", "P/a"];
    let put = |key: &&str| Note { key: (*key).to_owned(), value: key.as_bytes().to_vec() };
    let edit = Edit { put: keys.iter().map(put).collect(), delete: vec![] };
    store.commit(edit).await.expect("commits");
    let prefix = async |prefix: &str, after: &str, limit| {
        let query = NoteQuery::Prefix { prefix: prefix.to_owned(), after: after.to_owned(), limit };
        let notes = store.notes(query).await.expect("notes");
        notes.into_iter().map(|note| note.key).collect::<Vec<_>>()
    };
    assert_eq!(prefix("p/", "", 100).await, &keys[..8]);
    assert_eq!(prefix("p/", "p/", 100).await, &keys[1..8]);
    assert_eq!(prefix("p/", "p/a", 2).await, &keys[3..5]);
    assert_eq!(prefix("p/", "z", 100).await, [""; 0]);
    assert_eq!(prefix("p/", "A", 1).await, &keys[..1]);
    assert_eq!(prefix("p/\u{10ffff}", "", 100).await, &keys[6..8]);
    assert_eq!(prefix("p/", "", 0).await, [""; 0]);
    assert!(prefix("", "", usize::MAX).await.len() > keys.len());

    // More keys than one statement takes, some of them twice.
    let mut asked: Vec<String> = (0..2_000).map(|n| format!("absent/{n}")).collect();
    asked.extend(keys.iter().chain(&keys).map(|key| (*key).to_owned()));
    let found = store.notes(NoteQuery::Keys(asked)).await.expect("notes");
    let mut sorted = keys;
    sorted.sort_unstable();
    assert_eq!(found.iter().map(|note| &*note.key).collect::<Vec<_>>(), sorted);
    assert!(found.iter().all(|note| note.key.as_bytes() == note.value));

    let delete = Edit { put: vec![], delete: keys.iter().map(|key| (*key).to_owned()).collect() };
    store.commit(delete).await.expect("commits");
    assert_eq!(prefix("p/", "", 100).await, [""; 0]);
}
