//! Clients of go-sync-kit at a hub, beside synckit replicas: scripts over raw sockets, a real store behind.
#![allow(clippy::unwrap_used, reason = "in tests a panic is the report")]

#[allow(unreachable_pub, reason = "a module of this test")]
mod support;

use serde_json::{Value, json};
use support::{Hub, Table, event, new_event, push_packed};
use synckit_core::{Data, EventStore, Metadata, NewEvent};
use synckit_go::GoClients;
use synckit_http::HttpService;
use synckit_sqlite::SqliteStore;
use tokio::io::{AsyncBufReadExt, BufReader};

/// Syncs two clients, each with its own table and 100 offline events, and a replica, until nobody has anything left.
async fn all_get_everything(mut hub: Hub, restart: bool) {
    let replica = hub.replica("rep").await;
    replica
        .replica()
        .record((0..20).map(|n| new_event(&format!("rep-{n}"), &format!("r{n}"))))
        .await
        .unwrap();
    let (mut ann, mut bob) = (Table::new("/sync/clients/ann"), Table::new("/clients/bob"));
    for n in 0..100 {
        ann.record(&format!("ann-{n}"), &format!("a{}", n % 10));
        bob.record(&format!("bob-{n}"), &format!("b{}", n % 10));
    }
    let expected = hub.ids().await.len() + 220;
    for round in 0..4 {
        ann.sync(&hub).await.expect("nothing comes twice");
        bob.sync(&hub).await.expect("nothing comes twice");
        replica.sync().await.unwrap();
        if restart && round == 0 {
            hub = hub.restart().await;
            replica.replica().store().close().await.unwrap();
            return Box::pin(rest(hub, ann, bob, expected)).await;
        }
    }
    check(&hub, &ann, &bob, expected).await;
    let ids = replica.replica().store().head().await.unwrap().position;
    assert_eq!(ids as usize, expected, "the replica sees them");
    assert_eq!(hub.conflicts().await, [""; 0]);
}

async fn rest(hub: Hub, mut ann: Table, mut bob: Table, expected: usize) {
    let replica = hub.replica("rep").await;
    for _ in 0..3 {
        ann.sync(&hub).await.expect("nothing comes twice");
        bob.sync(&hub).await.expect("nothing comes twice");
        replica.sync().await.unwrap();
    }
    check(&hub, &ann, &bob, expected).await;
}

async fn check(hub: &Hub, ann: &Table, bob: &Table, expected: usize) {
    let ids = hub.ids().await;
    assert_eq!((ids.len(), hub.log().await.len()), (expected, expected));
    assert_eq!(ann.ids(), ids);
    assert_eq!(bob.ids(), ids);
}

#[tokio::test]
async fn two_clients_with_100_offline_events_each_and_an_empty_hub() {
    all_get_everything(Hub::start().await, false).await;
}

#[tokio::test]
async fn two_clients_with_100_offline_events_each_and_a_hub_that_holds_50() {
    all_get_everything(Hub::holding(50).await, false).await;
}

#[tokio::test]
async fn the_hub_restarts_in_between() {
    all_get_everything(Hub::holding(50).await, true).await;
}

#[tokio::test]
async fn clients_without_a_name_that_keep_the_numbers_they_are_given_get_everything_too() {
    let hub = Hub::holding(50).await;
    for name in ["c", "d"] {
        let events: Vec<Value> =
            (0..100).map(|n| event(&format!("{name}-{n}"), name, json!({"n": n}))).collect();
        assert_eq!(push_packed(&hub, "/sync", &json!(events)).await.status, 200);
        assert_eq!(push_packed(&hub, "", &json!(events)).await.status, 200, "again changes nothing");
    }
    let (mut since, mut got) = (String::new(), Vec::new());
    loop {
        let page = hub.get(&format!("/pull?since={since}")).await.json();
        let Some(last) = page.as_array().unwrap().last() else { break };
        since = last["version"].as_str().unwrap().to_owned();
        got.extend(page.as_array().unwrap().clone());
    }
    assert_eq!((since.as_str(), got.len()), ("250", 250));
    let packed = hub.call("GET", "/pull?since=", "accept-encoding: gzip, deflate\r\n", b"").await;
    assert!(packed.head.contains("vary: accept") && packed.wire_bytes * 5 < packed.body.len());
    assert_eq!(hub.log().await[249].event.dot.as_ref().unwrap().node.as_str(), "hub/go");
    let ids: Vec<&str> = got.iter().map(|one| one["event"]["id"].as_str().unwrap()).collect();
    assert_eq!((ids[0], ids[50], ids[249]), ("seed-0", "c-0", "d-99"));
}

#[tokio::test]
async fn an_edit_on_what_was_not_seen_is_a_conflict_and_on_what_was_seen_is_none() {
    let hub = Hub::start().await;
    let replica = hub.replica("rep").await;
    replica.replica().record([new_event("r1", "x"), new_event("r2", "y")]).await.unwrap();
    replica.sync().await.unwrap();
    let mut ann = Table::new("/clients/ann");
    ann.record("a1", "x");
    ann.sync(&hub).await.unwrap();
    assert_eq!(hub.conflicts().await, ["x"], "it had not seen r1 when it wrote");
    assert_eq!(ann.sync(&hub).await, Ok(2), "r1 and r2");
    ann.record("a2", "x");
    ann.record("a3", "y");
    ann.sync(&hub).await.unwrap();
    assert_eq!(hub.conflicts().await, [""; 0], "a2 is on top of both");
    let report = replica.sync().await.unwrap();
    assert_eq!(report.pulled, 3);
    let log = hub.log().await;
    let of = |id: &str| log.iter().find(|stored| stored.event.id.as_str() == id).unwrap().event.clone();
    assert!(of("a3").has_seen(&of("r2")) && !of("a1").has_seen(&of("r1")));
    assert_eq!(of("a3").dot.unwrap().node.as_str(), "go-ann");
}

#[tokio::test]
async fn an_edit_that_stands_before_what_was_pulled_in_the_same_push_had_not_seen_it() {
    let hub = Hub::start().await;
    let replica = hub.replica("rep").await;
    let mut ann = Table::new("/clients/ann");
    ann.record("a1", "w");
    ann.sync(&hub).await.unwrap();
    ann.record("a2", "x");
    replica.replica().record([new_event("r1", "x")]).await.unwrap();
    replica.sync().await.unwrap();
    ann.sync(&hub).await.unwrap();
    assert_eq!(hub.conflicts().await, ["x"]);
}

#[tokio::test]
async fn an_answer_that_is_lost_is_no_proof_that_anything_was_seen() {
    let hub = Hub::start().await;
    let replica = hub.replica("rep").await;
    let mut ann = Table::new("/clients/ann");
    ann.record("a1", "w");
    ann.sync(&hub).await.unwrap();
    replica.replica().record([new_event("r1", "x")]).await.unwrap();
    replica.sync().await.unwrap();
    assert_eq!(ann.ask_for_more(&hub).await.json().as_array().unwrap().len(), 1, "and nothing of it arrives");
    ann.record("a2", "x");
    ann.push(&hub).await.unwrap();
    assert_eq!(hub.conflicts().await, ["x"]);
    assert_eq!(ann.pull(&hub).await, Ok(1), "it comes again");
}

#[tokio::test]
async fn a_client_that_keeps_the_numbers_it_is_given_confirms_by_them() {
    let hub = Hub::holding(5).await;
    let page = hub.get("/clients/ann/pull?since=").await.json();
    let last = page.as_array().unwrap().last().unwrap()["version"].as_str().unwrap().to_owned();
    assert_eq!(page.as_array().unwrap().len(), 5);
    assert_eq!(hub.get(&format!("/clients/ann/pull?since={last}")).await.json(), json!([]));
    let edit = json!([event("a1", "s1", json!(1))]);
    assert_eq!(hub.post("/clients/ann/push", &edit).await.status, 200);
    assert_eq!(hub.conflicts().await, [""; 0]);
}

#[tokio::test]
async fn a_client_whose_table_was_wiped_gets_everything_again_its_own_included() {
    let hub = Hub::holding(5).await;
    let mut ann = Table::new("/clients/ann");
    (0..5).for_each(|n| ann.record(&format!("a-{n}"), "x"));
    for _ in 0..2 {
        ann.sync(&hub).await.unwrap();
    }
    assert_eq!(ann.ids(), hub.ids().await);
    let mut ann = Table::new("/clients/ann");
    for _ in 0..2 {
        ann.sync(&hub).await.unwrap();
    }
    assert_eq!(ann.ids(), hub.ids().await);
}

#[tokio::test]
async fn clients_that_bring_the_same_history_meet_each_other() {
    let hub = Hub::start().await;
    let (mut ann, mut bob) = (Table::new("/clients/ann"), Table::new("/clients/bob"));
    for n in 0..250 {
        ann.record(&format!("old-{n}"), "x");
        assert!(bob.insert(
            event(&format!("old-{}", 249 - n), "x", json!({"by": "/clients/ann", "n": 1.5}))["event"].take()
        ));
    }
    bob.record("bob-new", "y");
    for _ in 0..2 {
        ann.sync(&hub).await.expect("nothing comes twice");
        bob.sync(&hub).await.expect("nothing comes twice");
    }
    ann.sync(&hub).await.expect("nothing comes twice");
    assert_eq!(hub.log().await.len(), 251);
    assert_eq!((ann.ids(), bob.ids()), (hub.ids().await, hub.ids().await));
}

#[tokio::test]
async fn one_bad_event_is_named_and_the_others_are_stored() {
    let hub = Hub::start().await;
    let batch = json!([
        event("1", "x", json!(1)),
        {"event": {"id": "2", "type": "", "aggregate_id": "x"}},
        event("3", "x", json!("x".repeat(300_000))),
        7,
        event("4", "x", json!(4)),
    ]);
    for _ in 0..2 {
        let answer = push_packed(&hub, "", &batch).await;
        assert_eq!(answer.status, 400);
        let error = answer.error();
        assert!(
            error.contains("3 of 5") && error.contains("event 1 \"2\"") && error.contains("event 3 \"\""),
            "{error}"
        );
        let ids: Vec<String> = hub.log().await.iter().map(|stored| stored.event.id.to_string()).collect();
        assert_eq!(ids, ["1", "4"]);
    }
}

#[tokio::test]
async fn the_same_id_with_other_content_is_an_error_and_what_doubles_cannot_tell_apart_is_not() {
    let hub = Hub::start().await;
    let replica = hub.replica("rep").await;
    let text = r#"{"n": 9007199254740993, "f": 1.0, "a": [ ]}"#;
    let new = NewEvent::with_data("Noted", "x", Data::json(text).unwrap()).unwrap();
    replica.replica().record([new.with_id("r".parse().unwrap())]).await.unwrap();
    replica.sync().await.unwrap();
    let again = json!({"a": [], "f": 1, "n": 9007199254740992_u64});
    for _ in 0..2 {
        let answer =
            hub.post("/push", &json!([event("r", "x", again.clone()), event("r", "x", again.clone())])).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    for other in [event("r", "x", json!({"a": [], "f": 2, "n": 1})), event("r", "y", again.clone())] {
        let answer = hub.post("/push", &json!([event("new", "x", json!(1)), other])).await;
        assert_eq!(answer.status, 409);
        assert!(answer.error().contains("event 1 \"r\": the id already names"), "{}", answer.text());
    }
    assert_eq!(hub.log().await.len(), 2);
}

#[tokio::test]
async fn data_comes_back_as_it_was_sent_also_to_and_from_replicas() {
    let hub = Hub::start().await;
    let body = br#"[{"event":{"id":"1","type":"T","aggregate_id":"x","data":{"z":1.0,"n":9007199254740993,"s":"\u00e9"},"metadata":{"b":1.0,"a":2}},"version":"1"}]"#;
    assert_eq!(hub.call("POST", "/push", "", body).await.status, 200, "without a content type");
    let replica = hub.replica("rep").await;
    let json = |text| Data::json(text).unwrap();
    for (id, data) in [
        ("bytes", Data::bytes(vec![0, 255])),
        ("huge", json("1e400")),
        ("as if bytes", json(r#"{ "data_base64": "AP8=" }"#)),
        ("as if huge", json(r#"{ "data_text": "1e400" }"#)),
        ("as if text", json(r#"{ "data_text": "[" }"#)),
    ] {
        let metadata = Metadata::json(r#"{"n":1e400}"#).unwrap();
        let new = NewEvent::with_data("T", "y", data).unwrap().with_metadata(metadata);
        replica.replica().record([new.with_id(id.parse().unwrap())]).await.unwrap();
    }
    replica.sync().await.unwrap();
    let text = hub.get("/pull").await;
    let text = text.text();
    assert!(
        text.contains(r#""data":{"z":1.0,"n":9007199254740993,"s":"\u00e9"},"metadata":{"b":1.0,"a":2}}"#),
        "{text}"
    );
    assert!(
        text.contains(r#""data":{"data_base64":"AP8="}"#) && text.contains(r#""data":{"data_text":"1e400"}"#),
        "{text}"
    );
    let again = hub.call("POST", "/push", "", text.as_bytes()).await;
    assert_eq!(again.status, 200, "what was pulled is pushed again: {}", again.text());
    assert_eq!(hub.log().await.len(), 6);
}

#[tokio::test]
async fn a_resolution_is_pulled_like_any_event_and_may_come_back() {
    let hub = Hub::start().await;
    let replica = hub.replica("rep").await;
    replica.replica().record([new_event("r1", "x")]).await.unwrap();
    let mut ann = Table::new("/clients/ann");
    ann.record("a1", "x");
    ann.sync(&hub).await.unwrap();
    replica.sync().await.unwrap();
    assert_eq!(hub.log().await.len(), 3, "two heads, settled by the replica");
    for _ in 0..2 {
        ann.sync(&hub).await.expect("nothing comes twice");
    }
    assert_eq!(ann.ids(), hub.ids().await);
}

#[tokio::test]
async fn a_store_that_fails_is_never_answered_200() {
    let hub = Hub::holding(1).await;
    hub.store.close().await.unwrap();
    let batch = json!([event("1", "x", json!(1))]);
    for answer in [
        hub.post("/push", &batch).await,
        hub.post("/clients/ann/push", &batch).await,
        hub.get("/pull?since=0").await,
        hub.post("/pull-cursor", &json!({})).await,
    ] {
        assert!(answer.status >= 500, "{}", answer.text());
        answer.error();
    }
}

#[tokio::test]
async fn a_history_above_20_mib_is_pulled_in_pages_that_a_client_can_take() {
    let hub = Hub::start().await;
    let events: Vec<Value> = (0..100)
        .map(|n| event(&format!("{n}"), &format!("x{n}"), json!(format!("{n} ").repeat(75_000))))
        .collect();
    for batch in events.chunks(10) {
        assert_eq!(push_packed(&hub, "", &json!(batch)).await.status, 200);
    }
    let (mut since, mut got, mut bytes) = (0, 0, 0);
    for accept in ["", "accept-encoding: gzip, deflate\r\n"].iter().cycle().take(100) {
        let page = hub.call("GET", &format!("/pull?since={since}"), accept, b"").await;
        assert!(page.wire_bytes < 10 << 20 && page.body.len() < 20 << 20);
        bytes += page.body.len();
        let count = page.json().as_array().unwrap().len();
        got += count;
        since = got;
        if count == 0 {
            break;
        }
    }
    assert!(got == 100 && bytes > 20 << 20, "{got} events, {bytes} bytes");
}

#[tokio::test]
async fn pages_by_cursor() {
    let hub = Hub::holding(250).await;
    let ask = async |since: Value, limit: i64| {
        let answer = hub.post("/sync/pull-cursor", &json!({"since": since, "limit": limit})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    for (limit, count) in [(1, 1), (1_000, 250), (0, 200), (1_001, 200), (-1, 200)] {
        let page = ask(Value::Null, limit).await;
        assert_eq!(page["events"].as_array().unwrap().len(), count);
        assert_eq!(page["next"], json!({"kind": "integer", "data": count}));
    }
    let page = ask(json!({"kind": "integer", "data": 248}), 10).await;
    assert_eq!(page["events"].as_array().unwrap().len(), 2);
    assert_eq!(ask(page["next"].clone(), 10).await, json!({"events": []}));
    for bad in [
        json!({"kind": "vector", "data": {"a": 1}}),
        json!({"kind": "integer", "data": "x"}),
        json!({"kind": "integer"}),
    ] {
        let answer = hub.post("/pull-cursor", &json!({"since": bad})).await;
        assert_eq!(answer.status, 400);
        answer.error();
    }
}

#[tokio::test]
async fn a_stream_goes_on_live_and_shows_that_it_is_alive() {
    let hub = Hub::holding(150).await;
    let cursor = "%7B%22kind%22%3A%22integer%22%2C%22data%22%3A20%7D";
    let stream = hub.connect("GET", &format!("/sync/sse?cursor={cursor}"), "", b"").await;
    let mut lines = BufReader::new(stream).lines();
    let mut got = Vec::new();
    let mut beats = 0;
    let mut asked = false;
    while got.len() < 131 {
        let line = lines.next_line().await.unwrap().expect("the stream goes on");
        let line = line.trim();
        if line.starts_with(':') {
            beats += 1;
        }
        if let Some(data) = line.strip_prefix("data: ") {
            let page: Value = serde_json::from_str(data).expect("one line is one message");
            let events = page["events"].as_array().unwrap();
            assert!(events.len() <= 100);
            got.extend(events.iter().map(|one| one["version"].as_str().unwrap().parse::<u64>().unwrap()));
            assert_eq!(page["next_cursor"], json!({"kind": "integer", "data": got.last()}));
        }
        if got.len() == 130 && !asked && beats > 0 {
            asked = true;
            let body = b"[{\"event\":{\"id\":\"live\",\"type\":\"T\",\"aggregate_id\":\"x\",\"data\":{\n\"a\":\r\n1}},\"version\":\"\"}]";
            assert_eq!(hub.call("POST", "/push", "", body).await.status, 200);
        }
    }
    assert_eq!(got, (21..=151).collect::<Vec<u64>>());
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_told_by_its_status() {
    let hub = Hub::start().await;
    let json = "content-type: application/json\r\n";
    let gzip = "content-encoding: gzip\r\n";
    for (method, path, headers, body, status) in [
        ("POST", "/push", json, &b""[..], 400),
        ("POST", "/push", json, b"{}", 400),
        ("POST", "/push", json, b"[", 400),
        ("POST", "/push", gzip, b"[]", 400),
        ("POST", "/push", "content-type: text/plain\r\n", b"[]", 415),
        ("POST", "/push", "content-encoding: zstd\r\n", b"[]", 415),
        ("POST", "/push", "content-type: application/json; charset=utf-8\r\n", b"[]", 200),
        ("GET", "/push", "", b"", 405),
        ("POST", "/pull", json, b"", 405),
        ("POST", "/latest-version", json, b"", 405),
        ("GET", "/pull-cursor", "", b"", 405),
        ("POST", "/pull-cursor", json, b"", 400),
        ("GET", "/pull?since=abc", "", b"", 400),
        ("GET", "/pull?since=-1", "", b"", 400),
        ("GET", "/pull?since=18446744073709551615", "", b"", 200),
        ("GET", "/sse?cursor=x", "", b"", 400),
        ("GET", "/other", "", b"", 404),
        ("GET", "/clients/nobody/pull", "", b"", 404),
    ] {
        let answer = hub.call(method, path, headers, body).await;
        assert_eq!(answer.status, status, "{method} {path} {}", answer.text());
        if status != 200 {
            answer.error();
        }
    }
    let answer = hub.call("PUT", "/v1/push", json, b"{}").await;
    assert!(answer.json()["error"]["code"].is_string(), "the paths of synckit keep their form");
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::copy(&mut std::io::Read::take(std::io::repeat(b' '), 100 << 20), &mut packer).unwrap();
    let answer = hub.call("POST", "/push", gzip, &packer.finish().unwrap()).await;
    assert_eq!((answer.status, hub.log().await.len()), (413, 0));
    answer.error();
}

#[tokio::test]
async fn old_clients_are_answered_only_where_it_was_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open_as(directory.path().join("hub.db"), support::node("hub")).await.unwrap();
    let endpoint = synckit::Endpoint::new(store);
    let mut service = HttpService::new(endpoint);
    let request = http::Request::get("/latest-version").body(String::new()).unwrap();
    let answer = tower_service::Service::call(&mut service, request).await.unwrap();
    assert_eq!(answer.status(), 404);
}

#[tokio::test]
async fn names_of_clients_are_checked() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open_as(directory.path().join("hub.db"), support::node("hub")).await.unwrap();
    let clients = || GoClients::new(store.clone()).with_client("ann", support::node("go-ann")).unwrap();
    for (name, node) in
        [("", "a"), ("a/b", "a"), ("a b", "a"), ("ann", "other"), ("other", "go-ann"), ("other", "till~1")]
    {
        assert!(clients().with_client(name, support::node(node)).is_err(), "{name} {node}");
    }
    for node in ["go-ann", "till~1"] {
        assert!(clients().with_node(support::node(node)).is_err(), "{node}");
    }
}

#[tokio::test]
async fn a_restored_hub_that_hears_its_replicas_first_stamps_nothing_twice() {
    let hub = Hub::start().await;
    let mut ann = Table::new("/clients/ann");
    ann.record("a1", "x");
    ann.sync(&hub).await.unwrap();
    let directory = hub.stop().await;
    let (file, copy) = (directory.path().join("hub.db"), directory.path().join("copy.db"));
    std::fs::copy(&file, &copy).unwrap();

    let hub = Hub::open(directory, true).await;
    let replica = hub.replica("rep").await;
    ann.record("a2", "x");
    ann.sync(&hub).await.unwrap();
    replica.sync().await.unwrap();
    let stamped = hub.log().await[1].event.clone();
    replica.replica().store().close().await.unwrap();
    let directory = hub.stop().await;
    std::fs::copy(&copy, &file).unwrap();

    let hub = Hub::open(directory, false).await;
    let replica = hub.replica("rep").await;
    replica.sync().await.unwrap();
    replica.replica().store().close().await.unwrap();
    let hub = hub.restart().await;
    ann.record("a3", "x");
    ann.sync(&hub).await.unwrap();
    let replica = hub.replica("rep").await;
    let report = replica.sync().await.unwrap();
    assert_eq!((report.pulled, hub.conflicts().await), (1, Vec::new()));
    let log = hub.log().await;
    assert_eq!(log[1].event, stamped, "a replica brought it back as it was");
    let name = log[2].event.dot.as_ref().unwrap().node.clone();
    assert!(name.as_str().starts_with("go-ann~"), "{name}");
    assert!(log[2].event.has_seen(&stamped));
    assert_eq!(replica.replica().store().head().await.unwrap().position, 3);
}

#[tokio::test]
async fn a_replica_that_takes_the_name_of_an_old_client_goes_on_under_a_fresh_one() {
    let hub = Hub::start().await;
    let mut ann = Table::new("/clients/ann");
    ann.record("a1", "x");
    ann.sync(&hub).await.unwrap();
    let report = hub.replica("go-ann").await.sync().await.unwrap();
    assert_eq!((report.pulled, report.pushed), (1, 0));
    let name = report.recovery.renamed_to.expect("a fresh name");
    assert!(name.as_str().starts_with("go-ann~"), "{name}");
}
