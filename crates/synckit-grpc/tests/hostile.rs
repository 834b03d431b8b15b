//! What the server does with requests that are wrong, large, slow or meant to harm. After each it still serves.
#![allow(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod common;

use std::io::Write;
use std::time::Duration;

use common::{
    Answer, Server, bombs, call, call_with, event, events, frame, hello, packings, pull, push, short,
};
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use synckit_core::{HelloResponse, PushResponse, RefusedCode, Transport};
use synckit_grpc::ServerConfig;
use synckit_wire::{Decode, Encode, WireLimits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const METHODS: [&str; 6] = ["Hello", "Pull", "Push", "PushStream", "Missing", "Subscribe"];

const INVALID_ARGUMENT: i32 = 3;
const DEADLINE_EXCEEDED: i32 = 4;
const RESOURCE_EXHAUSTED: i32 = 8;
const UNIMPLEMENTED: i32 = 12;
const UNAVAILABLE: i32 = 14;

fn quick() -> ServerConfig {
    ServerConfig { timeouts: short(), ..ServerConfig::default() }
}

/// Reads the message of an answer as it was received: not packed, since no packing was asked for.
fn message<M: Decode>(answer: &Answer) -> M {
    assert_eq!((answer.code(), answer.body[0]), (0, 0), "{answer:?}");
    M::from_protobuf(&answer.body[5..], &WireLimits::default()).unwrap()
}

#[tokio::test]
async fn a_bomb_of_1_gib_is_refused() {
    let server = Server::start().await;
    for (how, bomb) in bombs() {
        let bomb = frame(1, &bomb);
        assert!(bomb.len() < WireLimits::default().body_bytes, "it passes the limit on the wire");
        for method in METHODS {
            let answer = call(&server, method, &[("grpc-encoding", how)], bomb.clone()).await;
            assert_eq!(answer.code(), RESOURCE_EXHAUSTED, "{method}");
        }
        server.still_serves().await;
    }
}

#[tokio::test]
async fn a_window_above_8_mib_is_refused() {
    let server = Server::start().await;
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.long_distance_matching(true).unwrap();
    encoder.write_all(&hello().to_protobuf()).unwrap();
    let packed = frame(1, &encoder.finish().unwrap());
    let answer = call(&server, "Hello", &[("grpc-encoding", "zstd")], packed).await;
    assert_eq!(answer.code(), INVALID_ARGUMENT);
    server.still_serves().await;
}

#[tokio::test]
async fn packed_requests_are_read_and_answers_are_packed_as_accepted() {
    let server = Server::start().await;
    *server.double.log.lock().unwrap() = events(50);
    for (how, body) in packings(&push(events(50)).to_protobuf()) {
        let answer = call(&server, "Push", &[("grpc-encoding", how)], frame(1, &body)).await;
        assert_eq!(message::<PushResponse>(&answer).accepted, 50);
        let answer =
            call(&server, "Pull", &[("grpc-accept-encoding", how)], frame(0, &pull().to_protobuf())).await;
        assert_eq!((answer.code(), answer.body[0]), (0, 1));
        assert_eq!(answer.status.get("grpc-encoding").unwrap(), how);
    }
}

#[tokio::test]
async fn a_message_announced_above_the_limit_is_refused_before_it_comes() {
    let server = Server::start().await;
    let length = (WireLimits::default().body_bytes as u32 + 1).to_be_bytes();
    let head = [&[0][..], &length].concat();
    for method in METHODS {
        // The body never sends more than that, and never ends.
        let frames = stream::iter([Ok(Frame::data(head.clone().into()))]).chain(stream::pending());
        let body = StreamBody::new(frames).boxed_unsync();
        assert_eq!(call_with(&server, method, &[], body).await.code(), RESOURCE_EXHAUSTED, "{method}");
    }
    server.still_serves().await;
}

#[tokio::test]
async fn garbage_is_refused() {
    let server = Server::start().await;
    let deep = vec![0x0b; 100_000];
    let cases = [
        (frame(7, b"x"), INVALID_ARGUMENT),
        (frame(0, b"\xff\xff\xff"), INVALID_ARGUMENT),
        (frame(0, &deep), INVALID_ARGUMENT),
        (frame(1, b"not packed"), INVALID_ARGUMENT),
        (Vec::new(), INVALID_ARGUMENT),
        (vec![0, 0, 0, 0, 9, 1], UNAVAILABLE),
    ];
    for (body, code) in cases {
        for method in ["Hello", "Pull", "Push", "Missing", "Subscribe"] {
            assert_eq!(call(&server, method, &[], body.clone()).await.code(), code, "{method} {body:?}");
        }
    }
    let answer =
        call(&server, "Hello", &[("grpc-encoding", "snappy")], frame(0, &hello().to_protobuf())).await;
    assert_eq!(answer.code(), UNIMPLEMENTED);
    assert!(answer.status.get("grpc-accept-encoding").is_some(), "it says what it takes");
    let answer = call(&server, "Latest", &[], frame(0, b"")).await;
    assert_eq!(answer.code(), UNIMPLEMENTED);
    let answer = call(&server, "Hello", &[("content-type", "application/json")], "{}").await;
    assert_eq!(answer.http, 415);
    server.still_serves().await;
}

#[tokio::test]
async fn an_event_that_is_none_is_refused_and_ten_arrive() {
    let server = Server::start().await;
    let mut body = push((1..=5).map(|counter| event(counter, "1")).collect()).to_protobuf();
    // Field 3, an event with only an id, which is not UTF-8.
    body.extend_from_slice(b"\x1a\x04\x0a\x02\xff\xfe");
    // Repeated fields are appended to; the caller and the filter are those of the second part.
    body.extend(push((6..=10).map(|counter| event(counter, "1")).collect()).to_protobuf());
    let answer: PushResponse = message(&call(&server, "Push", &[], frame(0, &body)).await);
    assert_eq!((answer.accepted, answer.refused.len()), (10, 1));
    assert_eq!(answer.refused[0].code, RefusedCode::Invalid);
    let arrived = server.double.pushed.lock().unwrap().clone();
    assert_eq!(arrived, (1..=10).map(|counter| event(counter, "1")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_batch_of_1_001_events_is_refused() {
    let server = Server::start().await;
    let body = push((1..=1_001).map(|counter| event(counter, "1")).collect()).to_protobuf();
    assert_eq!(call(&server, "Push", &[], frame(0, &body)).await.code(), RESOURCE_EXHAUSTED);
    assert!(server.double.pushed.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_request_that_does_not_come_is_a_timeout() {
    let mut config = quick();
    config.timeouts.request_ms = 200;
    let server = Server::with(config).await;
    for method in METHODS {
        let body = StreamBody::new(stream::pending()).boxed_unsync();
        assert_eq!(call_with(&server, method, &[], body).await.code(), DEADLINE_EXCEEDED, "{method}");
    }
    server.still_serves().await;
}

#[tokio::test]
async fn callers_that_send_slowly_keep_nobody_from_being_served() {
    let server = Server::with(ServerConfig { requests: 1, queue_ms: 100, ..ServerConfig::default() }).await;
    let slow = (0..64).map(|_| {
        let begun =
            stream::iter([Ok(Frame::data(frame(0, b"begun")[..7].to_vec().into()))]).chain(stream::pending());
        call_with(&server, "Push", &[], StreamBody::new(begun).boxed_unsync())
    });
    let slow = futures_util::future::join_all(slow);
    tokio::select! {
        answers = slow => panic!("a request that has not arrived was answered: {answers:?}"),
        () = server.still_serves() => {}
    }
}

#[tokio::test]
async fn the_deadline_of_the_caller_counts() {
    let server = Server::start().await;
    *server.double.held.lock().unwrap() = true;
    for method in ["Hello", "Pull", "Subscribe"] {
        let body = if method == "Hello" { hello().to_protobuf() } else { pull().to_protobuf() };
        let answer = call(&server, method, &[("grpc-timeout", "50m")], frame(0, &body)).await;
        assert_eq!(answer.code(), DEADLINE_EXCEEDED, "{method}");
    }
    *server.double.held.lock().unwrap() = false;
    // A subscription that has begun also ends at its deadline.
    let answer =
        call(&server, "Subscribe", &[("grpc-timeout", "50m")], frame(0, &pull().to_protobuf())).await;
    assert_eq!(answer.code(), DEADLINE_EXCEEDED);
}

#[tokio::test]
async fn a_connection_that_speaks_something_else_is_closed() {
    let server = Server::with(quick()).await;
    for words in
        ["GET / HTTP/1.1\r\nhost: h\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbage after the preface"]
    {
        let mut stream = server.connect().await;
        stream.write_all(words.as_bytes()).await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    server.still_serves().await;
}

#[tokio::test]
async fn a_caller_that_does_not_answer_pings_is_given_up() {
    let mut config = ServerConfig { connections: 1, ..quick() };
    config.timeouts.keep_alive_ms = 300;
    config.timeouts.keep_alive_timeout_ms = 300;
    let server = Server::with(config).await;
    let mut mute = server.connect().await;
    // The preface and empty settings: a caller of HTTP/2 that says nothing more.
    mute.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    server.still_serves().await;
}

#[tokio::test]
async fn calls_above_those_of_a_connection_wait() {
    let server = Server::with(ServerConfig { calls_per_connection: 2, ..ServerConfig::default() }).await;
    let client = server.client();
    let mut first = client.subscribe(pull()).await.unwrap();
    let second = client.subscribe(pull()).await.unwrap();
    let waiting = client.hello(hello());
    tokio::pin!(waiting);
    let early = tokio::time::timeout(Duration::from_millis(200), &mut waiting).await;
    assert!(early.is_err(), "there is no room for a third call");
    drop(second);
    waiting.await.unwrap();
    // Other callers have their own connections, and their own room.
    server.still_serves().await;
    assert!(tokio::time::timeout(Duration::from_millis(10), first.next()).await.is_err());
}

#[tokio::test]
async fn what_is_answered_can_be_read_without_this_crate() {
    let server = Server::start().await;
    let answer = call(&server, "Hello", &[], frame(0, &hello().to_protobuf())).await;
    assert_eq!(answer.status.get("content-type").unwrap(), "application/grpc");
    assert_eq!(message::<HelloResponse>(&answer).node.as_str(), "hub");
}
