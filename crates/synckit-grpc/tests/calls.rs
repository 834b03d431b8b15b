//! What only gRPC has: streams of pushes, heartbeats, URLs. What every transport does is in `conformance.rs`.
#![allow(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod common;

use common::{Double, Grpc, Server, event, events, hello, kind, pull, push, short, store};
use futures_util::{StreamExt, stream};
use synckit_core::{Cursor, Error, ErrorKind, Mark, PullRequest, Transport};
use synckit_grpc::{ClientConfig, GrpcTransport, PushStream, ServerConfig, Timeouts};
use synckit_testkit::remote::fake;
use synckit_wire::WireLimits;
use tokio::io::AsyncReadExt;

#[tokio::test]
async fn a_silent_subscription_shows_that_it_is_alive_at_its_last_cursor() {
    let server = Server::with(ServerConfig { heartbeat_ms: 20, ..ServerConfig::default() }).await;
    let cursor = Some(Cursor::at(store(), 7, Mark(7)));
    let request = PullRequest { cursor: cursor.clone(), ..pull() };
    let client = server.client_with(|config| config.with_timeouts(Timeouts { idle_ms: 2_000, ..short() }));
    let mut pages = client.subscribe(request).await.unwrap();
    for _ in 0..3 {
        let page = pages.next().await.unwrap().unwrap();
        assert_eq!((page.events.len(), Some(page.next)), (0, cursor.clone()));
    }
}

#[tokio::test]
async fn batches_are_streamed_and_answered_once() {
    let server = Server::start().await;
    let client = server.client();
    let large = |n| event(n, &format!("{:?}", "noise ".repeat(10_000)));
    let batches: Vec<_> = (0..50).map(|batch| vec![large(2 * batch + 1), large(2 * batch + 2)]).collect();
    let answer = client.push_stream(stream::iter(batches.clone()).map(push)).await.unwrap();
    assert_eq!((answer.accepted, answer.refused.len()), (100, 0));
    assert_eq!(*server.double.pushed.lock().unwrap(), batches.concat());
    assert_eq!(client.push_stream(stream::empty()).await.unwrap().accepted, 0);
}

#[tokio::test]
async fn a_stream_of_batches_ends_at_the_first_that_fails() {
    let server = Server::start().await;
    let client = server.client();
    let double = server.double.clone();
    let batches = stream::iter(1..=1_000).map(move |batch| {
        if batch == 3 {
            *double.failure.lock().unwrap() = Some(Error::new(ErrorKind::Denied, "no"));
        }
        push(vec![event(batch, "1")])
    });
    let error = client.push_stream(batches).await.expect_err("denied");
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Denied, "push_stream"));
    assert!(server.double.pushed.lock().unwrap().len() < 3);
}

#[tokio::test]
async fn a_streamed_batch_above_what_the_client_may_send_is_too_large() {
    let server = Server::start().await;
    let limits = WireLimits { body_bytes: 1_000, ..WireLimits::default() };
    let client = server.client_with(|config| config.with_limits(limits).with_compression(false));
    assert_eq!(kind(client.push_stream(stream::iter([push(events(10))])).await), ErrorKind::TooLarge);
    client.hello(hello()).await.unwrap();
}

#[tokio::test]
async fn a_server_that_never_answers_is_a_timeout() {
    let url = fake::<Grpc, _, _>(async |mut stream| {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let config = ClientConfig::new(url).with_timeouts(short());
    let error = GrpcTransport::with_config(config).unwrap().hello(hello()).await.expect_err("silence");
    assert!(error.is_retryable(), "{error}");
}

#[tokio::test]
async fn a_server_of_http_1_is_no_server_for_this() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("grpc://{}", listener.local_addr().unwrap());
    let service = synckit_http::HttpService::new(Double::default());
    tokio::spawn(synckit_http::serve(listener, service, std::future::pending()));
    let error = GrpcTransport::new(url).unwrap().hello(hello()).await.expect_err("another protocol");
    assert!(error.to_string().contains("HTTP/2"), "{error}");
}

#[test]
fn only_urls_of_grpc_servers_are_taken() {
    let bad = [
        "hub:8081",
        "http://hub:8081",
        "https://hub:8081",
        "grpc://hub",
        "grpc://:8081",
        "grpc://hub:8081/base",
        "grpc://hub:8081?x",
        "grpc://",
        "",
    ];
    for url in bad {
        let error = GrpcTransport::new(url).expect_err(url);
        assert_eq!(error.kind(), ErrorKind::Invalid, "{url}");
        assert!(error.to_string().contains("grpc"), "{error}");
    }
    let error = GrpcTransport::new("grpc://ann:secret@hub:8081").expect_err("credentials");
    assert!(!error.to_string().contains("secret"), "{error}");
    for url in ["grpc://hub:8081", "grpcs://hub:8081/", "GRPC://[::1]:8081"] {
        GrpcTransport::new(url).expect(url);
    }
}

#[test]
fn messages_are_protobuf_and_nothing_else() {
    let config = ClientConfig::new("grpc://hub:8081").with_protobuf(false);
    assert_eq!(GrpcTransport::with_config(config).expect_err("JSON").kind(), ErrorKind::Invalid);
}
