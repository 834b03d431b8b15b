//! Opening: whose file it is, creating, the caller's own pool.

mod support;

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection, SqlitePool};
use support::{directory, foreign, log, node, one, peer, receive, received, recorded};
use synckit_core::{Edit, Error, ErrorKind, EventStore, Identity, Note, NoteQuery, Query};
use synckit_sqlite::{SqliteConfig, SqliteStore, Synchronous};

/// Runs SQL on a file past the store.
async fn sql(path: &Path, statements: &str) {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = SqliteConnection::connect_with(&options).await.expect("connects");
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut connection).await.expect("runs");
    connection.close().await.expect("closes");
}

async fn refused(config: SqliteConfig) -> Error {
    let path = config.path.display().to_string();
    let error = SqliteStore::open(config).await.expect_err("is refused");
    assert!(error.context().contains(&("path", path)), "{error}");
    assert_eq!((error.component(), error.operation()), ("sqlite", "open"));
    error
}

fn config(path: &Path) -> SqliteConfig {
    SqliteConfig::new(path).with_node(node("a"))
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let (_directory, path) = directory();
    let text = "Dear diary,\n".repeat(1_000);
    std::fs::write(&path, &text).expect("writes");
    assert_eq!(refused(config(&path)).await.kind(), ErrorKind::Corrupt);
    assert_eq!(std::fs::read_to_string(&path).expect("reads"), text);
}

#[tokio::test]
async fn a_database_of_another_application_is_refused_and_left_alone() {
    for statements in ["CREATE TABLE t (x)", "PRAGMA application_id = 7", "PRAGMA user_version = 1"] {
        let (_directory, path) = directory();
        sql(&path, statements).await;
        let before = std::fs::read(&path).expect("reads");
        assert_eq!(refused(config(&path)).await.kind(), ErrorKind::Conflict, "{statements}");
        assert!(std::fs::read(&path).expect("reads") == before, "{statements}: the file has changed");
    }
}

#[tokio::test]
async fn a_newer_or_older_schema_is_refused_with_advice() {
    let (_directory, path) = directory();
    SqliteStore::open(config(&path)).await.expect("opens").close().await.expect("closes");
    for (version, advice) in [(1, "export"), (99, "upgrade")] {
        sql(&path, &format!("PRAGMA user_version = {version}")).await;
        let error = refused(config(&path)).await;
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains(advice), "{error}");
    }
}

#[tokio::test]
async fn another_node_id_is_refused() {
    let (_directory, path) = directory();
    SqliteStore::open(config(&path)).await.expect("opens").close().await.expect("closes");
    let error = refused(SqliteConfig::new(&path).with_node(node("b"))).await;
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.context().contains(&("store of", "a".to_owned())), "{error}");
}

#[tokio::test]
async fn without_a_node_id_an_existing_store_is_opened_and_none_created() {
    let (_directory, path) = directory();
    assert_eq!(refused(SqliteConfig::new(&path)).await.kind(), ErrorKind::NotFound);
    assert!(!path.exists());
    std::fs::write(&path, "").expect("writes");
    let error = refused(SqliteConfig::new(&path)).await;
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.message().contains("node id"), "{error}");
    SqliteStore::open(config(&path)).await.expect("opens").close().await.expect("closes");
    let store = SqliteStore::open(SqliteConfig::new(&path)).await.expect("opens");
    assert_eq!(store.node(), &node("a"));
    let identity = store.identity().await.expect("an identity");
    assert_eq!(identity, Identity::new(node("a"), identity.secret.clone()));
}

#[tokio::test]
async fn a_node_id_that_synckit_would_make_is_refused_for_a_new_store() {
    let (_directory, path) = directory();
    assert_eq!(refused(SqliteConfig::new(&path).with_node(node("a~1"))).await.kind(), ErrorKind::Invalid);
    let store = SqliteStore::open(config(&path)).await.expect("nothing was made");
    assert_eq!(store.node(), &node("a"));
}

#[tokio::test]
async fn create_false_creates_nothing() {
    let (_directory, path) = directory();
    let error = refused(config(&path).with_create(false)).await;
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(!path.exists());
    std::fs::write(&path, "").expect("writes");
    assert_eq!(refused(config(&path).with_create(false)).await.kind(), ErrorKind::NotFound);
    assert_eq!(std::fs::metadata(&path).expect("is there").len(), 0);
    std::fs::remove_file(&path).expect("removes");
    SqliteStore::open(config(&path)).await.expect("opens").close().await.expect("closes");
    SqliteStore::open(config(&path).with_create(false)).await.expect("opens");
}

#[tokio::test]
async fn paths_that_name_no_file_are_refused() {
    let (directory, path) = directory();
    assert_eq!(refused(config(directory.path())).await.kind(), ErrorKind::Denied);
    assert_eq!(refused(config(&path.join("deeper"))).await.kind(), ErrorKind::NotFound);
    assert_eq!(refused(config(Path::new(""))).await.kind(), ErrorKind::Invalid);
    assert_eq!(refused(config(Path::new(":memory:"))).await.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn reopening_keeps_everything() {
    let (_directory, path) = directory();
    let store = SqliteStore::open(config(&path)).await.expect("opens");
    recorded(&store, one("a", "e1")).await;
    received(&store, receive(vec![foreign(1, "x"), foreign(2, "y")])).await;
    let note = Note { key: "pull/\u{0}".to_owned(), value: vec![0, 255] };
    store.commit(Edit { put: vec![note.clone()], delete: vec![] }).await.expect("commits");
    let (head, events) = (store.head().await.expect("a head"), log(&store).await);
    let all = || NoteQuery::Prefix { prefix: String::new(), after: String::new(), limit: 1_000 };
    let notes = store.notes(all()).await.expect("notes");
    assert!(notes.contains(&note));
    assert_eq!(events[1].source, Some(peer()));
    store.close().await.expect("closes");

    let store = SqliteStore::open_as(&path, node("a")).await.expect("opens");
    assert_eq!(store.head().await.expect("a head"), head);
    assert_eq!(log(&store).await, events);
    assert_eq!(store.notes(all()).await.expect("notes"), notes);
    assert_eq!(recorded(&store, one("a", "e2")).await.events[0].dot.as_ref().map(|dot| dot.counter), Some(2));
}

#[tokio::test]
async fn two_stores_have_two_ids_and_two_secrets() {
    let ((_one, left), (_two, right)) = (directory(), directory());
    let left = SqliteStore::open(config(&left)).await.expect("opens");
    let right = SqliteStore::open(config(&right)).await.expect("opens");
    assert_ne!(left.head().await.expect("a head").store, right.head().await.expect("a head").store);
    let identities = [left.identity().await.expect("one"), right.identity().await.expect("another")];
    assert!(identities[0].secret != identities[1].secret);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_create_at_once_one_does() {
    let (_directory, path) = directory();
    let opens: Vec<_> = (0..8)
        .map(|n| {
            let name = if n % 2 == 0 { "even" } else { "odd" };
            tokio::spawn(SqliteStore::open_as(path.clone(), node(name)))
        })
        .collect();
    let (mut ids, mut refused) = (Vec::new(), 0);
    for open in opens {
        match open.await.expect("ends") {
            Ok(store) => ids.push(store.head().await.expect("a head").store),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
                refused += 1;
            }
        }
    }
    assert_eq!((ids.len(), refused), (4, 4));
    assert!(ids.iter().all(|id| *id == ids[0]));
}

#[tokio::test]
async fn an_open_that_is_dropped_leaves_a_store_or_none() {
    use std::task::Poll;
    for polls in 0..40 {
        let (_directory, path) = directory();
        let mut left = polls;
        let mut open = Box::pin(SqliteStore::open(config(&path)));
        std::future::poll_fn(|context| {
            if left == 0 {
                return Poll::Ready(());
            }
            left -= 1;
            open.as_mut().poll(context).map(|_| ())
        })
        .await;
        drop(open);
        let store = SqliteStore::open(config(&path)).await.expect("opens");
        recorded(&store, one("a", "e1")).await;
        assert_eq!(log(&store).await.len(), 1);
    }
}

#[tokio::test]
async fn a_pool_of_one_in_memory_connection_is_enough() {
    let pool = memory().await;
    let store = SqliteStore::from_pool(pool.clone(), node("a")).await.expect("opens");
    let watcher = tokio::spawn({
        let store = store.clone();
        async move { store.moved(20).await }
    });
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                recorded(&store, one("a", &format!("e{n}"))).await;
                store.read(Query::after(0)).await.expect("reads")
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("ends");
    }
    recorded(&store, one("a", "last")).await;
    assert_eq!(watcher.await.expect("ends").expect("moves"), 21);
    assert_eq!(log(&store).await.len(), 21);
    store.close().await.expect("closes");
    assert_eq!(store.head().await.expect_err("is closed").kind(), ErrorKind::Closed);

    assert!(!pool.is_closed());
    let again = SqliteStore::from_pool(pool.clone(), node("a")).await.expect("opens");
    assert_eq!(log(&again).await.len(), 21);
    let error = SqliteStore::from_pool(pool.clone(), node("b")).await.expect_err("another node");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    pool.close().await;
    assert_eq!(again.head().await.expect_err("is closed").kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn a_pool_with_other_tables_is_refused() {
    let pool = memory().await;
    sqlx::raw_sql("CREATE TABLE t (x)").execute(&pool).await.expect("runs");
    let error = SqliteStore::from_pool(pool, node("a")).await.expect_err("is refused");
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn a_pool_of_another_encoding_is_refused() {
    let options = SqliteConnectOptions::from_str("sqlite::memory:").expect("an address");
    let pool = SqlitePoolOptions::new().max_connections(1);
    let pool = pool.connect_with(options.pragma("encoding", "'UTF-16le'")).await.expect("connects");
    let error = SqliteStore::from_pool(pool, node("a")).await.expect_err("is refused");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

async fn memory() -> SqlitePool {
    let options = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
    options.connect("sqlite::memory:").await.expect("connects")
}

#[tokio::test]
async fn a_damaged_row_is_named_by_its_position() {
    for damage in
        ["clock = x'ff'", "id = ''", "origin = NULL", "data = 1", "clock = CAST(clock || x'00' AS BLOB)"]
    {
        let (_directory, path) = directory();
        let store = SqliteStore::open(config(&path)).await.expect("opens");
        received(&store, receive(vec![foreign(1, "x"), foreign(2, "x"), foreign(3, "x")])).await;
        sql(&path, &format!("UPDATE events SET {damage} WHERE position = 2")).await;
        // The page before it ends there.
        let before = store.read(Query::after(0)).await.expect("reads");
        assert_eq!((before.events.len(), before.scanned_to, before.more), (1, 1, true), "{damage}");
        let error = store.read(Query::after(1)).await.expect_err("is damaged");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{damage}");
        assert!(error.context().contains(&("position", "2".to_owned())), "{damage}: {error}");
        assert_eq!(store.read(Query::after(2)).await.expect("reads").events.len(), 1);
    }
}

#[test]
fn a_configuration_is_plain_text() {
    let text = r#"{"path":"notes.db","node":"till-4","synchronous":"normal","busy_timeout_ms":250}"#;
    let read: SqliteConfig = serde_json::from_str(text).expect("reads");
    let expected = SqliteConfig::new("notes.db")
        .with_node(node("till-4"))
        .with_synchronous(Synchronous::Normal)
        .with_busy_timeout(Duration::from_millis(250));
    assert_eq!(read, expected);
    let again: SqliteConfig =
        serde_json::from_str(&serde_json::to_string(&read).expect("writes")).expect("reads");
    assert_eq!(again, read);
    assert!(serde_json::from_str::<SqliteConfig>(r#"{"path":"x","pth":"y"}"#).is_err());
}

#[tokio::test]
async fn a_file_copied_to_another_machine_goes_on_under_a_fresh_name() {
    let (directory, path) = directory();
    let copy = directory.path().join("copy.db");
    let open = async |path: &Path, machine: &str| {
        let store = SqliteStore::open(config(path).with_machine(machine)).await.expect("opens");
        let found = (store.identity().await.expect("an identity"), store.head().await.expect("open").store);
        store.close().await.expect("closes");
        found
    };
    let first = open(&path, "one machine").await;
    std::fs::copy(&path, &copy).expect("copies");
    assert_eq!(open(&path, "one machine").await, first);
    let moved = open(&copy, "another machine").await;
    assert!(moved.0.author.as_str().starts_with("a~") && moved.0.suspect && moved.0.was(first.1));
    assert!(moved.1 != first.1 && moved.0.node == first.0.node);
    assert_eq!(open(&copy, "another machine").await, moved, "once");
    assert_eq!(open(&path, "one machine").await, first, "the file it was copied from goes on");
}

#[tokio::test]
async fn a_name_that_nobody_may_choose_leaves_no_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("store");
    let error = SqliteStore::open_as(&path, node("a~1")).await.expect_err("it has a ~");
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert_eq!(std::fs::read_dir(directory.path()).expect("reads").count(), 0);
}
