//! Opening: what is made, what is left alone, and errors that say what is wrong, where, and what to do.

mod support;

use std::time::Duration;

use support::{fresh, log, node, note, one, open, server, sql};
use synckit_core::{Edit, Error, ErrorKind, EventStore, LogHead};
use synckit_postgres::{PostgresConfig, PostgresDatabase, PostgresStore};
use synckit_testkit::PostgresServer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// The error of opening the store of the node `n` at this URL, which never shows the password `secret`.
async fn refused(url: &str, kind: ErrorKind, says: &[&str]) -> Error {
    let config = PostgresConfig::new(url).with_node(node("n")).with_connect_timeout(Duration::from_secs(20));
    let error = PostgresStore::open(config).await.expect_err("is refused");
    let text = format!("{error} {error:?}");
    assert_eq!(error.kind(), kind, "{text}");
    for part in says {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    assert!(!text.contains("secret"), "{text}");
    assert_eq!(error.component(), "postgres");
    error
}

/// A database of its own, as a URL.
async fn database(server: &PostgresServer, name: &str) -> String {
    sql(&server.url("postgres"), &format!("CREATE DATABASE {name}")).await;
    server.url(name)
}

#[tokio::test]
async fn a_wrong_url_is_refused() {
    refused("acme", ErrorKind::Invalid, &["not the URL of a PostgreSQL database", "postgres://USER"]).await;
    refused("postgres://u:secret@h/d?logs=x", ErrorKind::Invalid, &["unknown parameter", "logs"]).await;
    refused("postgres://u:secret@h:x/d", ErrorKind::Invalid, &["cannot be used"]).await;
    let long = format!("postgres://u:secret@127.0.0.1:1/d?log={}", "x".repeat(256));
    refused(&long, ErrorKind::TooLarge, &["name of a log"]).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound").port();
    let url = format!("postgres://u:secret@127.0.0.1:{free}/d?log=acme");
    let shown = format!("postgres://u@127.0.0.1:{free}/d");
    refused(&url, ErrorKind::Unavailable, &["cannot be reached", "PostgreSQL runs", &shown, "acme"]).await;
}

#[tokio::test]
async fn an_old_server_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let old = async {
        let (mut stream, _) = listener.accept().await.expect("connects");
        let mut length = [0; 4];
        stream.read_exact(&mut length).await.expect("a length");
        let mut startup = vec![0; u32::from_be_bytes(length) as usize - 4];
        stream.read_exact(&mut startup).await.expect("a startup message");
        let version = b"server_version\x0012.22\0";
        let mut answer = b"R\0\0\0\x08\0\0\0\0S".to_vec();
        answer.extend((version.len() as u32 + 4).to_be_bytes());
        answer.extend(version);
        answer.extend(b"Z\0\0\0\x05I");
        stream.write_all(&answer).await.expect("is sent");
        let _ = stream.read(&mut [0; 64]).await;
    };
    let url = format!("postgres://u:secret@127.0.0.1:{port}/d?sslmode=disable");
    let says = ["too old", "PostgreSQL 13", "server: 12"];
    let (_, ()) = tokio::join!(refused(&url, ErrorKind::Unsupported, &says), old);
}

#[tokio::test]
async fn a_database_that_is_not_there_is_named() {
    let Some(server) = server("a_database_that_is_not_there_is_named") else { return };
    refused(&server.url("nowhere"), ErrorKind::NotFound, &["no database of this name", "createdb"]).await;
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_never_shown() {
    let server = match PostgresServer::start() {
        Ok(server) => server,
        Err(why) => return println!("skipped: a_wrong_password_is_refused_and_never_shown: {why}"),
    };
    sql(&server.url("postgres"), "CREATE ROLE careful LOGIN PASSWORD 'right'").await;
    server.configure("host all careful 127.0.0.1/32 scram-sha-256");
    let url = |password: &str| server.url("postgres").replace("synckit@", &format!("careful:{password}@"));
    refused(&url("secret"), ErrorKind::Denied, &["refuses this user or password", "careful@127.0.0.1"]).await;
    // With the right one it gets further, to what the user may do.
    refused(&url("right"), ErrorKind::Denied, &["lacks a right", "grant CREATE"]).await;
}

#[tokio::test]
async fn a_user_without_rights_is_told_which_are_missing() {
    let Some(server) = server("a_user_without_rights_is_told_which_are_missing") else { return };
    let url = database(server, "guarded").await;
    sql(&url, "CREATE ROLE guest LOGIN").await;
    let guest = url.replace("synckit@", "guest@");
    refused(&guest, ErrorKind::Denied, &["lacks a right", "grant CREATE", "guest@"]).await;
    open(&url).await.commit(one(&node("n"), "e")).await.expect("commits");
    refused(&guest, ErrorKind::Denied, &["lacks a right"]).await;
    sql(
        &url,
        "GRANT USAGE ON SCHEMA synckit TO guest; GRANT SELECT ON ALL TABLES IN SCHEMA synckit TO guest",
    )
    .await;
    // Who may read can read.
    let store = open(&guest).await;
    assert_eq!(log(&store).await.len(), 1);
    let error = store.commit(one(&node("n"), "f")).await.expect_err("may not write");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
}

#[tokio::test]
async fn tables_of_a_newer_synckit_and_of_others_are_left_alone() {
    let Some(server) = server("tables_of_a_newer_synckit_and_of_others_are_left_alone") else { return };
    let url = database(server, "newer").await;
    open(&url).await.close().await.expect("closes");
    sql(&url, "UPDATE synckit.format SET version = 99").await;
    refused(&url, ErrorKind::Unsupported, &["newer synckit", "upgrade"]).await;
    let url = database(server, "foreign_schema").await;
    sql(&url, "CREATE SCHEMA synckit CREATE TABLE recipes (name text)").await;
    refused(&url, ErrorKind::Conflict, &["belongs to something else", "another database"]).await;
}

#[tokio::test]
async fn a_database_that_can_only_be_read_is_read() {
    let Some(server) = server("a_database_that_can_only_be_read_is_read") else { return };
    let url = database(server, "standby").await;
    open(&url).await.commit(one(&node("n"), "e")).await.expect("commits");
    sql(&url, "ALTER DATABASE standby SET default_transaction_read_only = on").await;
    let store = open(&url).await;
    assert_eq!(log(&store).await.len(), 1);
    let error = store.commit(one(&node("n"), "f")).await.expect_err("can only be read");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.to_string().contains("connect to the primary"), "{error}");
    refused(&format!("{url}?log=new"), ErrorKind::Denied, &["can only be read"]).await;
}

#[tokio::test]
async fn a_full_disk_is_named_and_nothing_is_written() {
    let Some(server) = server("a_full_disk_is_named_and_nothing_is_written") else { return };
    let url = database(server, "full_disk").await;
    let store = open(&url).await;
    store.commit(one(&node("n"), "e1")).await.expect("commits");
    // The server reports a full disk as this trigger does.
    sql(
        &url,
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = '53100'; END $$;
         CREATE TRIGGER full_disk BEFORE INSERT ON synckit.events EXECUTE FUNCTION full_disk()",
    )
    .await;
    let error = store.commit(one(&node("n"), "e2")).await.expect_err("is full");
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true), "{error}");
    assert!(error.to_string().contains("free some space"), "{error}");
    assert_eq!(log(&store).await.len(), 1);
    sql(&url, "DROP TRIGGER full_disk ON synckit.events").await;
    store.commit(one(&node("n"), "e2")).await.expect("commits");
    assert_eq!(log(&store).await.len(), 2);
}

#[tokio::test]
async fn nothing_is_made_unless_it_is_asked_for() {
    let Some(server) = server("nothing_is_made_unless_it_is_asked_for") else { return };
    let url = database(server, "unmade").await;
    let absent = async |config: PostgresConfig| {
        let error = PostgresStore::open(config).await.expect_err("is not there");
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    };
    absent(PostgresConfig::new(&url)).await;
    absent(PostgresConfig::new(&url).with_node(node("n")).with_create(false)).await;
    open(&url).await.close().await.expect("closes");
    absent(PostgresConfig::new(format!("{url}?log=other"))).await;
    let database = PostgresDatabase::connect(PostgresConfig::new(&url)).await.expect("connects");
    assert_eq!(database.logs().await.expect("reads"), ["default"]);
    let store = database.open("default", None).await.expect("opens");
    assert_eq!(store.node(), &node("n"));
    let error = database.open("default", Some(node("m"))).await.expect_err("is another's");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(database.open("", None).await.expect_err("has no name").kind(), ErrorKind::Invalid);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_that_come_at_once_make_one_log() {
    let Some(server) = server("many_that_come_at_once_make_one_log") else { return };
    let url = database(server, "rush").await;
    let opened: Vec<_> = (0..8)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { open(&url).await.head().await.expect("a head") })
        })
        .collect();
    let mut heads: Vec<LogHead> = Vec::new();
    for one in opened {
        heads.push(one.await.expect("opens"));
    }
    assert!(heads.iter().all(|head| *head == heads[0]));
}

#[tokio::test]
async fn a_log_that_is_deleted_is_missed() {
    let Some(server) = server("a_log_that_is_deleted_is_missed") else { return };
    let url = fresh(server);
    let store = open(&url).await;
    let name = url.rsplit_once('=').expect("is named").1;
    sql(&server.url("postgres"), &format!("DELETE FROM synckit.logs WHERE name = '{name}'")).await;
    assert_eq!(store.head().await.expect_err("is gone").kind(), ErrorKind::NotFound);
    let edit = Edit { put: vec![note("k", "v")], delete: Vec::new() };
    assert_eq!(store.commit(edit).await.expect_err("is gone").kind(), ErrorKind::NotFound);
}
