//! Copies, restores and stores of the same name, with real files and a real hub.

mod common;

use common::{Place, Running};
use serde_json::Value;

fn record(place: &Place, db: &str, node: &str) {
    let line = format!("record --db {db}.db --node {node} --type NoteEdited --aggregate n --data 1");
    place.run(&line).ok();
}

fn copy(place: &Place, from: &str, to: &str) {
    // A command closes its file, so the log is in one file.
    std::fs::copy(place.path(&format!("{from}.db")), place.path(&format!("{to}.db"))).expect("it is copied");
}

fn sync(place: &Place, db: &str, url: &str) -> Value {
    place.run(&format!("--json sync --db {db}.db {url}")).ok().json().remove(0)
}

fn plain_events(place: &Place, db: &str) -> usize {
    let log = place.run(&format!("--json log --db {db}.db")).ok().json();
    log.iter().filter(|line| line["event"]["dot"].is_object() || line["dot"].is_object()).count()
}

/// Syncs all in turn, twice, and asserts that they agree with each other.
fn agree(place: &Place, dbs: &[&str], url: &str) {
    for _ in 0..3 {
        for db in dbs {
            assert_eq!(sync(place, db, url)["refused_count"], 0);
        }
    }
    let digests: Vec<String> =
        dbs.iter().map(|db| place.run(&format!("digest --db {db}.db")).ok().out).collect();
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
}

fn hub(place: &Place) -> (Running, String) {
    place.serve("--db hub.db --node hub")
}

#[test]
fn the_same_backup_is_restored_twice_and_people_are_told() {
    let place = Place::new();
    let (_hub, url) = hub(&place);
    record(&place, "d", "d");
    sync(&place, "d", &url);
    copy(&place, "d", "backup");
    record(&place, "d", "d");
    sync(&place, "d", &url);
    for _ in 0..2 {
        copy(&place, "backup", "d");
        record(&place, "d", "d");
        let said = place.run(&format!("sync --db d.db {url}")).ok().out;
        assert!(said.contains("set back to an older copy") && said.contains("it goes on as d~"), "{said}");
    }
    assert_eq!(plain_events(&place, "d"), 4);
    let status = place.run("status --db d.db").ok().out;
    assert!(status.contains("set back to an older copy"), "{status}");
    record(&place, "other", "other");
    agree(&place, &["d", "other"], &url);
}

#[test]
fn four_machines_from_one_image_end_with_the_same_events() {
    let place = Place::new();
    let (_hub, url) = hub(&place);
    record(&place, "image", "image");
    let names = ["one", "two", "three", "four"];
    for name in names {
        copy(&place, "image", name);
        record(&place, name, "image");
    }
    for name in names {
        sync(&place, name, &url);
    }
    agree(&place, &names, &url);
    assert_eq!(plain_events(&place, "one"), 5);
    // Every later look reports that it is a copy, and what to do.
    let said: String =
        names.iter().map(|name| place.run(&format!("doctor --db {name}.db")).ok().out).collect();
    assert!(said.contains("former  image, store"), "{said}");
}

#[test]
fn a_name_of_another_device_is_told_apart_from_a_restore() {
    let place = Place::new();
    let (_hub, url) = hub(&place);
    record(&place, "first", "till-1");
    sync(&place, "first", &url);
    record(&place, "second", "till-1");
    let said = place.run(&format!("sync --db second.db {url}")).ok().out;
    assert!(said.contains("the name of this replica belongs to another device"), "{said}");
    let doctor = place.run("doctor --db second.db").ok().out;
    assert!(doctor.contains("the name belongs to another device"), "{doctor}");
    agree(&place, &["first", "second"], &url);
}

#[test]
fn a_restored_hub_that_records_loses_nothing() {
    let place = Place::new();
    let (mut running, url) = hub(&place);
    record(&place, "a", "a");
    sync(&place, "a", &url);
    running.signal("TERM");
    running.code();
    copy(&place, "hub", "backup");
    record(&place, "hub", "hub");
    let (mut running, url) = hub(&place);
    record(&place, "a", "a");
    sync(&place, "a", &url);
    running.signal("KILL");
    running.code();
    for file in ["hub.db-wal", "hub.db-shm"] {
        // What a killed hub leaves beside its file belongs to that file.
        let _ = std::fs::remove_file(place.path(file));
    }
    copy(&place, "backup", "hub");
    record(&place, "hub", "hub");
    let (_running, url) = hub(&place);
    let said = place.run(&format!("sync --db a.db {url}")).ok().out;
    assert!(said.contains("the hub had lost events"), "{said}");
    record(&place, "b", "b");
    agree(&place, &["a", "b"], &url);
    assert_eq!(plain_events(&place, "a"), 5);
}

#[test]
fn a_copy_is_made_a_replica_of_its_own() {
    let place = Place::new();
    let (_hub, url) = hub(&place);
    record(&place, "till-1", "till-1");
    sync(&place, "till-1", &url);
    copy(&place, "till-1", "till-2");
    place.run("reidentify --db till-2.db --node till~2").fails(1, &["`~`", "choose another"]);
    let said = place.run("reidentify --db till-2.db --node till-2").ok().out;
    assert!(said.contains("this replica is till-2 from now on"), "{said}");
    record(&place, "till-2", "till-2");
    for db in ["till-1", "till-2"] {
        let report = sync(&place, db, &url);
        assert_eq!(report["recovery"]["renewed"], Value::Null, "{report}");
    }
    agree(&place, &["till-1", "till-2"], &url);
    let doctor = place.run("doctor --db till-2.db").ok().out;
    assert!(
        doctor.contains("somebody said that this is a copy") && doctor.contains("nothing is wrong"),
        "{doctor}"
    );
    place.run("record --db x.db --node a~b --type T --aggregate n --data 1").fails(1, &["`~`"]);
}

/// Checks what a restore costs on the wire beyond what is new: the ids of what the replica recorded, both ways, once.
#[test]
fn a_restore_of_a_hundred_thousand_events_costs_at_most_forty_bytes_each() {
    let (place, events) = (Place::new(), 100_000_u64);
    let (_hub, url) = hub(&place);
    let line = r#"{"type":"NoteEdited","aggregate_id":"n-X","data":{"text":"some words of a note"}}"#;
    let lines: String = (0..events).map(|n| line.replace('X', &(n % 1_000).to_string()) + "\n").collect();
    place.run_with("import --db d.db --node d", &["-"], &lines).ok();
    sync(&place, "d", &url);
    copy(&place, "d", "backup");
    record(&place, "d", "d");
    sync(&place, "d", &url);
    copy(&place, "backup", "d");
    let report = sync(&place, "d", &url);
    assert!(report["recovery"]["renewed"].is_string() && report["pulled"] == 1, "{report}");
    let bytes = |report: &Value| {
        report["bytes_sent"].as_u64().expect("a number")
            + report["bytes_received"].as_u64().expect("a number")
    };
    assert!(bytes(&report) <= 40 * events, "{report}");
    let next = sync(&place, "d", &url);
    assert!(bytes(&next) < 4_000, "once: {next}");
}
