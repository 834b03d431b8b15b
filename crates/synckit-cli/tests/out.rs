//! A way out: export, import --exact, backup, restore, doctor, doctor --salvage.

mod common;

use common::{Place, Running};
use serde_json::Value;

fn note(place: &Place, db: &str, node: &str, note: &str, text: &str) {
    let line = format!("record --db {db} --node {node} --type NoteEdited --aggregate {note}");
    place.run_with(&line, &["--data", &format!("{{\"text\":\"{text}\"}}")], "").ok();
}

fn digest(place: &Place, db: &str) -> String {
    place.run(&format!("digest --db {db}")).ok().out
}

fn sync(place: &Place, db: &str, url: &str) -> Value {
    place.run(&format!("--json sync --db {db} {url}")).ok().json().remove(0)
}

/// Makes a replica of `a` that has met `b` at a hub: plain events of both, and a settled conflict.
fn with_history(place: &Place) -> (Running, String) {
    let (hub, url) = place.serve("--db hub.db --node hub");
    note(place, "a.db", "a", "note-1", "milk");
    note(place, "a.db", "a", "note-2", "call Ann");
    sync(place, "a.db", &url);
    note(place, "b.db", "b", "note-1", "bread");
    sync(place, "b.db", &url);
    sync(place, "a.db", &url);
    (hub, url)
}

#[test]
fn an_export_is_taken_back_as_it_was() {
    let place = Place::new();
    let (_hub, _url) = with_history(&place);
    let exported = place.run("export --db a.db").ok().out;
    assert_eq!(exported.lines().count(), 4, "{exported}");
    place.write("all.jsonl", &exported);
    for db in ["new.db", "redb:new.redb"] {
        let said = place.run(&format!("--json import --db {db} --node c --exact all.jsonl")).ok().json();
        assert_eq!((&said[0]["recorded"], &said[0]["bad"]), (&4.into(), &0.into()));
        assert_eq!(digest(&place, db), digest(&place, "a.db"));
        let again = place.run(&format!("--json import --db {db} --exact all.jsonl")).ok().json();
        assert_eq!((&again[0]["recorded"], &again[0]["duplicates"]), (&0.into(), &4.into()));
        assert_eq!(place.run(&format!("export --db {db}")).ok().out, exported);
    }
    let one = place.run("export --db a.db --aggregate note-2").ok().json();
    assert_eq!((one.len(), &one[0]["data"]["text"]), (1, &"call Ann".into()));
}

#[test]
fn a_plain_export_is_recorded_again_by_import() {
    let place = Place::new();
    let (_hub, _url) = with_history(&place);
    let exported = place.run("export --db a.db --plain").ok();
    assert_eq!(exported.json().len(), 3, "without the decision: {exported:?}");
    assert!(!exported.out.contains("clock"), "{exported:?}");
    place.run_with("import --db new.db --node c", &[], &exported.out).ok();
    let log = place.run("--json log --db new.db").ok().json();
    assert!(log.iter().all(|line| line["event"]["dot"]["node"] == "c"), "{log:?}");
    // Whole events are not recorded by mistake.
    let whole = place.run("export --db a.db").ok().out;
    let said = place.run_with("import --db other.db --node c", &[], &whole);
    said.fails(1, &["line 1: a new event has no dot, clock or time", "hint: `synckit import --exact`"]);
}

#[test]
fn nothing_forged_is_believed() {
    let place = Place::new();
    let (_hub, _url) = with_history(&place);
    let whole = place.run("export --db a.db").ok();
    let lines = whole.json();
    let resolution = lines.iter().find(|line| line["dot"].is_null()).expect("a decision").to_string();
    let plain = lines[1].to_string();
    let id = lines[1]["id"].as_str().expect("an id");
    let forged = [
        // Other content under an id that is taken.
        plain.replace("call Ann", "call Bob"),
        // A clock that lacks the event itself.
        plain.replace(id, "e-1").replace("\"counter\":2", "\"counter\":9"),
        // A decision that says something else than its id does.
        resolution.replace("last-write-wins", "ann"),
        // A new event under a type that is reserved.
        plain.replace(id, "e-2").replace("NoteEdited", "synckit.resolution"),
        "{\"type\":\"T\",\"aggregate_id\":\"x\",\"data\":1}".to_owned(),
    ];
    assert_ne!(forged[2], resolution);
    let before = digest(&place, "a.db");
    place.write("forged.jsonl", &forged.join("\n"));
    place.run("import --db a.db --exact forged.jsonl").fails(
        1,
        &[
            "line 1: the id already names an event with other content",
            "line 2: ",
            "line 3: ",
            "line 4: ",
            "line 5: ",
        ],
    );
    assert_eq!(digest(&place, "a.db"), before);
    let said = place.run("--json import --db new.db --node c --exact forged.jsonl").fails(1, &[]);
    assert_eq!(
        said.json()[0]["recorded"],
        1,
        "only the first is an event somebody could have written: {said:?}"
    );
}

#[test]
fn events_of_its_own_name_give_a_replica_a_fresh_one() {
    let place = Place::new();
    let (_hub, url) = with_history(&place);
    let exported = place.run("export --db a.db").ok().out;
    let said = place.run_with("import --db new.db --node a --exact", &[], &exported).ok().out;
    assert!(said.contains("written under the name of this replica; it goes on as a~"), "{said}");
    note(&place, "a.db", "a", "note-3", "of the first");
    note(&place, "new.db", "a", "note-4", "of the second");
    for db in ["a.db", "new.db", "a.db"] {
        assert_eq!(sync(&place, db, &url)["refused_count"], 0);
    }
    assert_eq!(digest(&place, "new.db"), digest(&place, "a.db"));
}

#[test]
fn a_backup_is_made_while_the_store_is_in_use_and_restored_under_a_fresh_name() {
    let place = Place::new();
    let (mut hub, url) = with_history(&place);
    let made = place.run("--json backup --db hub.db monday.db").ok().json().remove(0);
    assert_eq!((&made["backup"], &made["events"]), (&"monday.db".into(), &4.into()));
    assert_eq!(digest(&place, "monday.db"), digest(&place, "a.db"));
    // What the hub gets after the backup, and gives to others, is lost with its file.
    note(&place, "a.db", "a", "note-5", "after the backup");
    sync(&place, "a.db", &url);
    sync(&place, "b.db", &url);
    hub.signal("TERM");
    hub.code();
    place.run("restore monday.db --db hub.db").fails(1, &["there is a file already", "move it away"]);
    std::fs::remove_file(place.path("hub.db")).expect("it is there");
    let restored = place.run("restore monday.db --db hub.db").ok().out;
    assert!(restored.contains("restored hub with 4 events; it records as hub~"), "{restored}");
    let doctor = place.run("doctor --db hub.db").ok().out;
    assert!(doctor.contains("set back to an older copy"), "{doctor}");
    let (_hub, url) = place.serve("--db hub.db");
    for db in ["a.db", "b.db"] {
        assert_eq!(sync(&place, db, &url)["refused_count"], 0);
    }
    assert_eq!(digest(&place, "hub.db"), digest(&place, "a.db"));
    assert!(digest(&place, "hub.db").starts_with("events 5\n"));
    assert_eq!(
        place.run("digest --db monday.db").ok().out.lines().next(),
        Some("events 4"),
        "it is as it was"
    );
}

#[test]
fn a_backup_is_whole_while_others_write() {
    let place = Place::new();
    place.run("record --db a.db --node a --type T --aggregate x --data 0").ok();
    let line = r#"{"type":"T","aggregate_id":"x","data":1}"#.to_owned() + "\n";
    let text = line.repeat(5_000);
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| place.run_with("import --db a.db", &[], &text).ok());
        let mut last = 0;
        while last <= 5_000 {
            let made = place.run("--json backup --db a.db --replace now.db").ok().json().remove(0);
            let events = made["events"].as_u64().expect("a number");
            assert!(events >= last, "a backup is of one moment");
            place.run("doctor --db now.db").ok();
            last = events;
        }
        writing.join().expect("written");
    });
    place.run("backup --db a.db now.db").fails(1, &["there is a file already"]);
    assert_eq!(place.files(), ["a.db", "now.db"]);
}

#[cfg(unix)]
#[test]
fn the_hub_makes_the_backup_of_a_redb_file_that_it_has_open() {
    use std::io::{BufRead, BufReader};
    let place = Place::new();
    let (mut hub, url) = place.serve("--db redb:hub.redb --node hub --backup hub.bak");
    note(&place, "a.db", "a", "note-1", "milk");
    sync(&place, "a.db", &url);
    place.run("backup --db redb:hub.redb x.bak").fails(4, &["the file is open elsewhere", "--backup"]);
    let mut told = BufReader::new(hub.0.stderr.take().expect("piped")).lines();
    for _ in 0..2 {
        hub.signal("USR1");
        let line = told.next().expect("a line").expect("readable");
        assert!(line.starts_with("hub.bak has 1 event"), "{line}");
    }
    sync(&place, "a.db", &url);
    place.run("restore hub.bak --db redb:again.redb").ok();
    assert_eq!(digest(&place, "redb:again.redb"), digest(&place, "a.db"));
    place.run("restore hub.bak --db sqlite:again.db").fails(1, &["not a SQLite database"]);
    assert!(!place.files().contains(&"again.db".to_owned()));
    hub.signal("TERM");
    assert_eq!(hub.code(), Some(0));
    place.run("backup --db redb:hub.redb x.bak").ok();
}

/// Overwrites the only place in a file with these bytes.
fn damage(place: &Place, file: &str, what: &str) {
    let mut bytes = std::fs::read(place.path(file)).expect("readable");
    let found: Vec<usize> =
        (0..bytes.len() - what.len()).filter(|at| bytes[*at..].starts_with(what.as_bytes())).collect();
    let [at] = found[..] else { panic!("{what} is there {} times", found.len()) };
    bytes[at..at + what.len()].fill(0xff);
    std::fs::write(place.path(file), bytes).expect("writable");
}

#[test]
fn what_can_be_read_of_a_damaged_store_is_saved_and_the_rest_comes_back() {
    let place = Place::new();
    let (_hub, url) = place.serve("--db hub.db --node hub");
    for number in 1..=20 {
        let event_type = if number == 7 { "Damaged-7" } else { "NoteEdited" };
        let line = format!(
            "record --db a.db --node a --aggregate note-{number} --type {event_type} --data {number}"
        );
        place.run(&line).ok();
    }
    sync(&place, "a.db", &url);
    place.run("record --db a.db --type NoteEdited --aggregate note-21 --data 21").ok();
    damage(&place, "a.db", "Damaged-7");

    let doctor = place.run("--json doctor --db a.db").fails(1, &[]).json().remove(0);
    assert_eq!((&doctor["readable"], &doctor["damage"][0]["from"]), (&20.into(), &7.into()), "{doctor}");
    assert_eq!(doctor["findings"][0]["about"], "integrity");
    let text = place.run("doctor --db a.db").fails(1, &[]).out;
    assert!(text.contains("damaged at position 7") && text.contains("--db a.db --salvage NEW"), "{text}");
    place.run("log --db a.db").fails(1, &["hint: `synckit doctor"]);

    let saved = place.run("--json doctor --db a.db --salvage new.db").fails(1, &[]).json().remove(0);
    assert_eq!((&saved["saved"], &saved["unreadable"][0]["from"]), (&20.into(), &7.into()), "{saved}");
    assert!(saved["author"].as_str().expect("a name").starts_with("a~"), "{saved}");
    place.run("doctor --db a.db --salvage new.db").fails(1, &["there is a file already"]);
    assert_eq!(sync(&place, "new.db", &url)["refused_count"], 0);
    sync(&place, "new.db", &url);
    assert!(digest(&place, "new.db").starts_with("events 21\n"));
    assert_eq!(digest(&place, "new.db"), digest(&place, "hub.db"));
    place.run("doctor --db new.db").ok();
}

#[test]
fn a_damaged_row_is_fetched_again_from_a_hub() {
    let place = Place::new();
    let (_hub, url) = place.serve("--db hub.db --node hub");
    for (store, file, node) in [("a.db", "a.db", "a"), ("redb:b.redb", "b.redb", "b")] {
        let what = format!("Damaged-by-{node}");
        for (number, event_type) in ["NoteEdited", what.as_str(), "NoteEdited"].into_iter().enumerate() {
            let line = format!("--aggregate {node}-{number} --type {event_type} --data {number}");
            place.run(&format!("record --db {store} --node {node} {line}")).ok();
        }
        sync(&place, store, &url);
        damage(&place, file, &what);
        let said = place.run(&format!("doctor --db {store}")).fails(1, &[]).out;
        assert!(said.contains("1 event no longer readable: sync with a hub that has them"), "{said}");
        let said = place.run(&format!("sync --db {store} {url}")).ok().out;
        assert!(said.contains("1 damaged row of the local log replaced by good copies"), "{said}");
        place.run(&format!("doctor --db {store}")).ok();
        assert_eq!(digest(&place, store), digest(&place, "hub.db"));
    }
}

#[test]
fn the_doctor_says_what_to_do() {
    let place = Place::new();
    note(&place, "a.db", "a", "note-1", "milk");
    let alone = place.run("--json doctor --db a.db").ok().json().remove(0);
    assert_eq!(alone["findings"][0]["about"], "peers", "{alone}");
    let text = place.run("doctor --db a.db").ok().out;
    assert!(text.contains("the only copy of 1 event: `synckit sync` gives them to a hub"), "{text}");

    let (_hub, url) = place.serve("--db hub.db --node hub");
    sync(&place, "a.db", &url);
    assert!(place.run("doctor --db a.db").ok().out.contains("nothing is wrong"));
    assert!(place.run("doctor --db hub.db").ok().out.contains("nothing is wrong"));

    place.run("record --db a.db --type T --aggregate x --data 1 --id one").ok();
    place.run("record --db b.db --node b --type T --aggregate x --data 2 --id one").ok();
    note(&place, "b.db", "b", "note-1", "bread");
    place.run(&format!("sync --db a.db {url}")).ok();
    place.run(&format!("sync --db b.db {url} --rules review"));
    note(&place, "b.db", "b", "note-9", "not offered yet");
    let found = place.run("--json doctor --db b.db").ok().json().remove(0);
    let about: Vec<&Value> =
        found["findings"].as_array().expect("a list").iter().map(|one| &one["about"]).collect();
    assert_eq!(about, ["conflicts", "refused", "refused", "peers"], "{found}");
    assert!(
        found["findings"].as_array().expect("a list").iter().all(|one| one["then"].is_string()),
        "{found}"
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let open = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(place.path("a.db"), open).expect("it is ours");
        assert!(place.run("doctor --db a.db").ok().out.contains("chmod 600 a.db"));
    }
}
