//! Damage and ends: readers that stop, files that cannot be written, damaged files, mistakes of a first hour.

mod common;

use std::io::Write;

use common::Place;

const LINE: &str = r#"{"type":"T","aggregate_id":"x","data":1}"#;

#[cfg(unix)]
#[test]
fn a_signal_ends_a_follower_whose_reader_has_stopped_to_read() {
    let place = Place::new();
    // More than a pipe holds, so the follower waits for its reader.
    place.run_with("import --db a.db --node a", &[], &format!("{LINE}\n").repeat(5_000)).ok();
    for (json, signal) in [("", "TERM"), ("--json ", "INT")] {
        let mut log = place.start(&format!("{json}log --db a.db --follow"));
        assert!(!log.line().is_empty());
        log.signal(signal);
        assert_eq!(log.code(), Some(0), "{signal}");
    }
}

#[cfg(unix)]
#[test]
fn only_its_owner_can_read_a_new_store() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let (_hub, _url) = place.serve("--db hub.db --node hub");
    let (_other, _url) = place.serve("--db redb:hub.redb --node hub");
    place.run("record --db a.db --node a --type T --aggregate x --data 1").ok();
    place.run("backup --db a.db a.bak").ok();
    place.run("restore a.bak --db b.db").ok();
    let files = place.files();
    assert_eq!(files, ["a.bak", "a.db", "b.db", "hub.db", "hub.db-shm", "hub.db-wal", "hub.redb"]);
    for file in files {
        let mode = std::fs::metadata(place.path(&file)).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

/// Runs commands as somebody who can read the files of a place, but write nothing.
#[cfg(unix)]
#[test]
fn what_cannot_be_written_can_be_read() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    for db in ["a.db", "redb:a.redb"] {
        place.run(&format!("record --db {db} --node a --type T --aggregate x --data 1")).ok();
    }
    let allow = |directory: u32, files: u32| {
        let mode = std::fs::Permissions::from_mode;
        for file in place.files() {
            std::fs::set_permissions(place.path(&file), mode(files)).expect("it is ours");
        }
        std::fs::set_permissions(place.path(""), mode(directory)).expect("it is ours");
    };
    // Files that cannot be written, a directory in which nothing can be made, and both.
    for (directory, files) in [(0o777, 0o444), (0o555, 0o666), (0o555, 0o444)] {
        allow(directory, files);
        for db in ["a.db", "redb:a.redb"] {
            let case = format!("{db} in {directory:o} with {files:o}");
            for line in ["log", "status", "history --aggregate x", "digest", "conflicts", "doctor", "export"]
            {
                let said = place.run_as_reader(&format!("{line} --db {db}"));
                assert_eq!(said.code, Some(0), "{line}, {case}: {said:?}");
            }
            if files == 0o444 || db == "a.db" && directory == 0o555 {
                let said = place.run_as_reader(&format!("record --db {db} --type T --aggregate x --data 2"));
                said.fails(1, &["check the rights on"]);
            }
        }
        allow(0o755, 0o600);
        assert_eq!(place.files(), ["a.db", "a.redb"], "nothing was made beside them");
    }
}

#[test]
fn a_file_of_another_kind_is_recognised() {
    let place = Place::new();
    place.run("record --db a.db --node a --type T --aggregate x --data 1").ok();
    place.run("record --db redb:a.redb --node a --type T --aggregate x --data 1").ok();
    place.run("log --db a.redb").fails(1, &["this is a redb database", "hint: name it as redb:a.redb"]);
    place.run("log --db redb:a.db").fails(1, &["this is a sqlite database", "hint: name it as sqlite:a.db"]);
    let hub = "serve --listen 127.0.0.1:0 --db a.redb";
    place.run(hub).fails(1, &["this is a redb database", "hint: name it as redb:a.redb"]);
}

#[test]
fn one_mistake_in_every_line_is_reported_once() {
    let place = Place::new();
    let wrong = r#"{"type":"T","aggregate":"x","data":1}"#;
    let text = format!("{LINE}\n{}", format!("{wrong}\n").repeat(250));
    let said = place.run_with("--json import --db a.db --node a", &[], &text).fails(
        1,
        &[
            "line 2: unknown field `aggregate`",
            "247 more lines, the last of them line 251: unknown field `aggregate`",
        ],
    );
    assert_eq!(said.err.lines().filter(|line| !line.starts_with("{\"progress\"")).count(), 4, "{said:?}");
    let answer = &said.json()[0];
    assert_eq!((&answer["recorded"], &answer["bad"]), (&1.into(), &250.into()));
    assert_eq!(answer["bad_lines"].as_array().map(Vec::len), Some(250));
}

#[test]
fn text_that_is_no_json_is_shown_as_json() {
    let place = Place::new();
    let record = "record --db a.db --node a --type T --aggregate x";
    place.run(&format!("{record} --data hello")).fails(1, &["not valid JSON", r#"--data '"hello"'"#]);
    place.run(&format!("{record} --data 1 --metadata ann")).fails(1, &["--metadata", r#"'{"who":"ann"}'"#]);
    place.run_with(&format!("{record} --data"), &[r#""hello""#], "").ok();
}

#[test]
fn an_error_of_the_hub_says_that_it_is_the_hubs() {
    let place = Place::new();
    place.run("record --db a.db --node a --type T --aggregate x --data 1").ok();
    let body =
        r#"{"error":{"code":"unavailable","message":"the disk is full; free some space","retryable":true}}"#;
    let hub = common::answering(503, body);
    let said = place.run(&format!("sync --db a.db {hub} --timeout 20"));
    said.fails(4, &["the peer says: the disk is full", "whoever runs the hub"]);
}

#[test]
fn a_damaged_redb_file_ends_in_errors_and_never_in_silence() {
    let place = Place::new();
    place.run_with("import --db redb:a.redb --node a", &[], &format!("{LINE}\n").repeat(300)).ok();
    let good = std::fs::read(place.path("a.redb")).expect("readable");
    let mut told = 0;
    // Each page in turn; the first has the header, without which there is no database.
    for page in 1..good.len() / 4_096 {
        let mut bytes = good.clone();
        if bytes[page * 4_096..][..4_096].iter().all(|byte| *byte == 0) {
            continue;
        }
        bytes[page * 4_096..][..64].fill(0xa5);
        std::fs::File::create(place.path("b.redb"))
            .and_then(|mut file| file.write_all(&bytes))
            .expect("writable");
        for line in ["log", "doctor", "record --type T --aggregate x --data 1"] {
            let said = place.run(&format!("{line} --db redb:b.redb"));
            assert!(matches!(said.code, Some(0 | 1)), "{line}, page {page}: {said:?}");
            if said.code == Some(1) {
                assert!(
                    said.err.contains("error: ") || said.out.contains("damaged"),
                    "{line}, {page}: {said:?}"
                );
                told += 1;
            }
        }
    }
    assert!(told > 0, "no damage was noticed");
}
