//! The protocol in docs/protocol.md: a reader in Python, written from that document, against the real command.

mod common;

use std::process::{Command, Stdio};

use common::{Place, Running};

const READER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/protocol_reader.py");

#[test]
fn a_reader_in_python_settles_a_conflict_by_the_same_event() {
    if !Command::new("python3").arg("--version").output().is_ok_and(|said| said.status.success()) {
        println!("skipped: there is no python3 here");
        return;
    }
    let place = Place::new();
    let (_hub, url) = place.serve("--db hub.db --node hub");
    place
        .run("record --db a.db --node a --type NoteEdited --aggregate note-1 --data {\"text\":\"milk\"}")
        .ok();
    place.run(&format!("sync --db a.db {url}")).ok();
    let mut reader = Command::new("python3");
    reader.args([READER, &url, "note-1"]).stdout(Stdio::piped());
    let mut reader = Running(reader.spawn().expect("starts"));
    let ready = reader.line();
    let id = ready.strip_prefix("ready ").expect("what it is about to settle by");
    let text = place.run(&format!("sync --db a.db {url} --rules last-write-wins")).ok().out;
    assert!(text.contains("conflicts: 1 found, 1 settled, 0 left"), "{text}");
    assert_eq!(reader.line(), format!("agreed {id}"));
    assert_eq!(reader.code(), Some(0));
    let history = place.run("--json history --db a.db --aggregate note-1").ok().out;
    assert!(history.contains(id.trim()), "{history}");
}
