//! Damaged files: an event is reported as damaged or returned as it was.

mod support;

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use support::{directory, node};
use synckit_core::{ErrorKind, EventStore, Needs, Position, Query};
use synckit_plan::StoreExt;
use synckit_sqlite::{SqliteConfig, SqliteStore};
use synckit_testkit::{flips, plans};

fn one(id: &str) -> synckit_plan::Record {
    support::one("n", id)
}

/// A flipped bit is damage, and never another event.
#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_never_alters_an_event() {
    let directory = tempfile::tempdir().expect("a directory");
    let create = async |path: &Path| SqliteStore::open_as(path, node("n")).await;
    let open = async |path: &Path| SqliteStore::open(SqliteConfig::new(path)).await;
    flips::a_flipped_bit_never_alters_an_event(directory.path(), create, open).await;
}

/// Changes the file past the store.
async fn sql(path: &Path, statement: &str) {
    let options = SqliteConnectOptions::new().filename(path);
    let mut connection = SqliteConnection::connect_with(&options).await.expect("connects");
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.expect("runs");
    connection.close().await.expect("closes");
}

async fn damaged_at(store: &SqliteStore, after: Position) -> Option<String> {
    let error = store.read(Query::after(after)).await.err()?;
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    error.context().iter().find(|(key, _)| *key == "position").map(|(_, value)| value.clone())
}

/// Every column that says something of an event is covered by the checksum of its row.
#[tokio::test]
async fn a_change_of_any_column_is_reported_with_the_position() {
    let (_directory, path) = directory();
    let store = SqliteStore::open_as(&path, node("n")).await.expect("opens");
    let [first, second] = plans::swap();
    store.commit(plans::Fixed(first)).await.expect("commits");
    store.commit(plans::Fixed(second)).await.expect("commits");
    store.close().await.expect("closes");
    for change in [
        "mark = mark + 1",
        "checksum = checksum + 1",
        "id = 'another'",
        "type = 'Another'",
        "aggregate = 'another'",
        "origin = 'another'",
        "origin = NULL, counter = NULL",
        "counter = 99",
        "time = time + 1",
        "source = NULL",
        "source = zeroblob(16)",
        "clock = CAST(clock || x'00' AS BLOB)",
        "metadata = '{\"a\":1}'",
        "data = '2'",
        "data = CAST(data AS BLOB)",
    ] {
        let damaged = path.with_extension(change.len().to_string());
        std::fs::copy(&path, &damaged).expect("copies");
        sql(&damaged, &format!("UPDATE events SET {change} WHERE position = 2")).await;
        let store = SqliteStore::open(SqliteConfig::new(&damaged)).await.expect("opens");
        // The page before it ends there, and the rest is read.
        let page = store.read(Query::after(0)).await.expect("reads");
        assert_eq!((page.events.len(), page.scanned_to, page.more), (1, 1, true), "{change}");
        assert_eq!(damaged_at(&store, 1).await.as_deref(), Some("2"), "{change}");
        assert_eq!(damaged_at(&store, 2).await, None, "{change}");
        store.close().await.expect("closes");
        std::fs::remove_file(&damaged).expect("removes");
    }
}

/// What is known of a damaged row is that it is there: it comes again, in vain, and nothing else is kept from its place.
#[tokio::test]
async fn a_damaged_row_keeps_nothing_else_from_being_looked_up_or_stored() {
    let (_directory, path) = directory();
    let store = SqliteStore::open_as(&path, node("n")).await.expect("opens");
    let events: Vec<_> = (1..=4).map(|n| plans::event(&format!("e-{n}"), n)).collect();
    store.commit(plans::receive(7, events[..3].to_vec())).await.expect("commits");
    let ids: Vec<_> = events.iter().map(|event| event.id.clone()).collect();
    for change in ["data = '7'", "type = CAST(x'ff41' AS TEXT)", "data = zeroblob(20000)"] {
        sql(&path, &format!("UPDATE events SET {change} WHERE position = 2")).await;
        let facts = store.facts(Needs { ids: ids.clone(), ..Needs::default() }).await.expect("looks up");
        assert_eq!((facts.held.len(), facts.damaged.get(&ids[1])), (2, Some(&2)), "{change}");
        assert_eq!(store.not_held(ids.clone()).await.expect("looks up"), ids[3..]);
        let again = store.commit(plans::receive(7, events[..3].to_vec())).await.expect("commits");
        assert_eq!((again.accepted, again.duplicates, again.refused.len()), (0, 3, 0), "{change}");
    }
    let (first, second) = tokio::join!(
        store.commit(plans::receive(7, events.clone())),
        store.commit(plans::receive(8, events.clone())),
    );
    let accepted = first.expect("commits").accepted + second.expect("commits").accepted;
    assert_eq!(accepted, 1, "the new one is stored once");
    let error = store.commit(plans::one(&node("n"), ids[1].as_str())).await.expect_err("its id is taken");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    store.commit(one("another")).await.expect("commits");
}

#[tokio::test]
async fn nobody_gets_the_dot_of_a_damaged_row() {
    let (_directory, path) = directory();
    let store = SqliteStore::open_as(&path, node("here")).await.expect("opens");
    let [held, damaged] = [1, 2].map(|n| plans::event(&format!("e-{n}"), n));
    store.commit(plans::receive(7, vec![held.clone(), damaged.clone()])).await.expect("commits");
    sql(&path, "UPDATE events SET data = '7' WHERE position = 2").await;
    flips::nobody_gets_the_dot_of_a_damaged_row(&store, &held, &damaged).await;
}

/// Another mark, which a renumbering gives to all that follows, does not mend a damaged row.
#[tokio::test]
async fn a_damaged_row_stays_damaged_under_another_mark() {
    let (_directory, path) = directory();
    let store = SqliteStore::open_as(&path, node("n")).await.expect("opens");
    for id in ["e1", "e2", "e3"] {
        store.commit(one(id)).await.expect("commits");
    }
    let whole = support::log(&store).await[1].event.data.as_json().expect("it is JSON").to_owned();
    sql(&path, "UPDATE events SET data = '7' WHERE position = 2").await;
    let remark = |mark| synckit_core::Plan {
        mark: synckit_core::Mark(mark),
        remark: Some(1),
        put: vec![plans::note("k", "")],
        ..synckit_core::Plan::default()
    };
    for mark in [u64::MAX, 0, 1 << 63, u64::from(u32::MAX), 5] {
        store.commit(plans::Fixed(remark(mark))).await.expect("commits");
        assert_eq!(damaged_at(&store, 1).await.as_deref(), Some("2"));
        for after in [0, 2] {
            let page = store.read(Query::after(after).at_most(1, usize::MAX)).await.expect("reads");
            assert_eq!(page.events[0].mark.0, mark);
        }
    }
    sql(&path, &format!("UPDATE events SET data = '{whole}' WHERE position = 2")).await;
    let log = support::log(&store).await;
    assert!(log.len() == 3 && log.iter().all(|stored| stored.mark.0 == 5));
}

/// Changes a column of the row at a position, and leaves the checksum of the row as it was.
async fn change(path: &Path, column: &str, position: u64) {
    sql(path, &format!("UPDATE events SET {column} WHERE position = {position}")).await;
}

#[tokio::test]
async fn damaged_rows_are_fetched_again() {
    for column in
        ["data = '7'", "type = 'Another'", "metadata = '{\"a\":1}'", "time = time + 1", "clock = x'00'"]
    {
        let (_directory, path) = directory();
        let store = SqliteStore::open_as(&path, node("here")).await.expect("opens");
        let damage = async |store: SqliteStore| {
            for position in [2, 5, 7] {
                change(&path, column, position).await;
            }
            store
        };
        flips::damaged_rows_are_fetched_again(store, damage).await;
    }
}

#[tokio::test]
async fn a_damaged_row_that_nobody_has_stops_nothing() {
    let (_directory, path) = directory();
    let store = SqliteStore::open_as(&path, node("here")).await.expect("opens");
    let with = async |store: SqliteStore, column: &str| {
        change(&path, column, 2).await;
        store
    };
    let damage = async |store| with(store, "time = time + 1").await;
    let restore = async |store| with(store, "time = time - 1").await;
    flips::a_damaged_row_that_nobody_has_stops_nothing(store, damage, restore).await;
}
