//! What the server does with requests that are wrong, large, slow or meant to harm. All of them go over raw sockets,
//! and after each the server still serves.
#![allow(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod common;

use common::{JSON, Server, bombs, event, events, hello, packings, post, push, read_all, short};
use synckit_core::{Caller, RefusedCode, Transport};
use synckit_http::{ServerConfig, Timeouts};
use synckit_wire::{Encode, WireLimits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn quick() -> ServerConfig {
    ServerConfig { timeouts: short(), ..ServerConfig::default() }
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or(answer)
}

/// Returns the code of the error in the body of an answer.
fn code(answer: &str) -> String {
    let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
    let body: serde_json::Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("no JSON: {answer}"));
    assert!(body["error"]["message"].is_string() && body["error"]["retryable"].is_boolean(), "{answer}");
    body["error"]["code"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_bomb_of_1_gib_is_refused() {
    let server = Server::start().await;
    for (how, bomb) in bombs() {
        assert!(bomb.len() < WireLimits::default().body_bytes, "it passes the limit on the wire");
        for path in ["/v1/push", "/v1/pull", "/v1/hello", "/v1/missing", "/v1/subscribe"] {
            let answer = post(&server, path, &format!("{JSON}content-encoding: {how}\r\n"), &bomb).await;
            assert_eq!((status(&answer), code(&answer).as_str()), ("413", "too_large"));
        }
        server.still_serves().await;
    }
}

#[tokio::test]
async fn packed_requests_are_read() {
    let server = Server::start().await;
    for (how, body) in packings(&push(events(50)).to_json()) {
        let answer = post(&server, "/v1/push", &format!("{JSON}content-encoding: {how}\r\n"), &body).await;
        assert!(answer.ends_with(r#"{"accepted":50,"duplicates":0,"refused":[]}"#), "{answer}");
    }
    assert_eq!(server.double.pushed.lock().unwrap().len(), 100);
}

#[tokio::test]
async fn answers_are_packed_as_accepted() {
    let server = Server::start().await;
    *server.double.log.lock().unwrap() = events(50);
    let body = common::pull().to_json();
    for (accept, expected) in [
        ("", None),
        ("accept-encoding: gzip\r\n", Some("content-encoding: gzip")),
        ("accept-encoding: gzip, zstd\r\n", Some("content-encoding: zstd")),
    ] {
        let answer = post(&server, "/v1/pull", &format!("{JSON}{accept}"), &body).await;
        assert!(answer.contains("vary: accept, accept-encoding"), "{answer}");
        assert_eq!(answer.contains("content-encoding"), expected.is_some(), "{accept}");
        assert!(expected.is_none_or(|expected| answer.contains(expected)), "{accept}");
    }
}

#[tokio::test]
async fn what_curl_sends_is_understood_and_what_it_gets_can_be_read() {
    let server = Server::start().await;
    *server.double.log.lock().unwrap() = vec![event(1, r#"{"n":9007199254740993}"#)];
    let body = br#"{"caller":{"node":"me","store":"00000000000000000000000000000001"}}"#;
    let answer =
        post(&server, "/v1/pull", "content-type: application/json\r\naccept: application/json\r\n", body)
            .await;
    assert_eq!(status(&answer), "200");
    assert!(answer.contains(r#""data":{"n":9007199254740993}"#), "{answer}");
    let health = server.raw("GET /v1/health HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await;
    assert!(health.starts_with("HTTP/1.1 200") && health.ends_with("{\"status\":\"ok\"}\n"), "{health}");
}

#[tokio::test]
async fn nesting_of_100_000_is_refused() {
    let server = Server::start().await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for (path, body) in [
        ("/v1/push", deep.clone()),
        ("/v1/push", format!(r#"{{"caller":{deep}}}"#)),
        ("/v1/hello", format!(r#"{{"filter":{deep}}}"#)),
        ("/v1/pull", format!(r#"{{"filter":{{"types":{deep}}}}}"#)),
    ] {
        let answer = post(&server, path, JSON, body.as_bytes()).await;
        assert!(["400", "413"].contains(&status(&answer)), "{answer}");
        code(&answer);
    }
    server.still_serves().await;
}

/// Pushes ten good events around a bad one, and checks that the ten arrive and that the bad one is named.
async fn ten_arrive(bad: &str, expected: (&str, RefusedCode)) {
    let server = Server::start().await;
    let mut texts: Vec<String> =
        (1..=10).map(|counter| serde_json::to_string(&event(counter, "1")).unwrap()).collect();
    texts.insert(5, bad.to_owned());
    let Caller { node, store } = common::caller();
    let body = format!(
        r#"{{"caller":{{"node":"{node}","store":"{store}"}},"filter":"all","events":[{}]}}"#,
        texts.join(",")
    );
    let answer = post(&server, "/v1/push", JSON, body.as_bytes()).await;
    assert_eq!(status(&answer), "200", "{answer}");
    let answer: synckit_core::PushResponse =
        serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!((answer.accepted, answer.refused.len()), (10, 1));
    let refused = &answer.refused[0];
    assert_eq!((refused.id.as_str(), refused.code), expected);
    let arrived: Vec<_> = server.double.pushed.lock().unwrap().clone();
    assert_eq!(arrived, (1..=10).map(|counter| event(counter, "1")).collect::<Vec<_>>());
    server.still_serves().await;
}

#[tokio::test]
async fn an_unparsable_event_is_refused_by_its_id_and_ten_arrive() {
    ten_arrive(r#"{"id":"bad","type":[]}"#, ("bad", RefusedCode::Invalid)).await;
}

#[tokio::test]
async fn a_clock_of_100_000_nodes_is_refused_and_ten_arrive() {
    let nodes: Vec<String> = (0..100_000).map(|node| format!("\"n{node}\":1")).collect();
    let text = serde_json::to_string(&event(99, "1")).unwrap();
    let bad = text.replace(r#""clock":{"a":99}"#, &format!(r#""clock":{{{}}}"#, nodes.join(",")));
    assert!(bad.len() > 1_000_000);
    ten_arrive(&bad, ("e-99", RefusedCode::Invalid)).await;
}

#[tokio::test]
async fn an_event_above_its_limit_is_refused_and_ten_arrive() {
    let text = serde_json::to_string(&event(99, &format!("{:?}", "x".repeat(300_000)))).unwrap();
    ten_arrive(&text, ("e-99", RefusedCode::TooLarge)).await;
}

#[tokio::test]
async fn data_nested_100_000_deep_is_refused_and_ten_arrive() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let text = serde_json::to_string(&event(99, "1")).unwrap();
    ten_arrive(&text.replace(r#""data":1"#, &format!(r#""data":{deep}"#)), ("e-99", RefusedCode::Invalid))
        .await;
}

#[tokio::test]
async fn a_batch_of_1_001_events_is_refused() {
    let server = Server::start().await;
    let events: Vec<_> = (1..=1_001).map(|counter| event(counter, "1")).collect();
    let answer = post(&server, "/v1/push", JSON, &push(events).to_json()).await;
    assert_eq!((status(&answer), code(&answer).as_str()), ("413", "too_large"));
    assert!(server.double.pushed.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_announced_length_above_the_limit_is_refused_at_once() {
    let server = Server::start().await;
    let head = format!("POST /v1/push HTTP/1.1\r\nhost: h\r\ncontent-length: 4194305\r\n{JSON}\r\n");
    let answer = server.raw(head).await;
    assert_eq!((status(&answer), code(&answer).as_str()), ("413", "too_large"));
    server.still_serves().await;
}

#[tokio::test]
async fn a_body_that_grows_above_the_limit_is_refused_and_its_sender_gets_the_answer() {
    let server = Server::start().await;
    let mut request =
        format!("POST /v1/push HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n{JSON}\r\n").into_bytes();
    for _ in 0..100 {
        request.extend_from_slice(b"10000\r\n");
        request.resize(request.len() + 0x10000, b' ');
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    let answer = server.raw(request).await;
    assert_eq!((status(&answer), code(&answer).as_str()), ("413", "too_large"));
    server.still_serves().await;
}

#[tokio::test]
async fn wrong_paths_methods_and_contents_are_told() {
    let server = Server::start().await;
    for path in [
        "/",
        "/v1",
        "/v1/nothing",
        "/v2/pull",
        "/v1/pull/",
        "/push",
        "/pull",
        "/latest-version",
        "/pull-cursor",
        "/sync/push",
        "/sync/pull",
    ] {
        let answer = post(&server, path, JSON, b"{}").await;
        assert_eq!((status(&answer), code(&answer).as_str()), ("404", "not_found"), "{path}");
    }
    let answer = server.raw("GET /v1/pull HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await;
    assert_eq!((status(&answer), code(&answer).as_str()), ("405", "unsupported"));
    assert!(answer.contains("allow: POST\r\n"), "{answer}");
    let answer = post(&server, "/v1/health", JSON, b"{}").await;
    assert!(status(&answer) == "405" && answer.contains("allow: GET, HEAD\r\n"), "{answer}");
    for headers in ["", "content-type: text/plain\r\n", "content-type: application/x-www-form-urlencoded\r\n"]
    {
        let answer = post(&server, "/v1/pull", headers, b"{}").await;
        assert_eq!((status(&answer), code(&answer).as_str()), ("415", "unsupported"), "{headers}");
        assert!(answer.contains("curl"), "{answer}");
    }
    for coding in ["br", "gzip, zstd"] {
        let answer = post(&server, "/v1/pull", &format!("{JSON}content-encoding: {coding}\r\n"), b"{}").await;
        assert_eq!(status(&answer), "415");
        assert!(answer.contains("accept-encoding: zstd, gzip"), "{answer}");
    }
    for body in ["", "{", "[]", "{}", "\u{0}"] {
        let answer = post(&server, "/v1/hello", JSON, body.as_bytes()).await;
        assert_eq!((status(&answer), code(&answer).as_str()), ("400", "invalid"), "{body}");
    }
    let answer = post(&server, "/v1/pull", &format!("{JSON}content-encoding: zstd\r\n"), b"not zstd").await;
    assert_eq!((status(&answer), code(&answer).as_str()), ("400", "invalid"));
    let answer = post(&server, "/v1/pull", "content-type: Application/JSON; charset=utf-8\r\n", b"{}").await;
    assert_eq!(status(&answer), "400");
    server.still_serves().await;
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let server = Server::with(quick()).await;
    assert_eq!(read_all(server.connect().await).await, "");
    server.still_serves().await;
}

#[tokio::test]
async fn a_header_sent_byte_by_byte_is_cut_off() {
    let server = Server::with(quick()).await;
    let (mut read, mut write) = server.connect().await.into_split();
    let drip = tokio::spawn(async move {
        let header = format!("POST /v1/push HTTP/1.1\r\nx: {}", "y".repeat(1_000));
        for byte in header.bytes() {
            if write.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("the whole header was taken");
    });
    let _ = read.read_to_end(&mut Vec::new()).await;
    drip.await.unwrap();
    server.still_serves().await;
}

#[tokio::test]
async fn a_connection_that_falls_silent_between_requests_is_closed() {
    let server = Server::with(quick()).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /v1/health HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
    let answer = read_all(stream).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
    server.still_serves().await;
}

#[tokio::test]
async fn a_body_that_stops_is_answered_408() {
    let server = Server::with(quick()).await;
    let mut stream = server.connect().await;
    let head = format!("POST /v1/push HTTP/1.1\r\nhost: h\r\ncontent-length: 100\r\n{JSON}\r\n{{");
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = read_all(stream).await;
    assert_eq!((status(&answer), code(&answer).as_str()), ("408", "timeout"));
    server.still_serves().await;
}

#[tokio::test]
async fn a_damaged_body_is_asked_for_again_and_judges_nothing() {
    let server = Server::start().await;
    let body = push(events(3)).to_json();
    let digest = |body: &[u8]| format!("{JSON}synckit-digest: {:08x}\r\n", crc32fast::hash(body));
    let answer = post(&server, "/v1/push", &digest(&body), &body).await;
    assert_eq!(status(&answer), "200");
    assert!(answer.contains("synckit-digest: "), "{answer}");
    let mut damaged = body.clone();
    damaged[20] ^= 1;
    let packed = zstd::encode_all(&body[..], 1).unwrap();
    for (headers, body) in [
        (digest(&body), damaged),
        // A proxy has removed the encoding.
        (digest(&body), packed.clone()),
        (format!("{}content-encoding: zstd\r\n", digest(&body)), packed[..packed.len() - 3].to_vec()),
        (format!("{JSON}synckit-digest: nothing\r\n"), body.clone()),
    ] {
        let answer = post(&server, "/v1/push", &headers, &body).await;
        assert_eq!((status(&answer), code(&answer).as_str()), ("503", "unavailable"));
        assert!(answer.contains("retry-after: 0\r\n"), "{answer}");
    }
    assert_eq!(server.double.pushed.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn a_body_that_trickles_is_answered_408_at_the_end_of_the_request_time() {
    let server = Server::with(quick()).await;
    let (mut read, mut write) = server.connect().await.into_split();
    let head = format!("POST /v1/push HTTP/1.1\r\nhost: h\r\ncontent-length: 100000\r\n{JSON}\r\n");
    write.write_all(head.as_bytes()).await.unwrap();
    let drip = tokio::spawn(async move {
        while write.write_all(b" ").await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });
    let mut answer = String::new();
    let _ = read.read_to_string(&mut answer).await;
    assert_eq!((status(&answer), code(&answer).as_str()), ("408", "timeout"));
    drip.abort();
    server.still_serves().await;
}

#[tokio::test]
async fn a_caller_that_does_not_read_is_cut_off() {
    let server =
        Server::with(ServerConfig { connections: 1, timeouts: short(), ..ServerConfig::default() }).await;
    let large = format!("{:?}", "x".repeat(200_000));
    *server.double.log.lock().unwrap() = (1..=60).map(|counter| event(counter, &large)).collect();
    let mut stream = server.connect().await;
    let body = common::pull().to_json();
    let head = format!("POST /v1/pull HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n{JSON}\r\n", body.len());
    stream.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
    server.double.begun.notified().await;
    // The only connection allowed is free again, although this answer was never read.
    server.still_serves().await;
    drop(stream);
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_answered_504() {
    let timeouts = Timeouts { request_ms: 200, ..short() };
    let server = Server::with(ServerConfig { timeouts, ..ServerConfig::default() }).await;
    *server.double.held.lock().unwrap() = true;
    let answer = post(&server, "/v1/hello", JSON, &hello().to_json()).await;
    assert_eq!((status(&answer), code(&answer).as_str()), ("504", "timeout"));
}

#[tokio::test]
async fn requests_beyond_the_limit_wait_and_are_then_told_to_come_again() {
    let server = Server::with(ServerConfig { requests: 1, queue_ms: 100, ..ServerConfig::default() }).await;
    *server.double.held.lock().unwrap() = true;
    let client = server.client();
    let first = tokio::spawn(async move { client.hello(hello()).await });
    server.double.begun.notified().await;
    let answer = post(&server, "/v1/hello", JSON, &hello().to_json()).await;
    assert_eq!((status(&answer), code(&answer).as_str()), ("503", "busy"));
    assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
    *server.double.held.lock().unwrap() = false;
    server.double.go.notify_one();
    first.await.unwrap().unwrap();
    server.still_serves().await;
}

#[tokio::test]
async fn callers_that_send_slowly_keep_nobody_from_being_served() {
    let server = Server::with(ServerConfig { requests: 1, queue_ms: 100, ..ServerConfig::default() }).await;
    let mut slow = Vec::new();
    for _ in 0..64 {
        let mut stream = server.connect().await;
        let begun = format!("POST /v1/push HTTP/1.1\r\nhost: h\r\ncontent-length: 1000\r\n{JSON}\r\n{{");
        stream.write_all(begun.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    server.still_serves().await;
    drop(slow);
}

#[tokio::test]
async fn what_arrives_at_once_is_bounded() {
    let limits = WireLimits { body_bytes: 1_000, ..WireLimits::default() };
    let config = ServerConfig { limits, arriving_bytes: 1_000, queue_ms: 100, ..ServerConfig::default() };
    let server = Server::with(config).await;
    let mut first = server.connect().await;
    let head = format!("POST /v1/push HTTP/1.1\r\nhost: h\r\ncontent-length: 1000\r\n{JSON}\r\n");
    first.write_all(format!("{head}{}", "x".repeat(999)).as_bytes()).await.unwrap();
    // Refused for want of memory, once the first has taken it.
    let busy = async {
        loop {
            let answer = post(&server, "/v1/hello", JSON, &hello().to_json()).await;
            if status(&answer) == "503" {
                return answer;
            }
        }
    };
    let answer =
        tokio::time::timeout(std::time::Duration::from_secs(20), busy).await.expect("memory is full");
    assert_eq!(code(&answer), "busy");
    drop(first);
    server.still_serves().await;
}
