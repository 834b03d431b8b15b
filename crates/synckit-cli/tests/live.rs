//! Replicas that stay together with a hub: real processes, files and sockets.

mod common;

use std::time::{Duration, Instant};

use common::{Place, Running};
use serde_json::Value;

/// How long to wait for what comes by itself.
const LIMIT: Duration = Duration::from_secs(30);

fn note(place: &Place, node: &str, note: &str, text: &str) {
    let line = format!("record --db {node}.db --node {node} --type NoteEdited --aggregate {note}");
    place.run_with(&line, &["--data", &format!("{{\"text\":\"{text}\"}}")], "").ok();
}

/// Reads what is said of the status until it is such.
fn until(live: &mut Running, mut wanted: impl FnMut(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let status: Value = serde_json::from_str(&live.line()).expect("JSON");
        if wanted(&status) {
            return status;
        }
        assert!(began.elapsed() < LIMIT, "never so: {status}");
    }
}

fn is(state: &str, pending: u64) -> impl Fn(&Value) -> bool {
    move |status| status["state"] == state && status["pending"] == pending
}

fn stay(place: &Place, node: &str, urls: &str) -> Running {
    place.start(&format!("--json sync --db {node}.db --node {node} --live {urls}"))
}

#[test]
fn what_another_process_records_is_at_the_other_side_at_once() {
    let place = Place::new();
    let (_hub, url) = place.serve("--db hub.db --node hub");
    let mut lives = ["a", "b"].map(|node| stay(&place, node, &url));
    lives.iter_mut().for_each(|live| drop(until(live, is("live", 0))));
    let mut follow = place.start("log --db b.db --follow");
    for number in 0..5 {
        note(&place, "a", &format!("note-{number}"), "by a third process");
        let line = follow.line();
        assert!(line.contains(&format!("note-{number}")), "{line}");
    }
    place.run("wait --db a.db --timeout 10").ok();
    let said = place.run("--json wait --db a.db --peer hub --timeout 10").ok().json();
    assert_eq!((&said[0]["position"], &said[0]["peers"][0]), (&5.into(), &"hub".into()));
    for live in &mut lives {
        live.signal("INT");
        assert_eq!(live.code(), Some(0));
    }
    let digests = ["a", "b"].map(|name| place.run(&format!("digest --db {name}.db")).ok().out);
    assert_eq!(digests[0], digests[1]);
    // The log is in one file again.
    assert!(!place.files().iter().any(|file| file.starts_with("a.db-")), "{:?}", place.files());
}

#[test]
fn a_hub_says_who_is_connected_and_what_moves() {
    let place = Place::new();
    let (mut hub, url) = place.serve("-v --db hub.db --node hub");
    let mut live = stay(&place, "a", &url);
    until(&mut live, is("live", 0));
    note(&place, "a", "note-1", "x");
    place.run("wait --db a.db --timeout 10").ok();
    note(&place, "b", "note-2", "y");
    place.run(&format!("sync --db b.db {url}")).ok();
    let mut follow = place.start("log --db a.db --follow");
    (0..2).for_each(|_| drop(follow.line()));
    live.signal("INT");
    assert_eq!(live.code(), Some(0));
    hub.signal("INT");
    let said = hub.errors();
    let told: Vec<&str> = said.lines().filter(|line| line.starts_with(['a', 'b'])).collect();
    for line in [
        "a: says hello",
        "a: is connected",
        "a: 1 event pushed",
        "b: says hello",
        "b: 1 event pulled",
        "b: 1 event pushed",
    ] {
        assert!(told.contains(&line), "{line} is not in {told:?}");
    }
    assert!(
        told.iter().any(|line| line.starts_with("a: is gone after") && line.ends_with("1 event sent")),
        "{told:?}"
    );
}

#[test]
fn a_hub_that_is_killed_is_waited_for() {
    let place = Place::new();
    let (hub, url) = place.serve("--db hub.db --node hub");
    let mut live = stay(&place, "a", &url);
    until(&mut live, is("live", 0));
    note(&place, "a", "note-1", "before");
    place.run("wait --db a.db --timeout 10").ok();
    // It is killed, not stopped.
    drop(hub);
    let status = until(&mut live, |status| status["state"] == "waiting");
    assert!(
        status["reason"].is_string() && status["until"].is_u64() && status["synced_at"].is_u64(),
        "{status}"
    );
    for number in 0..3 {
        note(&place, "a", "note-1", &number.to_string());
    }
    until(&mut live, is("waiting", 3));
    place.run("wait --db a.db --timeout 1").fails(4, &["has not got everything", "hub: hub", "--live"]);
    let address = url.strip_prefix("http://").expect("HTTP");
    let _hub = place.start(&format!("serve --db hub.db --listen {address}"));
    until(&mut live, is("live", 0));
    place.run("wait --db a.db --timeout 10").ok();
    live.signal("TERM");
    assert_eq!(live.code(), Some(0));
    let digests = ["a", "hub"].map(|name| place.run(&format!("digest --db {name}.db")).ok().out);
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn it_stays_with_several_hubs_over_different_wires() {
    let place = Place::new();
    let (_one, first) = place.serve("--db one.db --node one");
    let mut two = place.start("serve --db two.db --node two --listen grpc://127.0.0.1:0");
    let line = two.line();
    let second = line.split_whitespace().find(|word| word.starts_with("grpc://")).expect("a URL");
    let second = second.trim_end_matches(';');
    let mut live = stay(&place, "a", &format!("{first} {second}"));
    let mut seen = Vec::new();
    until(&mut live, |status| {
        if is("live", 0)(status) {
            seen.push(status["url"].clone());
        }
        seen.iter().any(|url| *url == first.as_str()) && seen.iter().any(|url| *url == second)
    });
    note(&place, "b", "note-1", "for both hubs");
    place.run(&format!("sync --db b.db {first}")).ok();
    let mut follow = place.start("log --db two.db --follow");
    assert!(follow.line().contains("for both hubs"));
    live.signal("INT");
    assert_eq!(live.code(), Some(0));
}

#[test]
fn two_processes_that_stay_over_one_file_do_not_disturb_each_other() {
    let place = Place::new();
    let (_hub, url) = place.serve("--db hub.db --node hub");
    let mut lives = [stay(&place, "a", &url), stay(&place, "a", &url), stay(&place, "b", &url)];
    lives.iter_mut().for_each(|live| drop(until(live, is("live", 0))));
    for number in 0..20 {
        note(&place, ["a", "b"][number % 2], &format!("note-{number}"), "x");
    }
    for node in ["a", "b"] {
        place.run(&format!("wait --db {node}.db --timeout 20")).ok();
    }
    let mut follow = ["a", "b"].map(|node| place.start(&format!("log --db {node}.db --follow")));
    for follow in &mut follow {
        (0..20).for_each(|_| drop(follow.line()));
    }
    for live in &mut lives {
        live.signal("INT");
        assert_eq!(live.code(), Some(0));
    }
    let digests = ["a", "b", "hub"].map(|name| place.run(&format!("digest --db {name}.db")).ok().out);
    assert!(digests[0] == digests[1] && digests[1] == digests[2], "{digests:?}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let place = Place::new();
    place
        .run("sync --db a.db --node a http://127.0.0.1:1 http://127.0.0.1:2")
        .fails(2, &["a second hub", "--live"]);
    place.run("sync --db a.db --node a --live --timeout 3 http://127.0.0.1:1").fails(2, &["--timeout"]);
    assert!(place.files().is_empty(), "{:?}", place.files());
    note(&place, "a", "note-1", "x");
    place.run("wait --db a.db").fails(1, &["never synced", "synckit sync"]);
}

#[test]
fn the_state_is_shown_again_when_it_changes() {
    let place = Place::new();
    note(&place, "a", "note-1", "x");
    let mut watch = place.start("--json status --db a.db --watch");
    let events = |line: String| serde_json::from_str::<Value>(&line).expect("JSON")["events"].clone();
    assert_eq!(events(watch.line()), 1);
    note(&place, "a", "note-1", "y");
    assert_eq!(events(watch.line()), 2);
    watch.signal("INT");
    assert_eq!(watch.code(), Some(0));
}
