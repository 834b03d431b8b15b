//! The commands for conflicts: conflicts, explain, rules check, and rules in sync and serve.

mod common;

use std::io::{BufRead, BufReader, Read};

use common::Place;
use serde_json::Value;

const REVIEW: &str = "fallback = \"review\"\n";

fn form(place: &Place, node: &str, json: &str) -> String {
    let line = format!("--json record --db {node}.db --node {node} --type FormSaved --aggregate form-7");
    let said = place.run_with(&line, &["--data", json], "").ok();
    said.json()[0]["id"].as_str().expect("an id").to_owned()
}

/// Makes two replicas and a hub that all know the form; returns the ids of two edits made without knowledge of each
/// other.
fn edited_apart(place: &Place, url: &str, rules: &str) -> (String, String) {
    place.write("rules.toml", rules);
    form(place, "a", r#"{"title":"x","guests":40}"#);
    place.run(&format!("sync --db a.db {url}")).ok();
    place.run(&format!("sync --db b.db --node b {url}")).ok();
    let ids =
        (form(place, "a", r#"{"title":"y","guests":40}"#), form(place, "b", r#"{"title":"x","guests":60}"#));
    place.run(&format!("sync --db a.db {url} --rules rules.toml")).ok();
    ids
}

#[test]
fn a_conflict_is_listed_shown_settled_and_explained() {
    let place = Place::new();
    let (_hub, url) = place.serve("--db hub.db --node hub");
    let (by_a, by_b) = edited_apart(&place, &url, REVIEW);
    let synced = place.run(&format!("sync --db b.db {url} --rules rules.toml")).ok().out;
    assert!(synced.contains("1 found, 0 settled, 1 left; `synckit conflicts` shows them"), "{synced}");

    let listed = place.run("conflicts --db b.db").ok().out;
    assert!(listed.starts_with("form-7  2 sides, found "), "{listed}");
    let json = place.run("--json conflicts --db b.db").ok().json().remove(0);
    assert_eq!((&json["aggregate"], &json["whole"]), (&"form-7".into(), &true.into()));
    assert_eq!(json["sides"][0]["keep"], Value::from(by_a.clone()));
    assert_eq!(json["sides"][1]["changed"][0]["field"], "/guests");
    let shown = place.run("conflicts --db b.db --aggregate form-7").ok().out;
    for words in
        ["before ", &format!("--keep {by_a}"), "/title       \"x\" -> \"y\"", "/guests      40 -> 60"]
    {
        assert!(shown.contains(words), "{words:?} is not in {shown}");
    }

    let shown = place.run("show --db b.db --aggregate form-7").ok().out;
    assert!(
        shown.starts_with("form-7 is in conflict") && shown.contains(&format!("--keep {by_a}")),
        "{shown}"
    );
    let json = place.run("--json show --db b.db --aggregate form-7").ok().json().remove(0);
    assert_eq!((&json["state"], json["events"].as_array().map(Vec::len)), (&"in_conflict".into(), Some(2)));

    let decide = ["--by", "ann", "--because", "60 have signed up"];
    let decided = place
        .run_with(&format!("conflicts --db b.db --aggregate form-7 --keep {by_b}"), &decide, "")
        .ok()
        .out;
    assert!(decided.starts_with("form-7 is settled, by ann"), "{decided}");
    assert_eq!(place.run("conflicts --db b.db").ok().out, "nothing is in conflict\n");
    place.run(&format!("sync --db b.db {url} --rules rules.toml")).ok();
    place.run(&format!("sync --db a.db {url} --rules rules.toml")).ok();
    let lost = place.run(&format!("explain --db a.db {by_a}")).ok().out;
    let why = format!("it does not stand: ann kept {by_b}, because: 60 have signed up");
    assert!(lost.contains(&why) && lost.contains("had seen         1 event of this aggregate"), "{lost}");
    let stands =
        place.run(&format!("--json explain --db a.db --aggregate form-7 {by_b}")).ok().json().remove(0);
    assert_eq!((&stands["stands"], &stands["decided"]["by_person"]), (&true.into(), &true.into()));

    place
        .run_with(
            "conflicts --db a.db --aggregate form-7 --again --merge",
            &[r#"{"title":"z","guests":50}"#],
            "",
        )
        .ok();
    place.run(&format!("sync --db a.db {url}")).ok();
    place.run(&format!("sync --db b.db {url}")).ok();
    let decisions = place.run("--json conflicts --db b.db --decisions").ok().json();
    let told: Vec<_> = decisions.iter().map(|entry| (&entry["by"], &entry["decision"])).collect();
    assert_eq!(told, [(&"ann".into(), &"keep".into()), (&"a".into(), &"merge".into())]);
    let text = place.run("conflicts --db b.db --decisions").ok().out;
    assert!(text.contains("form-7  ann kept") && text.contains("a merged all sides"), "{text}");
}

#[test]
fn what_cannot_be_decided_is_an_error_with_a_hint() {
    let place = Place::new();
    let (_hub, url) = place.serve("--db hub.db");
    edited_apart(&place, &url, REVIEW);
    place.run(&format!("sync --db b.db {url} --rules rules.toml")).ok();
    place.run("conflicts --db b.db --aggregate form-7 --keep nobody").fails(1, &["can keep only", "hint:"]);
    place.run("conflicts --db b.db --aggregate form-8").fails(1, &["is not in conflict", "--again"]);
    place.run("conflicts --db b.db --aggregate form-7 --again").fails(1, &["no decision on top"]);
    place.run("conflicts --db b.db --keep-all").fails(2, &["--aggregate"]);
    place
        .run("conflicts --db b.db --aggregate form-7 --keep x --keep-all")
        .fails(2, &["cannot be used with"]);
    place.run("conflicts --db b.db --aggregate form-7 --because x").fails(2, &["--keep"]);
    place.run("explain --db b.db nobody").fails(1, &["no such event is in the log"]);
    place.run("conflicts --db none.db").fails(1, &["there is no replica in this file"]);
}

#[test]
fn an_event_on_top_of_all_sides_settles_a_conflict_and_says_so() {
    let place = Place::new();
    let (_hub, url) = place.serve("--db hub.db --node hub");
    edited_apart(&place, &url, REVIEW);
    place.run(&format!("sync --db b.db {url} --rules rules.toml")).ok();
    let line = "record --db b.db --type FormSaved --aggregate form-7";
    let said = place.run_with(line, &["--data", "1"], "").ok().out;
    assert!(said.contains("it settles the conflict of form-7"), "{said}");
    assert_eq!(place.run("conflicts --db b.db").ok().out, "nothing is in conflict\n");
    let again = place.run_with(&format!("--json {line}"), &["--data", "2"], "").ok();
    assert_eq!(again.json()[0]["settles"], false);
}

#[test]
fn rules_are_checked_with_every_mistake_on_a_line_and_bad_ones_change_nothing() {
    let place = Place::new();
    place.write("good.yaml", "fallback: review\n");
    assert_eq!(place.run("rules check good.yaml").ok().out, "good.yaml has no mistakes\n");
    place.write("bad.toml", "[[rules]]\nname = \"a\"\nresolve = \"latest\"\nif = 1\n");
    let said = place.run("rules check bad.toml").fails(1, &[]);
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].starts_with("bad.toml:1:1: `fallback` is missing"), "{lines:?}");
    assert!(lines[1].starts_with("bad.toml:3:11: no resolver is called `latest`"), "{lines:?}");
    assert!(lines[2].starts_with("bad.toml:4:1: a rule has no `if`"), "{lines:?}");
    let json = place.run("--json rules check bad.toml").fails(1, &[]).json();
    assert_eq!((&json[1]["line"], &json[1]["column"]), (&3.into(), &11.into()));
    place.run("rules check none.toml").fails(1, &["the file of rules cannot be read: none.toml"]);
    place.run("rules check bad.ini").fails(1, &["ends with .toml"]);

    place
        .run("sync --db new.db --node n http://127.0.0.1:9 --rules bad.toml")
        .fails(1, &["3:11", "rules check"]);
    place.run("serve --db hub.db --rules bad.toml").fails(1, &["3:11"]);
    assert_eq!(place.files(), ["bad.toml", "good.yaml"], "no store was created");
}

#[test]
fn a_hub_settles_by_rules_and_reads_them_again_when_they_change() {
    let place = Place::new();
    place.write("rules.toml", REVIEW);
    place.write("hub.toml", REVIEW);
    let (mut hub, url) = place.serve("--db hub.db --node hub --rules hub.toml");
    let mut told = BufReader::new(hub.0.stderr.take().expect("piped"));
    let mut wait_for = |words: &str| {
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            assert_ne!(told.read_line(&mut line).expect("readable"), 0, "it ended without {words:?}");
        }
    };
    edited_apart(&place, &url, REVIEW);
    place.run(&format!("sync --db b.db {url} --rules rules.toml")).ok();
    assert_eq!(place.run("--json conflicts --db a.db").ok().json().len(), 0, "a has not met b's edit");
    place.run(&format!("sync --db a.db {url} --rules rules.toml")).ok();
    assert_eq!(place.run("--json conflicts --db a.db").ok().json().len(), 1, "the hub has left it too");

    place.write("hub.toml", "fallback = \"nobody\"\n");
    wait_for("the rules stay as they were");
    place.write("hub.toml", "fallback = { use = \"field-merge\" }\n");
    wait_for("were read again");
    wait_for("1 conflict settled");
    place.run(&format!("sync --db a.db {url} --rules rules.toml")).ok();
    assert_eq!(place.run("conflicts --db a.db").ok().out, "nothing is in conflict\n");
    let live = place.run("history --db a.db --aggregate form-7 --live").ok().out;
    assert!(live.contains("merged, by rules"), "{live}");
    hub.signal("TERM");
    assert_eq!(hub.code(), Some(0));
    let mut rest = String::new();
    told.read_to_string(&mut rest).expect("readable");
    assert!(rest.contains("stopping"), "{rest}");
}

/// Records edits of a number of forms at a replica.
fn edits(place: &Place, node: &str, forms: std::ops::Range<usize>, guests: usize) {
    let line = |form| {
        format!(
            "{{\"type\":\"FormSaved\",\"aggregate_id\":\"form-{form}\",\"data\":{{\"guests\":{guests}}}}}\n"
        )
    };
    let lines: String = forms.map(line).collect();
    place.run_with(&format!("import --db {node}.db --node {node}"), &[], &lines).ok();
}

fn synced(place: &Place, node: &str, url: &str, options: &str) -> Value {
    place.run(&format!("--json sync --db {node}.db --node {node} {url} {options}")).ok().json().remove(0)
}

#[test]
fn what_others_left_for_review_is_not_settled_by_a_default() {
    let place = Place::new();
    let (_hub, url) = place.serve("--db hub.db --node hub");
    let forms = 5_000;
    edits(&place, "a", 0..forms, 40);
    edits(&place, "b", 0..forms, 60);
    synced(&place, "a", &url, "--rules review");
    assert_eq!(synced(&place, "b", &url, "--rules review")["conflicts"]["left"], forms);
    synced(&place, "a", &url, "--rules review");
    // Neither one of the parties nor a newcomer settles them without rules.
    for node in ["a", "b", "c"] {
        let report = synced(&place, node, &url, "");
        assert_eq!((&report["conflicts"]["settled"], &report["pushed"]), (&0.into(), &0.into()), "{node}");
        assert_eq!(report["conflicts"]["left"], forms, "{node}");
    }
    let text = place.run(&format!("sync --db c.db {url}")).ok().out;
    assert!(
        text.contains("5,000 left; `synckit conflicts` shows them, `sync --rules` settles them"),
        "{text}"
    );

    // What nobody else can have seen is settled all the same, beside the others.
    edits(&place, "a", forms..forms + 1, 40);
    edits(&place, "c", forms..forms + 1, 60);
    synced(&place, "a", &url, "");
    let report = synced(&place, "c", &url, "");
    assert_eq!((&report["conflicts"]["settled"], &report["conflicts"]["left"]), (&1.into(), &forms.into()));
    assert_eq!(report["conflicts"]["settled_by"]["last-write-wins"], 1);

    // Who chooses settles them.
    let report = synced(&place, "c", &url, "--rules last-write-wins");
    assert_eq!((&report["conflicts"]["settled"], &report["conflicts"]["left"]), (&forms.into(), &0.into()));
    let digests = ["a", "c"].map(|node| {
        synced(&place, node, &url, "");
        place.run(&format!("digest --db {node}.db")).ok().out
    });
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn a_conflict_that_was_handed_out_stays_open_without_rules() {
    let place = Place::new();
    let (_hub, url) = place.serve("--db hub.db --node hub");
    edits(&place, "a", 0..1, 40);
    edits(&place, "b", 0..1, 60);
    synced(&place, "a", &url, "");
    synced(&place, "b", &url, "--push-only");
    assert_eq!(synced(&place, "b", &url, "")["conflicts"]["left"], 1);
    assert_eq!(synced(&place, "a", &url, "--rules keep-all")["conflicts"]["settled"], 1);
    assert_eq!(synced(&place, "b", &url, "")["conflicts"]["left"], 0);
    assert_eq!(place.run("--json history --db b.db --aggregate form-0 --live").ok().json().len(), 2);
}
