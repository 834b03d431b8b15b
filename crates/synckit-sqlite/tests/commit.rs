//! Committing: all or nothing, one after the other, whoever writes at the same time.

mod support;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::process::Command;
use std::task::Poll;
use std::time::{Duration, Instant};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use support::{aggregate, directory, foreign, log, node, one, receive, received, record, recorded};
use synckit_core::{
    Dot, Edit, ErrorKind, Event, EventId, EventStore, Held, Limits, Needs, NewEvent, NodeId, Note, NoteQuery,
    Query,
};
use synckit_plan::{Record, notes};
use synckit_sqlite::{SqliteConfig, SqliteStore};

/// So long that a writer gets its turn on any machine.
fn patient(path: &Path) -> SqliteConfig {
    SqliteConfig::new(path).with_node(node("a")).with_busy_timeout(Duration::from_secs(120))
}

/// Checks that the log has just these many events of the node, each with its own counter.
async fn complete(store: &SqliteStore, count: u64) {
    let events = log(store).await;
    assert_eq!(events.len() as u64, count);
    let counters = events.iter().filter_map(|stored| stored.event.dot.as_ref()).map(|dot| dot.counter);
    assert_eq!(counters.collect::<HashSet<_>>(), (1..=count).collect());
    let ids: HashSet<_> = events.iter().map(|stored| &stored.event.id).collect();
    assert_eq!(ids.len() as u64, count);
}

async fn record_many(store: SqliteStore, name: String, count: u64) {
    for n in 0..count {
        recorded(&store, one("a", &format!("{name}-{n}"))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_handles_on_one_file_take_turns() {
    let (_directory, path) = directory();
    let handles = [
        SqliteStore::open(patient(&path)).await.expect("opens"),
        SqliteStore::open(patient(&path)).await.expect("opens"),
    ];
    let tasks: Vec<_> = (0..16)
        .map(|task| tokio::spawn(record_many(handles[task % 2].clone(), format!("task{task}"), 10)))
        .collect();
    for task in tasks {
        task.await.expect("records");
    }
    for store in &handles {
        complete(store, 160).await;
    }
}

/// What one handle knows of the log is void once another has written.
#[tokio::test]
async fn each_handle_notices_what_another_has_written() {
    let (_directory, path) = directory();
    let mine = SqliteStore::open(patient(&path)).await.expect("opens");
    let other = SqliteStore::open(patient(&path)).await.expect("opens");
    let seen_of_peer = async |id: &str| {
        let event = recorded(&mine, one("a", id)).await.events.remove(0);
        event.clock.counter(&node("peer"))
    };
    for n in 1..=3 {
        assert_eq!(seen_of_peer(&format!("before {n}")).await, n - 1);
        assert_eq!(received(&other, receive(vec![foreign(n, "x")])).await.accepted, 1);
        assert_eq!(seen_of_peer(&format!("after {n}")).await, n);
    }
    // A note alone moves no position, and is noticed as well.
    let heads = notes::heads(&foreign(1, "x").aggregate_id);
    let edit = Edit { put: Vec::new(), delete: vec![heads] };
    other.commit(edit).await.expect("commits");
    assert_eq!(seen_of_peer("without heads").await, 0);
    assert_eq!(log(&other).await.len(), 10);
}

/// An id that is held is found also where a commit goes by what is known.
#[tokio::test]
async fn a_repetition_right_after_is_found() {
    let (_directory, path) = directory();
    let store = SqliteStore::open(patient(&path)).await.expect("opens");
    for _ in 0..2 {
        recorded(&store, one("a", "warm")).await;
    }
    for repeated in [false, true, true] {
        let written = recorded(&store, one("a", "twice")).await;
        assert_eq!((written.duplicates.len() == 1, written.head), (repeated, 2));
    }
    let foreign = foreign(1, "x");
    for accepted in [1, 0] {
        assert_eq!(received(&store, receive(vec![foreign.clone()])).await.accepted, accepted);
    }
    // So is a dot: the event with the greater id gives it up to the other.
    let fork = Event { id: EventId::new("fork").expect("valid"), ..foreign.clone() };
    assert_eq!(received(&store, receive(vec![fork.clone()])).await.accepted, 1);
    let log = log(&store).await;
    assert_eq!((log[2].event.id.clone(), log[2].event.dot.clone()), (foreign.id.clone(), alias_of(&foreign)));
    assert_eq!(log[3].event, fork);
    assert!(log.len() == 5 && log[4].event.is_restamp());
}

const CHILD: &str = "SYNCKIT_SQLITE_TEST_CHILD";

#[tokio::test]
#[ignore = "run by two_processes_on_one_file_take_turns in processes of its own"]
async fn child_process() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let store = SqliteStore::open(patient(Path::new(&path))).await.expect("opens");
    record_many(store.clone(), format!("process{}", std::process::id()), 50).await;
    store.close().await.expect("closes");
}

#[tokio::test]
async fn two_processes_on_one_file_take_turns() {
    let (_directory, path) = directory();
    let child = || {
        Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "child_process", "--ignored", "--nocapture"])
            .env(CHILD, &path)
            .spawn()
            .expect("starts")
    };
    // Both find no file and create the store at the same time.
    for mut process in [child(), child()] {
        assert!(process.wait().expect("ends").success());
    }
    let store = SqliteStore::open(patient(&path)).await.expect("opens");
    complete(&store, 100).await;
}

/// Polls a future this many times, each time when it asks for it, and drops it.
async fn dropped_after<F: Future>(polls: usize, future: F) -> bool {
    let mut left = polls;
    let mut future = Box::pin(future);
    let end = std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        future.as_mut().poll(context).map(|_| true)
    });
    end.await
}

#[tokio::test]
async fn a_dropped_future_leaves_the_store_before_or_after() {
    let (_directory, path) = directory();
    let store = SqliteStore::open(patient(&path).with_max_connections(1)).await.expect("opens");
    let pair = |name: String| {
        let new = || NewEvent::new("T", "x", &["data"]).expect("valid");
        record("a", vec![(format!("{name}-left"), new()), (format!("{name}-right"), new())])
    };
    for round in 0..60 {
        let polls = round / 2;
        dropped_after(polls, store.commit(pair(format!("dropped{round}")))).await;
        dropped_after(polls, store.read(Query::after(0))).await;
        dropped_after(polls, store.notes(NoteQuery::Keys(vec![Note::NODE.to_owned()]))).await;
        // Beyond its first few polls it waits for a change.
        let moved = dropped_after(polls % 3, store.moved(u64::MAX - 1));
        drop(tokio::time::timeout(Duration::from_millis(5), moved).await);
        dropped_after(polls, store.head()).await;
        recorded(&store, pair(format!("kept{round}"))).await;
    }
    let events = log(&store).await;
    let ids: HashSet<_> = events.iter().map(|stored| stored.event.id.as_str()).collect();
    assert_eq!(ids.len(), events.len());
    for round in 0..60 {
        let held = |name: &str| ids.contains(&*format!("{name}{round}-left"));
        assert_eq!(held("dropped"), ids.contains(&*format!("dropped{round}-right")));
        assert!(held("kept"));
    }
    complete(&store, events.len() as u64).await;
}

#[tokio::test]
async fn ten_thousand_events_are_one_commit() {
    let (_directory, path) = directory();
    let store = SqliteStore::open(patient(&path)).await.expect("opens");
    let events: Vec<_> = (1..=10_000).map(|n| foreign(n, &format!("aggregate-{}", n % 2_500))).collect();
    assert_eq!(received(&store, receive(events.clone())).await.accepted, 10_000);
    let read: Vec<_> = log(&store).await.into_iter().map(|stored| stored.event).collect();
    assert!(read == events);
    let again = received(&store, receive(events)).await;
    assert_eq!((again.accepted, again.duplicates, again.refused.len()), (0, 10_000, 0));
}

/// The dot of an event that had to give up its own.
fn alias_of(event: &Event) -> Option<Dot> {
    Some(Dot::new(NodeId::alias(&event.id), 1))
}

#[tokio::test]
async fn a_plan_that_fails_leaves_nothing() {
    let (_directory, path) = directory();
    let store = SqliteStore::open(patient(&path).with_max_connections(1)).await.expect("opens");
    for _ in 0..3 {
        let record = one("a", "large");
        let limits = Limits { event_bytes: 1, ..Limits::default() };
        let error = store.commit(Record { limits, ..record }).await.expect_err("is too large");
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert_eq!(log(&store).await.len(), 0);
    }
    recorded(&store, one("a", "small")).await;
    complete(&store, 1).await;
}

#[tokio::test]
async fn a_write_that_fails_leaves_nothing() {
    let (_directory, path) = directory();
    let store = SqliteStore::open(patient(&path).with_max_connections(1)).await.expect("opens");
    recorded(&store, one("a", "first")).await;
    let mut other = connection(&path).await;
    let trigger = "CREATE TRIGGER t BEFORE INSERT ON notes WHEN new.key = 'origin/a' BEGIN SELECT raise(ROLLBACK, 'the reason'); END";
    sqlx::raw_sql(trigger).execute(&mut other).await.expect("runs");
    // The engine ends the transaction itself here: the connection must come through that.
    for _ in 0..3 {
        let error = store.commit(one("a", "second")).await.expect_err("fails");
        assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
        assert!(error.to_string().contains("the reason"), "{error}");
        assert_eq!((error.component(), error.operation()), ("sqlite", "commit"));
        assert_eq!(log(&store).await.len(), 1);
    }
    sqlx::raw_sql("DROP TRIGGER t").execute(&mut other).await.expect("runs");
    recorded(&store, one("a", "second")).await;
    complete(&store, 2).await;
}

#[tokio::test]
async fn a_lock_held_elsewhere_is_busy_and_can_be_retried() {
    let (_directory, path) = directory();
    let store = SqliteStore::open(patient(&path).with_busy_timeout(Duration::ZERO)).await.expect("opens");
    let mut other = connection(&path).await;
    let lock = other.begin_with("BEGIN IMMEDIATE").await.expect("locks");
    let error = store.commit(one("a", "e1")).await.expect_err("is locked");
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Busy, true), "{error}");
    assert_eq!(log(&store).await.len(), 0);
    lock.rollback().await.expect("unlocks");
    recorded(&store, one("a", "e1")).await;
    complete(&store, 1).await;
}

#[tokio::test]
async fn asking_needs_no_lock() {
    let (_directory, path) = directory();
    let store = SqliteStore::open(patient(&path).with_busy_timeout(Duration::ZERO)).await.expect("opens");
    recorded(&store, one("a", "e1")).await;
    let mut other = connection(&path).await;
    let _lock = other.begin_with("BEGIN IMMEDIATE").await.expect("locks");
    let ids = ["e1", "e2"].map(|id| EventId::new(id).expect("valid")).to_vec();
    let needs = Needs {
        ids,
        dots: vec![Dot::new(node("a"), 1)],
        notes: vec![Note::STORE.to_owned()],
        places: vec![0, 1, 2, u64::MAX],
        histories: vec![aggregate("x"), aggregate("y")],
        ..Needs::default()
    };
    let facts = store.facts(needs).await.expect("reads");
    let log = log(&store).await;
    let event = &log[0].event;
    assert_eq!(facts.held, HashMap::from([(event.id.clone(), Held::of(1, event))]));
    assert_eq!(facts.dots, HashMap::from([(Dot::new(node("a"), 1), event.id.clone())]));
    assert_eq!(facts.notes.len(), 1);
    assert_eq!(facts.places, HashMap::from([(1, log[0].mark)]));
    assert_eq!(facts.histories, HashMap::from([(aggregate("x"), log), (aggregate("y"), Vec::new())]));
}

async fn connection(path: &Path) -> SqliteConnection {
    SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path)).await.expect("connects")
}

#[tokio::test]
async fn closing_waits_for_the_running_commit_and_refuses_the_rest() {
    let (_directory, path) = directory();
    let store = SqliteStore::open(patient(&path)).await.expect("opens");
    let watcher = tokio::spawn({
        let store = store.clone();
        async move { store.moved(1_000).await }
    });
    let tasks: Vec<_> = (0..50)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.commit(one("a", &format!("e{n}"))).await })
        })
        .collect();
    store.moved(0).await.expect("moves");
    store.close().await.expect("closes");
    store.close().await.expect("closes again");
    let mut acknowledged = 0;
    for task in tasks {
        match task.await.expect("ends") {
            Ok(_) => acknowledged += 1,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Closed, "{error}"),
        }
    }
    assert_eq!(watcher.await.expect("ends").expect_err("is closed").kind(), ErrorKind::Closed);
    let closed = |kind| assert_eq!(kind, ErrorKind::Closed);
    closed(store.read(Query::after(0)).await.expect_err("is closed").kind());
    closed(store.notes(NoteQuery::Keys(vec![])).await.expect_err("is closed").kind());
    closed(store.head().await.expect_err("is closed").kind());
    closed(store.identity().await.expect_err("is closed").kind());
    closed(store.moved(0).await.expect_err("is closed").kind());
    let store = SqliteStore::open(patient(&path)).await.expect("opens");
    complete(&store, acknowledged).await;
}

#[tokio::test]
async fn a_watcher_hears_of_commits_here_and_elsewhere() {
    let (_directory, path) = directory();
    let here = SqliteStore::open(patient(&path)).await.expect("opens");
    let elsewhere = SqliteStore::open(patient(&path)).await.expect("opens");
    for (writer, position) in [(&here, 1), (&elsewhere, 2), (&here, 3)] {
        let (moved, _) = tokio::join!(here.moved(position - 1), async {
            recorded(writer, one("a", &format!("e{position}"))).await
        });
        assert_eq!(moved.expect("moves"), position);
    }
    assert_eq!(here.moved(0).await.expect("has moved"), 3);
}

#[tokio::test]
async fn the_file_system_tells_of_commits_elsewhere() {
    let (_directory, path) = directory();
    let here = SqliteStore::open(patient(&path)).await.expect("opens");
    let elsewhere = SqliteStore::open(patient(&path)).await.expect("opens");
    let began = Instant::now();
    for position in 1..=40 {
        let (moved, _) = tokio::join!(here.moved(position - 1), async {
            recorded(&elsewhere, one("a", &format!("e{position}"))).await
        });
        assert_eq!(moved.expect("moves"), position);
    }
    // Without it, each would wait for the next look: some seconds in each of them.
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
}
