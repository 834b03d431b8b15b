//! The wire: paths, forms, limits and statuses.

use serde_json::{Value, json};
use synckit_core::{Data, EventStore, Metadata, NewEvent};
use synckit_http::HttpService;
use synckit_sqlite::SqliteStore;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::hub::{Hub, event, node};
use crate::table::push_packed;

#[tokio::test]
async fn clients_without_a_name_that_keep_the_numbers_they_are_given_get_everything_too() {
    let hub = Hub::holding(50).await;
    for name in ["c", "d"] {
        let events: Vec<Value> =
            (0..100).map(|n| event(&format!("{name}-{n}"), name, json!({"n": n}))).collect();
        assert_eq!(push_packed(&hub, "/sync/clients/ann", &json!(events)).await.status, 200);
        assert_eq!(
            push_packed(&hub, "/clients/ann", &json!(events)).await.status,
            200,
            "again changes nothing"
        );
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
    assert_eq!(hub.log().await[249].event.dot.as_ref().unwrap().node.as_str(), "go-ann");
    let ids: Vec<&str> = got.iter().map(|one| one["event"]["id"].as_str().unwrap()).collect();
    assert_eq!((ids[0], ids[50], ids[249]), ("seed-0", "c-0", "d-99"));
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
        let answer = push_packed(&hub, "/clients/ann", &batch).await;
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
        let answer = hub
            .post(
                "/clients/ann/push",
                &json!([event("r", "x", again.clone()), event("r", "x", again.clone())]),
            )
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    for other in [event("r", "x", json!({"a": [], "f": 2, "n": 1})), event("r", "y", again.clone())] {
        let answer = hub.post("/clients/ann/push", &json!([event("new", "x", json!(1)), other])).await;
        assert_eq!(answer.status, 409);
        assert!(answer.error().contains("event 1 \"r\": the id already names"), "{}", answer.text());
    }
    assert_eq!(hub.log().await.len(), 2);
}

#[tokio::test]
async fn data_comes_back_as_it_was_sent_also_to_and_from_replicas() {
    let hub = Hub::start().await;
    let body = br#"[{"event":{"id":"1","type":"T","aggregate_id":"x","data":{"z":1.0,"n":9007199254740993,"s":"\u00e9"},"metadata":{"b":1.0,"a":2}},"version":"1"}]"#;
    assert_eq!(hub.call("POST", "/clients/ann/push", "", body).await.status, 200, "without a content type");
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
    let again = hub.call("POST", "/clients/ann/push", "", text.as_bytes()).await;
    assert_eq!(again.status, 200, "what was pulled is pushed again: {}", again.text());
    assert_eq!(hub.log().await.len(), 6);
}

#[tokio::test]
async fn a_store_that_fails_is_never_answered_200() {
    let hub = Hub::holding(1).await;
    hub.store.close().await.unwrap();
    let batch = json!([event("1", "x", json!(1))]);
    for answer in [
        hub.post("/clients/ann/push", &batch).await,
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
        assert_eq!(push_packed(&hub, "/clients/ann", &json!(batch)).await.status, 200);
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
            assert_eq!(hub.call("POST", "/clients/ann/push", "", body).await.status, 200);
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
        ("POST", "/clients/ann/push", json, &b""[..], 400),
        ("POST", "/clients/ann/push", json, b"{}", 400),
        ("POST", "/clients/ann/push", json, b"[", 400),
        ("POST", "/clients/ann/push", gzip, b"[]", 400),
        ("POST", "/clients/ann/push", "content-type: text/plain\r\n", b"[]", 415),
        ("POST", "/clients/ann/push", "content-encoding: zstd\r\n", b"[]", 415),
        ("POST", "/clients/ann/push", "content-type: application/json; charset=utf-8\r\n", b"[]", 200),
        ("GET", "/clients/ann/push", "", b"", 405),
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
    let answer = hub.call("POST", "/clients/ann/push", gzip, &packer.finish().unwrap()).await;
    assert_eq!((answer.status, hub.log().await.len()), (413, 0));
    assert!(answer.error().contains("SyncOptions.BatchSize"), "{}", answer.text());
}

#[tokio::test]
async fn old_clients_are_answered_only_where_it_was_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open_as(directory.path().join("hub.db"), node("hub")).await.unwrap();
    let endpoint = synckit::Endpoint::new(store);
    let mut service = HttpService::new(endpoint);
    let request = http::Request::get("/latest-version").body(String::new()).unwrap();
    let answer = tower_service::Service::call(&mut service, request).await.unwrap();
    assert_eq!(answer.status(), 404);
}
