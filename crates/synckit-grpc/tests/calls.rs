//! Every call through the real client and server, and every error.
#![allow(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod common;

use std::time::Duration;

use common::{Server, caller, event, events, fake, hello, ids, kind, page, pull, push, short, store};
use futures_util::{StreamExt, stream};
use synckit_core::{Cursor, Error, ErrorKind, Limits, Mark, MissingRequest, PullRequest, Scope, Transport};
use synckit_grpc::{ClientConfig, GrpcTransport, PushStream, ServerConfig, Timeouts};
use synckit_wire::WireLimits;
use tokio::io::AsyncReadExt;

#[tokio::test]
async fn hello_pull_push_and_missing_arrive_and_are_answered() {
    let server = Server::start().await;
    let client = server.client();
    *server.double.log.lock().unwrap() = events(300);
    let answer = client.hello(hello()).await.unwrap();
    assert_eq!((answer.node.as_str(), answer.head, answer.store), ("hub", 300, store()));
    assert_eq!(client.pull(pull()).await.unwrap(), page(events(300)));
    assert_eq!(client.push(push(events(200))).await.unwrap().accepted, 200);
    assert_eq!(*server.double.pushed.lock().unwrap(), events(200));
    let ids = vec!["e-1".parse().unwrap()];
    let missing = MissingRequest { caller: caller(), ids: ids.clone() };
    assert_eq!(client.missing(missing).await.unwrap().ids, ids);
}

#[tokio::test]
async fn hello_names_the_stricter_limits_of_endpoint_and_wire() {
    let mut limits = WireLimits::default();
    limits.limits.event_bytes = 1_000;
    limits.limits.drift_seconds = 1;
    let server = Server::with(ServerConfig { limits, ..ServerConfig::default() }).await;
    let told = server.client().hello(hello()).await.unwrap().limits;
    assert_eq!(told, Limits { event_bytes: 1_000, ..Limits::default() });
}

#[tokio::test]
async fn messages_are_compressed_both_ways_and_counted_as_sent() {
    let server = Server::start().await;
    *server.double.log.lock().unwrap() = events(300);
    let (packed, plain) = (server.client(), server.client_with(|config| config.with_compression(false)));
    for client in [&packed, &plain] {
        client.pull(pull()).await.unwrap();
        client.push(push(events(300))).await.unwrap();
    }
    let (packed, plain) = (packed.traffic(), plain.traffic());
    assert!(plain.sent > 90_000 && plain.received > 90_000, "{plain:?}");
    assert!(packed.sent < plain.sent / 5 && packed.received < plain.received / 5, "{packed:?}");
}

#[tokio::test]
async fn large_messages_pass() {
    let server = Server::start().await;
    let large: Vec<_> = (1..=8).map(|n| event(n, &format!("{:?}", "x".repeat(200_000)))).collect();
    *server.double.log.lock().unwrap() = large.clone();
    let client = server.client_with(|config| config.with_compression(false));
    assert_eq!(client.pull(pull()).await.unwrap().events, large);
    assert_eq!(client.push(push(large)).await.unwrap().accepted, 8);
}

#[tokio::test]
async fn every_kind_of_error_keeps_its_kind_and_message() {
    let server = Server::start().await;
    let client = server.client();
    for kind in ErrorKind::ALL {
        *server.double.failure.lock().unwrap() = Some(Error::new(kind, "what is wrong"));
        let error = client.pull(pull()).await.expect_err("an error");
        assert_eq!((error.kind(), error.message()), (kind, "what is wrong"));
        assert_eq!((error.component(), error.operation()), ("grpc", "pull"));
    }
}

#[tokio::test]
async fn when_to_come_again_is_said() {
    let server = Server::start().await;
    let client = server.client();
    let fail = |error| *server.double.failure.lock().unwrap() = Some(error);
    fail(Error::new(ErrorKind::Busy, "full").with_retry_after(Duration::from_millis(6_500)));
    let error = client.pull(pull()).await.expect_err("busy");
    assert_eq!(error.retry_after(), Some(Duration::from_millis(6_500)));
    fail(Error::new(ErrorKind::Unavailable, "away"));
    let error = client.pull(pull()).await.expect_err("unavailable");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
}

#[tokio::test]
async fn a_subscription_brings_pages_and_then_its_error() {
    let server = Server::start().await;
    let end = Error::new(ErrorKind::CursorUnknown, "start again");
    let pages = [Ok(page(events(3))), Ok(page(Vec::new())), Ok(page(events(200))), Err(end)];
    server.double.pages.lock().unwrap().extend(pages);
    let mut pages = server.client().subscribe(pull()).await.unwrap();
    for count in [3, 0, 200] {
        assert_eq!(pages.next().await.unwrap().unwrap(), page(events(count)));
    }
    let error = pages.next().await.unwrap().expect_err("the end");
    assert_eq!((error.kind(), error.message()), (ErrorKind::CursorUnknown, "start again"));
    assert!(pages.next().await.is_none());
}

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
async fn a_subscription_that_stays_silent_is_given_up() {
    let server = Server::start().await;
    let client = server.client_with(|config| config.with_timeouts(short()));
    let mut pages = client.subscribe(pull()).await.unwrap();
    assert_eq!(kind(pages.next().await.unwrap()), ErrorKind::Timeout);
    assert!(pages.next().await.is_none());
}

#[tokio::test]
async fn closing_ends_calls_and_subscriptions() {
    let server = Server::start().await;
    let client = server.client();
    let mut pages = client.subscribe(pull()).await.unwrap();
    *server.double.held.lock().unwrap() = true;
    server.double.begun.notified().await;
    let running = tokio::spawn({
        let client = client.clone();
        async move { client.hello(hello()).await }
    });
    server.double.begun.notified().await;
    client.close().await.unwrap();
    assert_eq!(kind(running.await.unwrap()), ErrorKind::Closed);
    assert_eq!(kind(pages.next().await.unwrap()), ErrorKind::Closed);
    assert_eq!(kind(client.hello(hello()).await), ErrorKind::Closed);
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_a_timeout_on_both_sides() {
    let server = Server::start().await;
    *server.double.held.lock().unwrap() = true;
    let times = Timeouts { request_ms: 100, ..Timeouts::default() };
    let client = server.client_with(|config| config.with_timeouts(times));
    assert_eq!(kind(client.hello(hello()).await), ErrorKind::Timeout);

    let server = Server::with(ServerConfig { timeouts: times, ..ServerConfig::default() }).await;
    *server.double.held.lock().unwrap() = true;
    let error = server.client().hello(hello()).await.expect_err("late");
    assert_eq!(
        (error.kind(), error.message().contains("may have been carried out")),
        (ErrorKind::Timeout, true)
    );
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
async fn a_batch_above_what_the_client_may_send_is_too_large() {
    let server = Server::start().await;
    let limits = WireLimits { body_bytes: 1_000, ..WireLimits::default() };
    let client = server.client_with(|config| config.with_limits(limits).with_compression(false));
    assert_eq!(kind(client.push(push(events(10))).await), ErrorKind::TooLarge);
    assert_eq!(kind(client.push_stream(stream::iter([push(events(10))])).await), ErrorKind::TooLarge);
    client.hello(hello()).await.unwrap();
}

#[tokio::test]
async fn an_answer_above_what_the_client_takes_is_too_large() {
    let server = Server::start().await;
    *server.double.log.lock().unwrap() = events(300);
    let body = WireLimits { body_bytes: 1_000, ..WireLimits::default() };
    let unpacked = WireLimits { decoded_bytes: 50_000, ..WireLimits::default() };
    for limits in [body, unpacked] {
        let client = server.client_with(|config| config.with_limits(limits));
        assert_eq!(kind(client.pull(pull()).await), ErrorKind::TooLarge);
        client.hello(hello()).await.unwrap();
    }
}

#[tokio::test]
async fn nobody_there_is_unavailable_and_says_what_to_check() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("grpc://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = GrpcTransport::new(url.clone()).unwrap().hello(hello()).await.expect_err("nobody");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(
        error.to_string().contains("is the server running") && error.to_string().contains(&url),
        "{error}"
    );
}

#[tokio::test]
async fn a_client_finds_its_server_again() {
    let mut server = Server::start().await;
    let (client, address) = (server.client(), server.address);
    client.hello(hello()).await.unwrap();
    server.stop();
    server.stopped().await;
    assert_eq!(kind(client.hello(hello()).await), ErrorKind::Unavailable);
    let server = Server::at(address, ServerConfig::default()).await;
    client.hello(hello()).await.unwrap();
    drop(server);
}

#[tokio::test]
async fn a_server_that_never_answers_is_a_timeout() {
    let url = fake(async |mut stream| {
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
    let service = synckit_http::HttpService::new(common::Double::default());
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

#[tokio::test]
async fn headers_are_sent_and_not_shown() {
    let config = ClientConfig::new("grpc://hub:8081").with_header("authorization", "Bearer secret");
    let shown = format!("{config:?} {:?}", GrpcTransport::with_config(config.clone()).unwrap());
    assert!(shown.contains("authorization") && !shown.contains("secret"), "{shown}");
    let error = GrpcTransport::with_config(config.with_header("no header", "secret")).expect_err("no header");
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[tokio::test]
async fn ids_are_packed_both_ways() {
    let server = Server::start().await;
    let ids = ids(1_000);
    server.double.ids.lock().unwrap().clone_from(&ids);
    let client = server.client();
    client.hello(hello()).await.unwrap();
    let (list, name) = (Scope::Sent(vec![store(); 3]), Scope::Named(ids.clone()));
    let before = client.traffic();
    let page = client.pull(PullRequest { scope: list, ..pull() }).await.unwrap();
    assert_eq!(page.ids, ids);
    let listed = client.traffic();
    client.pull(PullRequest { scope: name, ..pull() }).await.unwrap();
    let named = client.traffic();
    let request = MissingRequest { caller: caller(), ids: ids.clone() };
    assert_eq!(client.missing(request).await.unwrap().ids, ids);
    let missing = client.traffic();
    let each = [
        listed.received - before.received,
        named.sent - listed.sent,
        missing.sent - named.sent,
        missing.received - named.received,
    ];
    let each = each.map(|bytes| bytes as f64 / ids.len() as f64);
    assert!(each.iter().all(|bytes| *bytes < 20.0), "{each:.1?}");
}
