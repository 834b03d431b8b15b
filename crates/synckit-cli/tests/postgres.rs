//! Hubs whose log is in a PostgreSQL database. They are skipped where PostgreSQL is not installed.

mod common;

use common::Place;
use synckit_testkit::PostgresServer;

#[test]
fn two_hubs_serve_one_log() {
    let server = match PostgresServer::shared() {
        Ok(server) => server,
        Err(why) => return println!("skipped: two_hubs_serve_one_log: {why}"),
    };
    let db = format!("{}?log=acme", server.url("postgres"));
    let place = Place::new();
    let (_first, one) = place.serve(&format!("--db {db} --node hub"));
    let (_second, other) = place.serve(&format!("--db {db}"));
    for (node, url) in [("a", &one), ("b", &other)] {
        place
            .run(&format!("record --db {node}.db --node {node} --type T --aggregate x-{node} --data 1"))
            .ok();
        place.run(&format!("sync --db {node}.db {url}")).ok();
    }
    assert_eq!(place.run(&format!("--json sync --db a.db {one}")).ok().json()[0]["pulled"], 1);
    let digests = ["a.db", "b.db", &db].map(|db| place.run(&format!("digest --db {db}")).ok().out);
    assert!(digests[0] == digests[1] && digests[1] == digests[2], "{digests:?}");
    let other_log = db.replace("log=acme", "log=globex");
    place.run(&format!("status --db {other_log}")).fails(1, &["there is no store here", "globex"]);
    place.run(&format!("backup --db {db} x.bak")).fails(1, &["pg_dump"]);
    place.run(&format!("restore x.bak --db {db}")).fails(1, &["import events"]);
}

#[test]
fn a_password_is_never_shown() {
    let place = Place::new();
    let said = place.run("status --db postgres://hub:secret@127.0.0.1:1/teams?log=acme");
    let said = said.fails(4, &["cannot be reached", "postgres://hub@127.0.0.1:1/teams", "acme"]);
    assert!(!said.out.contains("secret") && !said.err.contains("secret"));
    let said = place.run("status --db postgres://hub:secret@127.0.0.1:1/teams?logs=acme");
    assert!(!said.fails(1, &["unknown parameter"]).err.contains("secret"));
}
