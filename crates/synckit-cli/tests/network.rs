//! The commands that use the network: serve, sync, log --follow, demo.

mod common;

use common::Place;

fn note(place: &Place, node: &str, note: &str, text: &str) {
    let line = format!("record --db {node}.db --node {node} --type NoteEdited --aggregate {note}");
    place.run_with(&line, &["--data", &format!("{{\"text\":\"{text}\"}}")], "").ok();
}

#[test]
fn two_replicas_meet_at_a_hub_and_agree() {
    let place = Place::new();
    let (_hub, url) = place.serve("--db hub.db --node hub");
    note(&place, "a", "note-1", "milk");
    note(&place, "a", "note-2", "call Ann");
    note(&place, "b", "note-1", "bread");
    let first = place.run(&format!("--json sync --db a.db {url}")).ok().json();
    assert_eq!((&first[0]["pushed"], &first[0]["peer"]), (&2.into(), &"hub".into()));
    let text = place.run(&format!("sync --db b.db {url}")).ok().out;
    assert!(text.contains("synced with hub: 2 pulled, 2 pushed"), "{text}");
    assert!(text.contains("conflicts: 1 found, 1 settled, 0 left"), "{text}");
    place.run(&format!("sync --db a.db {url}")).ok();

    let digests = ["a", "b", "hub"].map(|name| place.run(&format!("digest --db {name}.db")).ok().out);
    assert!(digests[0].starts_with("events 4\n"), "{digests:?}");
    assert!(digests[0] == digests[1] && digests[1] == digests[2], "{digests:?}");
    let histories =
        ["a", "b"].map(|name| place.run(&format!("history --db {name}.db --aggregate note-1")).ok().out);
    assert_eq!(histories[0], histories[1]);
    assert!(histories[0].contains("superseded") && histories[0].contains("resolution"), "{histories:?}");
    let live = place.run("history --db a.db --aggregate note-1 --live").ok().out;
    assert!(live.lines().count() == 1 && live.contains("bread"), "{live}");
    let status = place.run("status --db a.db").ok().out;
    assert!(status.contains("peer       hub: synced") && status.contains("0 left to push"), "{status}");
}

#[test]
fn stores_and_wires_are_mixed_by_url() {
    let place = Place::new();
    let mut hub = place
        .start("--json serve --db redb:hub.redb --node hub --listen 127.0.0.1:0 --listen http://127.0.0.1:0");
    let answer: serde_json::Value = serde_json::from_str(&hub.line()).expect("JSON");
    let urls: Vec<&str> =
        answer["urls"].as_array().expect("a list").iter().filter_map(|url| url.as_str()).collect();
    let [first, second] = urls[..] else { panic!("two URLs: {urls:?}") };
    note(&place, "a", "note-1", "milk");
    place.run("record --db redb:b.redb --node b --type NoteEdited --aggregate note-2 --data 1").ok();
    place.run(&format!("sync --db sqlite:a.db {first}")).ok();
    assert_eq!(place.run(&format!("--json sync --db redb:b.redb {second}")).ok().json()[0]["pulled"], 1);
    assert_eq!(place.run(&format!("--json sync --db a.db {second}")).ok().json()[0]["pulled"], 1);
    assert_eq!(place.run(&format!("--json sync --db memory: --node c {first}")).ok().json()[0]["pulled"], 2);
    let digests = ["a.db", "redb:b.redb"].map(|db| place.run(&format!("digest --db {db}")).ok().out);
    assert_eq!(digests[0], digests[1]);
    // A redb file can be open in only one process at a time, and the command reports that.
    place.run("digest --db redb:hub.redb").fails(4, &["the file is open elsewhere"]);
    drop(hub);
    assert_eq!(place.run("digest --db redb:hub.redb").ok().out, digests[0]);
}

/// Writes certificates in PEM files: `ca`, and signed by it `hub` for the loopback address and `till` for a client.
fn certificates(place: &Place) {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    let mut authority = CertificateParams::new([]).expect("valid");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(authority, key).expect("a certificate");
    place.write("ca.pem", &authority.pem());
    for (name, of) in [("hub", "127.0.0.1"), ("till", "till")] {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([of.to_owned()]).expect("valid");
        let certificate = params.signed_by(&key, &authority).expect("a certificate");
        place.write(&format!("{name}.pem"), &certificate.pem());
        place.write(&format!("{name}.key"), &key.serialize_pem());
    }
}

#[test]
fn a_hub_speaks_every_wire_at_once() {
    let place = Place::new();
    certificates(&place);
    let listen =
        ["http", "https", "grpc", "grpcs"].map(|wire| format!("--listen {wire}://127.0.0.1:0")).join(" ");
    let mut hub = place.start(&format!(
        "--json serve --db hub.db {listen} --tls-cert hub.pem --tls-key hub.key --client-ca ca.pem"
    ));
    let answer: serde_json::Value = serde_json::from_str(&hub.line()).expect("JSON");
    let urls: Vec<String> = serde_json::from_value(answer["urls"].clone()).expect("a list");
    for url in &urls {
        note(&place, "a", "note-1", url);
        let secure = url.starts_with("https:") || url.starts_with("grpcs:");
        let certificates = if secure { "--ca ca.pem --cert till.pem --key till.key" } else { "" };
        let synced = place.run(&format!("--json sync --db a.db {url} {certificates}")).ok().json().remove(0);
        assert_eq!(synced["pushed"], 1, "{url}");
    }
    let [_, https, _, grpcs] = &urls[..] else { panic!("four URLs: {urls:?}") };
    for url in [https, grpcs] {
        place.run(&format!("sync --db a.db {url}")).fails(1, &["authority"]);
        assert_ne!(place.run(&format!("sync --db a.db {url} --ca ca.pem")).code, Some(0), "{url}");
    }
    place.run(&format!("sync --db a.db {https} --ca ca.pem")).fails(1, &["certificate"]);
    place.run(&format!("sync --db a.db {https} --ca none.pem")).fails(1, &["none.pem"]);
    place.run(&format!("sync --db a.db {https} --cert till.pem")).fails(2, &["--key"]);
    place.run("serve --db new.db --listen https://127.0.0.1:0").fails(2, &["--tls-cert"]);
    place.run("serve --db new.db --listen wss://127.0.0.1:0").fails(2, &["`wss://`", "grpcs://"]);
    assert!(!place.files().contains(&"new.db".to_owned()));
}

#[test]
fn a_renewed_certificate_is_shown_without_a_restart() {
    let place = Place::new();
    certificates(&place);
    let mut hub = place
        .start("--json serve --db hub.db --listen https://127.0.0.1:0 --tls-cert hub.pem --tls-key hub.key");
    let answer: serde_json::Value = serde_json::from_str(&hub.line()).expect("JSON");
    let url = answer["urls"][0].as_str().expect("a URL").to_owned();
    note(&place, "a", "note-1", "milk");
    place.run(&format!("sync --db a.db {url} --ca ca.pem")).ok();
    std::fs::rename(place.path("ca.pem"), place.path("old.pem")).expect("renames");
    certificates(&place);
    let started = std::time::Instant::now();
    while place.run(&format!("sync --db a.db {url} --ca ca.pem")).code != Some(0) {
        assert!(started.elapsed() < std::time::Duration::from_secs(60), "the old certificate is shown");
    }
    place.run(&format!("sync --db a.db {url} --ca old.pem")).fails(1, &["the certificate is not valid"]);
}

#[test]
fn an_option_that_would_do_nothing_is_refused() {
    let place = Place::new();
    certificates(&place);
    let tls = "--tls-cert hub.pem --tls-key hub.key";
    place
        .run(&format!("serve --db hub.db {tls} --listen 127.0.0.1:0"))
        .fails(2, &["--tls-cert has no effect", "hint: write --listen https://127.0.0.1:0"]);
    place
        .run(&format!("serve --db hub.db {tls} --listen grpc://127.0.0.1:0"))
        .fails(2, &["hint: write --listen grpcs://127.0.0.1:0"]);
    place
        .run("serve --db hub.db --tls-cert no.pem --tls-key no.key --listen 127.0.0.1:0")
        .fails(2, &["--tls-cert has no effect"]);
    let usage = place.run(&format!("--json serve --db hub.db {tls}")).fails(2, &["--tls-cert"]);
    assert_eq!(usage.json()[0]["error"]["code"], "usage");
    place
        .run("serve --db hub.db --go-readers --listen grpc://127.0.0.1:0")
        .fails(2, &["go-sync-kit speak HTTP", "hint: add --listen http://"]);
    place.run("serve --db hub.db --go-client x=y --listen grpc://127.0.0.1:0").fails(2, &["go-sync-kit"]);
    for scheme in ["http", "grpc"] {
        for options in ["--ca ca.pem", "--cert till.pem --key till.key"] {
            let option = options.split(' ').next().expect("an option");
            let said = place.run(&format!("sync --db a.db --node a {options} {scheme}://127.0.0.1:1"));
            said.fails(2, &[option, "in clear", &format!("write {scheme}s://")]);
        }
    }
    assert!(place.files().iter().all(|file| !file.ends_with(".db")), "nothing was made");
}

#[test]
fn what_is_waited_for_is_said() {
    let place = Place::new();
    note(&place, "a", "note-1", "milk");
    // It takes connections, and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("an address"));
    place
        .run(&format!("sync --db a.db {url} --timeout 5"))
        .fails(4, &[&format!("waiting for {url} to answer (2 s)"), "(4 s)"]);

    let mut import = place.start("import --db a.db");
    let mut told = std::io::BufReader::new(import.0.stderr.take().expect("piped"));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut told, &mut line).expect("readable");
    assert_eq!(line, "waiting for the first line of the input (2 s)\n");
    drop(import.0.stdin.take());
    assert_eq!(import.code(), Some(0));
}

#[test]
fn progress_has_a_total_and_is_reported_in_pipes() {
    let place = Place::new();
    let (_hub, url) = place.serve("--db hub.db --node hub");
    let line = r#"{"type":"T","aggregate_id":"x","data":1}"#.to_owned() + "\n";
    let imported = place.run_with("-v import --db a.db --node a", &[], &line.repeat(3_000)).ok();
    assert!(imported.err.contains(" lines read, "), "{imported:?}");
    let pushed = place.run(&format!("-v sync --db a.db {url}")).ok();
    assert!(pushed.err.contains(" pushed\n"), "{pushed:?}");
    let pulled = place.run(&format!("-v sync --db b.db --node b {url} --batch 500")).ok();
    assert!(pulled.err.contains(" of at most 3,000 pulled, 0 pushed\n"), "{pulled:?}");
    let json = place.run(&format!("--json sync --db c.db --node c {url}")).ok();
    let progress: serde_json::Value =
        json.err.lines().find_map(|line| serde_json::from_str(line).ok()).expect("a line of JSON");
    assert_eq!(progress["progress"]["to_pull"], 3_000, "{json:?}");
    assert_eq!(json.json().len(), 1, "the answer stands alone: {json:?}");
    assert_eq!(place.run(&format!("sync --db d.db --node d {url}")).ok().err, "");
}

#[test]
fn clients_of_go_sync_kit_are_answered_on_demand() {
    use std::io::{Read, Write};
    let place = Place::new();
    let push = |url: &str, path: &str| {
        let body = r#"[{"event":{"id":"go-1","type":"T","aggregate_id":"x","data":1,"metadata":null},"version":"1"}]"#;
        let address = url.strip_prefix("http://").expect("http");
        let mut stream = std::net::TcpStream::connect(address).expect("it listens");
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        answer.split(' ').nth(1).expect("a status").to_owned()
    };
    let (hub, url) = place.serve("--db hub.db --node hub --go-client tablet=go-tablet");
    assert_eq!(push(&url, "/clients/tablet/push"), "200");
    assert_eq!(push(&url, "/clients/phone/push"), "404");
    assert_eq!(push(&url, "/push"), "404", "the paths without a name are closed");
    drop(hub);
    let log = place.run("--json log --db hub.db").ok().json();
    assert_eq!((log.len(), &log[0]["event"]["dot"]["node"]), (1, &"go-tablet".into()));
    let (_hub, url) = place.serve("--db hub.db");
    assert_eq!(push(&url, "/push"), "404");
    place.run("serve --db hub.db --go-client tablet").fails(2, &["NAME=NODE"]);
    place
        .run("serve --db hub.db --listen 127.0.0.1:0 --go-client tablet=hub")
        .fails(1, &["tablet", "the node id of the hub"]);
}

#[test]
fn directions_filters_and_batches_are_heard() {
    let place = Place::new();
    let (_hub, url) = place.serve("--db hub.db");
    for number in 0..5 {
        note(&place, "a", &format!("note-{number}"), "n");
        note(&place, "a", &format!("task-{number}"), "t");
    }
    let sync = |options: &str| place.run(&format!("--json sync {url} {options}")).ok().json().remove(0);
    assert_eq!(sync("--db a.db --pull-only")["pushed"], 0);
    assert_eq!(sync("--db a.db --push-only --prefix note- --batch 2")["pushed"], 5);
    assert_eq!(sync("--db b.db --node b --aggregate note-1 --aggregate note-2")["pulled"], 2);
    assert_eq!(sync("--db a.db --timeout 60 --retry-refused")["pushed"], 5);
    assert_eq!(sync("--db b.db --type Other")["pulled"], 0);
    assert_eq!(sync("--db b.db")["pulled"], 8);
    place.run(&format!("sync --db a.db {url} --push-only --pull-only")).fails(2, &["cannot be used with"]);
    place.run(&format!("sync --db a.db {url} --batch 0")).fails(2, &["--batch"]);
}

#[test]
fn a_hub_that_is_not_there_is_said_to_be_so() {
    let place = Place::new();
    note(&place, "a", "note-1", "milk");
    // A port that was free a moment ago.
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let said = place.run(&format!("--json sync --db a.db http://127.0.0.1:{port}"));
    let said = said.fails(4, &["error: cannot connect", "hint: ", "synckit serve"]);
    let answer = &said.json()[0];
    assert_eq!(answer["error"]["retryable"], true);
    assert_eq!(answer["report"]["pushed"], 0);
}

#[test]
fn a_refused_event_is_named_and_the_rest_arrives() {
    let place = Place::new();
    let (_hub, url) = place.serve("--db hub.db");
    place.run("record --db a.db --node a --type T --aggregate x --data 1 --id one").ok();
    place.run("record --db b.db --node b --type T --aggregate x --data 2 --id one").ok();
    place.run("record --db b.db --type T --aggregate y --data 3 --id two").ok();
    place.run(&format!("sync --db a.db {url}")).ok();
    let said = place.run(&format!("sync --db b.db {url} --push-only"));
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.out.contains("1 pushed") && said.out.contains("one  id_taken by the hub"), "{said:?}");
    let refused = place.run("--json refused --db b.db").ok().json();
    assert_eq!((refused.len(), &refused[0]["id"], &refused[0]["by"]), (1, &"one".into(), &"peer".into()));
    assert!(place.run("refused --db b.db").ok().out.starts_with("one  id_taken  refused by"));
    // It is said at every sync, and tried again only on demand.
    assert_eq!(place.run(&format!("sync --db b.db {url} --push-only")).code, Some(3));
    assert_eq!(place.run(&format!("sync --db b.db {url} --push-only --retry-refused")).code, Some(3));
    place.run("refused --db b.db --drop one").ok();
    assert_eq!(place.run("refused --db b.db").ok().out, "nothing was refused\n");
}

#[test]
fn a_follower_sees_what_another_process_records() {
    let place = Place::new();
    note(&place, "a", "note-1", "first");
    let mut log = place.start("log --db a.db --follow");
    assert!(log.line().contains("first"));
    note(&place, "a", "note-1", "second");
    assert!(log.line().contains("second"));
    #[cfg(unix)]
    {
        log.signal("INT");
        assert_eq!(log.code(), Some(0));
    }
}

#[cfg(unix)]
#[test]
fn a_signal_ends_the_hub_cleanly() {
    let place = Place::new();
    for signal in ["TERM", "INT"] {
        let (mut hub, url) = place.serve("--db hub.db");
        place.run(&format!("sync --db a.db --node a {url}")).ok();
        hub.signal(signal);
        assert_eq!(hub.code(), Some(0), "{signal}");
        assert_eq!(place.files(), ["a.db", "hub.db"], "{signal}");
    }
}

#[test]
fn a_hub_keeps_its_name() {
    let place = Place::new();
    let name = |hub: &mut common::Running| -> String {
        let answer: serde_json::Value = serde_json::from_str(&hub.line()).expect("JSON");
        answer["node"].as_str().expect("a name").to_owned()
    };
    let mut hub = place.start("--json serve --listen 127.0.0.1:0 --db hub.db");
    let made = name(&mut hub);
    assert!(made.starts_with("hub-"), "{made}");
    drop(hub);
    assert_eq!(name(&mut place.start("--json serve --listen 127.0.0.1:0 --db hub.db")), made);
    place.run("serve --db hub.db --node other --listen 127.0.0.1:0").fails(1, &["another node"]);
    place.run("serve --db new.db --listen nowhere").fails(2, &["--listen"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    place
        .run(&format!("serve --db new.db --listen {address}"))
        .fails(1, &["cannot be listened on", "--listen"]);
    assert!(!place.files().contains(&"new.db".to_owned()));
}

#[test]
fn the_demo_checks_itself() {
    let place = Place::new();
    let said = place.run("demo --events 150 --seed 7").ok();
    let verdict = said.out.lines().last().expect("a verdict");
    assert_eq!(
        verdict,
        "150 events, 0 lost, 0 duplicated, causal order kept, 3 conflicts settled, views equal, seed 7"
    );
    assert!(said.out.contains("killed in the middle of a push"), "{said:?}");
    assert_eq!(said.err, "");
}

#[test]
fn the_demo_keeps_its_files_on_demand() {
    let place = Place::new();
    let said = place.run("--json demo --events 60 --seed 1 --keep kept").ok();
    let verdict = said.json().remove(0);
    assert_eq!((&verdict["ok"], &verdict["events"], &verdict["seed"]), (&true.into(), &60.into(), &1.into()));
    let digests =
        ["a", "b", "c", "hub"].map(|name| place.run(&format!("digest --db kept/{name}.db")).ok().out);
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
    place.run("demo --keep kept").fails(1, &["is not empty"]);
    place.run("demo --events 1").fails(2, &["--events"]);
}

/// Starts a server in this process that answers nothing and hands over the head of each request.
fn overheard() -> (String, std::sync::mpsc::Receiver<String>) {
    use std::io::BufRead;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (heard, hear) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let lines = std::io::BufReader::new(stream).lines().map_while(Result::ok);
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            if heard.send(head.join("\n")).is_err() {
                return;
            }
        }
    });
    (url, hear)
}

#[test]
fn headers_and_users_for_a_proxy_are_sent_with_every_call() {
    let place = Place::new();
    note(&place, "a", "note-1", "milk");
    let (url, heard) = overheard();
    place.write("user", "ann:open sesame\n");
    place.write("headers", "X-Team: tills\n\nX-Trace: 7:8\n");
    let sync = format!("sync --db a.db {url} --timeout 5");
    let said =
        place.run_with(&sync, &["--header", "X-One: 1", "--header", "@headers", "--user", "@user"], "");
    assert_eq!(said.code, Some(4), "{said:?}");
    let head = heard.recv().expect("a request").to_ascii_lowercase();
    for header in ["x-one: 1", "x-team: tills", "x-trace: 7:8", "authorization: basic yw5uom9wzw4gc2vzyw1l"] {
        assert!(head.lines().any(|line| line == header), "{header} is not in {head}");
    }
    place.run(&format!("{sync} --user ann")).fails(2, &["no password", "--user USER:PASSWORD"]);
    let said = place.run(&format!("{sync} --header secret")).fails(2, &["no colon"]);
    assert!(!said.err.contains("secret"), "{said:?}");
    place.run(&format!("{sync} --user @none")).fails(1, &["the file of --user cannot be read: none"]);
    let said = place.run_with(&sync, &["--header", "bad name: secret"], "").fails(1, &[]);
    assert!(!said.err.contains("secret"), "{said:?}");
}
