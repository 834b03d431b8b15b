//! The commands that need no network: record, import, log, history, status, digest, refused.

mod common;

use common::Place;

const GOOD: &str = r#"{"type":"T","aggregate_id":"x","data":{"n":1.0}}"#;

#[test]
fn what_is_recorded_is_shown_to_the_letter() {
    let place = Place::new();
    let line = "--json record --db a.db --node a --type NoteEdited --aggregate note-1";
    let data = r#"{"z":9007199254740993,"a":1.0}"#;
    let said = place.run_with(line, &["--data", data, "--metadata", r#"{"who":"ann"}"#], "").ok();
    let answer = &said.json()[0];
    assert_eq!((&answer["duplicate"], &answer["head"]), (&false.into(), &1.into()));
    let log = place.run("--json log --db a.db").ok();
    assert!(log.out.contains(data), "{log:?}");
    assert_eq!(log.json()[0]["event"]["id"], answer["id"]);
    assert_eq!(log.json()[0]["event"]["metadata"]["who"], "ann");
    let text = place.run("log --db a.db").ok().out;
    assert!(text.contains("a:1") && text.contains("note-1") && text.contains(data), "{text}");
}

#[test]
fn data_comes_from_standard_input_and_may_have_lines() {
    let place = Place::new();
    let line = "record --db a.db --node a --type T --aggregate x --data -";
    place.run_with(line, &[], "{\"a\":1,\r\n \"b\":2}\n").ok();
    assert_eq!(place.run("--json log --db a.db").ok().json()[0]["event"]["data"]["b"], 2);
    assert_eq!(place.run("log --db a.db").ok().out.lines().count(), 1);
    place.run_with(line, &[], &"1".repeat(300_000)).fails(1, &["more than 262144 bytes"]);
}

#[test]
fn an_id_is_recorded_once() {
    let place = Place::new();
    let line = "record --db a.db --node a --type T --aggregate x --id e-1 --data";
    place.run_with(line, &["1"], "").ok();
    let again = place.run_with(&format!("--json {line}"), &["1"], "").ok();
    assert_eq!(again.json()[0]["duplicate"], true);
    place.run_with(line, &["2"], "").fails(1, &["already names an event with other content", "e-1"]);
    assert!(place.run("digest --db a.db").ok().out.starts_with("events 1\nset "));
}

#[test]
fn nothing_but_a_named_node_creates_a_file() {
    let place = Place::new();
    for line in [
        "log --db a.db",
        "log --db a.db --follow",
        "status --db a.db",
        "digest --db a.db",
        "history --db a.db --aggregate x",
        "refused --db a.db",
        "refused --db a.db --retry",
        "sync --db a.db http://127.0.0.1:1",
        "record --db a.db --type T --aggregate x --data 1",
        "import --db a.db",
    ] {
        place.run(line).fails(1, &["error: there is no replica in this file", "a.db", "hint: "]);
        let said = place.run(&format!("{line} --json")).fails(1, &["there is no replica"]);
        assert_eq!(said.json()[0]["error"]["code"], "not_found", "{line}");
        assert_eq!(place.files(), [""; 0], "{line}");
    }
    place.run("record --db no/a.db --node a --type T --aggregate x --data 1").fails(1, &["directory"]);
}

#[test]
fn wrong_input_creates_no_file() {
    let place = Place::new();
    let record = "record --db a.db --node a --aggregate x";
    place.run(&format!("{record} --type T --data {{oops")).fails(1, &["not valid JSON", "--data"]);
    place.run(&format!("{record} --type T --data 1 --metadata []")).fails(1, &["--metadata"]);
    place.run_with(record, &["--type", "", "--data", "1"], "").fails(1, &["event type"]);
    place.run("import --db a.db --node a missing.jsonl").fails(1, &["missing.jsonl"]);
    place.run("import --db a.db --node a .").fails(1, &["cannot be read"]);
    place.run("sync --db a.db --node a ftp://there").fails(1, &["ftp://there", "http://HOST:PORT"]);
    place.run("sync --db a.db --node a nonsense").fails(1, &["nonsense", "http://HOST:PORT"]);
    place.run("sync --db a.db --node a ftp://there").fails(1, &["`ftp://`", "it has ", "http"]);
    place
        .run("record --db mysql:a --node a --type T --aggregate x --data 1")
        .fails(1, &["`mysql:`", "it has memory, postgres, redb, sqlite"]);
    place.run("log --db memory:").fails(1, &["a store in memory is always new"]);
    place.run("log --db memory:x").fails(1, &["write it as memory:"]);
    place.run("record --db a.db").fails(2, &["Usage"]);
    let usage = place.run("--json record --db a.db").fails(2, &["Usage"]);
    let answer: serde_json::Value = serde_json::from_str(&usage.out).expect("JSON");
    assert_eq!(answer["error"]["code"], "usage");
    assert_eq!(place.files(), [""; 0]);
}

#[test]
fn a_foreign_file_and_another_node_are_refused() {
    let place = Place::new();
    place.write("text.db", "this is no database, whatever its name says\n");
    place.run("status --db text.db").fails(1, &["not a SQLite database"]);
    place.run("serve --db text.db --listen 127.0.0.1:0").fails(1, &["not a SQLite database"]);
    assert_eq!(place.files(), ["text.db"]);
    place.run("record --db a.db --node a --type T --aggregate x --data 1").ok();
    place.run("record --db a.db --node b --type T --aggregate x --data 1").fails(1, &["another node"]);
    place.run("status --db redb:a.db").fails(1, &["this is a sqlite database"]);
    place.run("status --db redb:text.db").fails(1, &["not a redb database"]);
    assert_eq!(place.files(), ["a.db", "text.db"]);
}

#[test]
fn bad_lines_are_named_and_the_rest_is_imported() {
    let place = Place::new();
    let large = format!(r#"{{"type":"T","aggregate_id":"x","data":"{}"}}"#, "y".repeat(300_000));
    let lines = [
        GOOD,
        "{oops",
        "",
        r#"{"type":"T","aggregate_id":"x"}"#,
        r#"{"type":"","aggregate_id":"x","data":1}"#,
        &large,
        r#"{"type":"synckit.resolution","aggregate_id":"x","data":1}"#,
        r#"{"type":"T","aggregate_id":"x","data":1,"id":"e-1"}"#,
        r#"{"type":"T","aggregate_id":"x","data":2,"id":"e-1"}"#,
        r#"{"type":"T","aggregate_id":"x","data":1,"colour":"red"}"#,
        GOOD,
    ];
    place.write("in.jsonl", &lines.join("\n"));
    let bad = [2, 4, 5, 6, 7, 9, 10];
    let words: Vec<String> = bad.iter().map(|line| format!("line {line}: ")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let said = place.run("--json import --db a.db --node a in.jsonl").fails(1, &words);
    let told = said.err.lines().filter(|line| !line.starts_with("{\"progress\""));
    assert_eq!(told.count(), bad.len(), "{said:?}");
    let answer = &said.json()[0];
    assert_eq!((&answer["recorded"], &answer["bad"]), (&3.into(), &bad.len().into()));
    let named: Vec<u64> = answer["bad_lines"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|bad| bad["line"].as_u64())
        .collect();
    assert_eq!(named.len(), bad.len());
    assert_eq!(place.run("log --db a.db").ok().out.lines().count(), 3);
}

#[test]
fn lines_with_ids_are_imported_once() {
    let place = Place::new();
    let line = |number| {
        format!(
            "{{\"id\":\"e-{number}\",\"type\":\"T\",\"aggregate_id\":\"x-{}\",\"data\":{number}}}\n",
            number % 7
        )
    };
    let text: String = (0..2_500).map(line).collect();
    let first = place.run_with("--json import --db a.db --node a", &[], &text).ok();
    assert_eq!(first.json()[0]["recorded"], 2_500);
    let again = place.run_with("--json import --db a.db -", &[], &text).ok();
    assert_eq!((&again.json()[0]["recorded"], &again.json()[0]["duplicates"]), (&0.into(), &2_500.into()));
    let page = place.run("--json log --db a.db --after 1200 --limit 2").ok().json();
    assert_eq!([&page[0]["position"], &page[1]["position"]], [1_201, 1_202]);
    assert_eq!(page.len(), 2);
    assert_eq!(place.run("log --db a.db --aggregate x-1").ok().out.lines().count(), 357);
}

#[test]
fn an_import_records_what_has_come_before_its_input_ends() {
    use std::io::Write;
    let place = Place::new();
    place.run("record --db a.db --node a --type T --aggregate x --data 0").ok();
    let mut import = place.start("import --db a.db");
    let mut log = place.start("--json log --db a.db --follow --after 1 --limit 1");
    let mut input = import.0.stdin.take().expect("piped");
    writeln!(input, "{GOOD}").expect("it reads");
    assert!(log.line().contains("1.0"));
    assert_eq!(log.code(), Some(0));
    drop(input);
    assert_eq!(import.code(), Some(0));
}

#[test]
fn aggregates_are_listed_and_shown() {
    let place = Place::new();
    for (aggregate, data) in [("note-2", 1), ("note-1", 2), ("note-2", 3), ("task-1", 4)] {
        place.run(&format!("record --db a.db --node a --type T --aggregate {aggregate} --data {data}")).ok();
    }
    let listed = |options: &str| place.run(&format!("aggregates --db a.db {options}")).ok().out;
    assert_eq!(listed(""), "note-1\nnote-2\ntask-1\n");
    assert_eq!(listed("--prefix note-"), "note-1\nnote-2\n");
    assert_eq!(listed("--after note-1 --limit 1"), "note-2\n");
    assert_eq!(listed("--prefix other"), "");
    assert_eq!(place.run("--json aggregates --db a.db").ok().json()[2]["aggregate"], "task-1");

    let shown = place.run("show --db a.db --aggregate note-2").ok().out;
    assert!(shown.ends_with("note-2  3\n") && shown.lines().count() == 1, "{shown}");
    let json = place.run("--json show --db a.db --aggregate note-2").ok().json().remove(0);
    assert_eq!((&json["state"], &json["events"][0]["data"]), (&"one".into(), &3.into()));
    place
        .run("show --db a.db --aggregate note-3")
        .fails(1, &["no event of this aggregate", "synckit aggregates"]);
}

#[test]
fn status_digest_history_and_refused_answer_as_text_and_json() {
    let place = Place::new();
    place.run("record --db a.db --node a --type T --aggregate x --data 1").ok();
    let status = place.run("status --db a.db").ok().out;
    assert!(status.contains("node       a\n") && status.contains("events     1\n"), "{status}");
    assert_eq!(place.run("--json status --db a.db").ok().json()[0]["events"], 1);

    let digest = place.run("digest --db a.db").ok().out;
    let json = place.run("digest --db a.db --json").ok().json();
    let lines: Vec<String> =
        ["set", "view"].map(|name| format!("{name} {}", json[0][name].as_str().expect("a hash"))).into();
    assert_eq!(digest, format!("events 1\n{}\n", lines.join("\n")));

    let history = place.run("history --db a.db --aggregate x").ok().out;
    assert!(history.starts_with("live "), "{history}");
    assert_eq!(place.run("--json history --db a.db --aggregate x").ok().json()[0]["standing"], "live");
    place.run("history --db a.db --aggregate y").fails(1, &["no event of this aggregate"]);

    assert_eq!(place.run("refused --db a.db").ok().out, "nothing was refused\n");
    assert_eq!(place.run("--json refused --db a.db").ok().out, "");
    assert_eq!(place.run("--json refused --db a.db --retry").ok().json()[0]["stored"], 0);
    place.run("refused --db a.db --drop e-1").fails(1, &["no event of this id was refused"]);
}

#[test]
fn no_name_steers_the_terminal() {
    let place = Place::new();
    place.run_with("record --db a.db --node a --type T --data 1", &["--aggregate", "x\u{1b}[2J\ny"], "").ok();
    let log = place.run("log --db a.db").ok().out;
    assert!(!log.contains('\u{1b}') && log.lines().count() == 1, "{log:?}");
}

#[test]
fn a_reader_that_goes_away_ends_the_log_quietly() {
    use std::io::Read;
    let place = Place::new();
    let text = format!("{GOOD}\n").repeat(5_000);
    place.run_with("import --db a.db --node a", &[], &text).ok();
    let mut log = place.start("--json log --db a.db");
    drop(log.0.stdout.take());
    let mut said = String::new();
    log.0.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
    assert_eq!((log.code(), said.as_str()), (Some(0), ""));
}

#[test]
fn help_teaches() {
    let place = Place::new();
    let help = place.run("--help").ok().out;
    assert!(help.contains("Examples:") && help.contains("Exit codes:"), "{help}");
    let commands = [
        "demo",
        "serve",
        "record",
        "import",
        "export",
        "sync",
        "log",
        "aggregates",
        "show",
        "history",
        "status",
        "digest",
        "refused",
        "doctor",
        "reidentify",
        "backup",
        "restore",
    ];
    for command in commands {
        assert!(help.contains(&format!("\n  {command} ")), "{command} is not in {help}");
        let help = place.run(&format!("{command} --help")).ok().out;
        assert!(help.contains("Example") && help.contains("synckit "), "{help}");
    }
    assert!(place.run("--version").ok().out.starts_with("synckit "));
    let verbose = place.run("-v record --db a.db --node a --type T --aggregate x --data 1 --json").ok();
    assert_eq!(verbose.json().len(), 1);
}
