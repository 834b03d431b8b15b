//! Every call through the real client and server, and every error.
#![allow(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod common;

use std::time::Duration;

use common::{Server, caller, canned, event, events, fake, hello, kind, page, pull, push, short, store};
use futures_util::StreamExt;
use synckit_core::{BoxTransport, Cursor, Error, ErrorKind, Limits, Mark, MissingRequest, Transport};
use synckit_http::{ClientConfig, HttpTransport, ServerConfig, Timeouts};
use synckit_wire::WireLimits;
use tokio::net::TcpListener;

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
async fn bodies_are_compressed_both_ways_and_counted_as_sent() {
    let server = Server::start().await;
    *server.double.log.lock().unwrap() = events(300);
    let (packed, plain) = (server.client(), server.client_with(|config| config.with_compression(false)));
    for client in [&packed, &plain] {
        client.pull(pull()).await.unwrap();
        client.push(push(events(300))).await.unwrap();
    }
    let (packed, plain) = (packed.traffic(), plain.traffic());
    assert!(plain.sent > 100_000 && plain.received > 100_000, "{plain:?}");
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
async fn every_kind_of_error_keeps_its_kind() {
    let server = Server::start().await;
    let client = server.client();
    for kind in ErrorKind::ALL {
        *server.double.failure.lock().unwrap() = Some(Error::new(kind, "what is wrong"));
        let error = client.pull(pull()).await.expect_err("an error");
        assert_eq!((error.kind(), error.message()), (kind, "what is wrong"));
        assert_eq!((error.component(), error.operation()), ("http", "pull"));
    }
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let server = Server::start().await;
    let client = server.client();
    let fail = |error| *server.double.failure.lock().unwrap() = Some(error);
    fail(Error::new(ErrorKind::Busy, "full").with_retry_after(Duration::from_millis(6_500)));
    let error = client.pull(pull()).await.expect_err("busy");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    fail(Error::new(ErrorKind::Unavailable, "away"));
    let error = client.pull(pull()).await.expect_err("unavailable");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
}

#[tokio::test]
async fn connections_are_used_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let inner = Server::start().await;
    let client = HttpTransport::new(format!("http://{}", listener.local_addr().unwrap())).unwrap();
    // Passes one connection on and accepts no other.
    let pipe = tokio::spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        drop(listener);
        let mut far = inner.connect().await;
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        drop(inner);
    });
    for _ in 0..20 {
        client.hello(hello()).await.unwrap();
    }
    client.close().await.unwrap();
    pipe.await.unwrap();
}

#[tokio::test]
async fn a_subscription_brings_pages_and_then_its_error() {
    let server = Server::start().await;
    let end = Error::new(ErrorKind::CursorUnknown, "start again");
    server.double.pages.lock().unwrap().extend([
        Ok(page(events(3))),
        Ok(page(Vec::new())),
        Ok(page(events(200))),
        Err(end),
    ]);
    let mut pages = server.client().subscribe(pull()).await.unwrap();
    for count in [3, 0, 200] {
        assert_eq!(pages.next().await.unwrap().unwrap(), page(events(count)));
    }
    assert_eq!(kind(pages.next().await.unwrap()), ErrorKind::CursorUnknown);
    assert!(pages.next().await.is_none());
}

#[tokio::test]
async fn heartbeats_keep_a_quiet_subscription_alive() {
    let server = Server::with(ServerConfig { heartbeat_ms: 50, ..ServerConfig::default() }).await;
    let client = server.client_with(|config| {
        config.with_timeouts(Timeouts { idle_ms: 500, request_ms: 500, ..Timeouts::default() })
    });
    let mut pages = client.subscribe(pull()).await.unwrap();
    let quiet = tokio::time::timeout(Duration::from_millis(1_500), pages.next()).await;
    assert!(quiet.is_err(), "neither page nor error: {quiet:?}");
}

#[tokio::test]
async fn a_silent_subscription_times_out() {
    let server = Server::with(ServerConfig { heartbeat_ms: 60_000, ..ServerConfig::default() }).await;
    let client = server.client_with(|config| config.with_timeouts(short()));
    let mut pages = client.subscribe(pull()).await.unwrap();
    assert_eq!(kind(pages.next().await.unwrap()), ErrorKind::Timeout);
}

#[tokio::test]
async fn an_error_at_the_start_of_a_subscription_is_that_error() {
    let server = Server::start().await;
    *server.double.failure.lock().unwrap() = Some(Error::new(ErrorKind::CursorUnknown, "start again"));
    let error = server.client().subscribe(pull()).await.err().expect("an error");
    assert_eq!(error.kind(), ErrorKind::CursorUnknown);
}

#[tokio::test]
async fn subscriptions_beyond_the_limit_are_busy() {
    let server = Server::with(ServerConfig { subscriptions: 1, ..ServerConfig::default() }).await;
    let client = server.client();
    let first = client.subscribe(pull()).await.unwrap();
    assert_eq!(client.subscribe(pull()).await.err().expect("busy").kind(), ErrorKind::Busy);
    client.hello(hello()).await.unwrap();
    drop(first);
}

#[tokio::test]
async fn a_closed_transport_answers_closed_and_ends_its_subscriptions() {
    let server = Server::start().await;
    let client = server.client();
    let mut pages = client.subscribe(pull()).await.unwrap();
    client.close().await.unwrap();
    assert_eq!(kind(pages.next().await.unwrap()), ErrorKind::Closed);
    assert_eq!(kind(client.hello(hello()).await), ErrorKind::Closed);
    assert_eq!(client.subscribe(pull()).await.err().expect("closed").kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn a_relay_passes_everything_on() {
    let hub = Server::start().await;
    *hub.double.log.lock().unwrap() = events(5);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let service = synckit_http::HttpService::new(BoxTransport::new(hub.client()));
    let relay = tokio::spawn(synckit_http::serve(listener, service, std::future::pending()));
    let client = HttpTransport::new(url).unwrap();
    assert_eq!(client.pull(pull()).await.unwrap(), page(events(5)));
    *hub.double.failure.lock().unwrap() = Some(Error::new(ErrorKind::Denied, "no"));
    assert_eq!(kind(client.push(push(events(1))).await), ErrorKind::Denied);
    relay.abort();
}

#[tokio::test]
async fn nobody_listening_is_unavailable_and_says_where() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = HttpTransport::new(&url).unwrap().hello(hello()).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(
        error.to_string().contains(&url) && error.to_string().contains("is the server running"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_says_nothing_times_out() {
    let url = fake(async |stream| {
        let _ = stream.readable().await;
        std::future::pending::<()>().await;
    })
    .await;
    let client = HttpTransport::with_config(ClientConfig::new(url).with_timeouts(short())).unwrap();
    assert_eq!(kind(client.hello(hello()).await), ErrorKind::Timeout);
}

#[tokio::test]
async fn a_server_that_stops_in_its_body_times_out() {
    let url = fake(async |mut stream| {
        let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 4096]).await;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await;
        std::future::pending::<()>().await;
    })
    .await;
    let client = HttpTransport::with_config(ClientConfig::new(url).with_timeouts(short())).unwrap();
    assert_eq!(kind(client.hello(hello()).await), ErrorKind::Timeout);
}

#[tokio::test]
async fn a_server_that_hangs_up_is_unavailable() {
    let url = canned("").await;
    assert_eq!(kind(HttpTransport::new(url).unwrap().hello(hello()).await), ErrorKind::Unavailable);
}

#[tokio::test]
async fn answers_of_other_servers_are_told_by_status() {
    for (text, expected) in [
        (
            "HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/html\r\ncontent-length: 3\r\n\r\n<p>",
            ErrorKind::Unavailable,
        ),
        ("HTTP/1.1 503 No\r\nretry-after: 3\r\ncontent-length: 0\r\n\r\n", ErrorKind::Unavailable),
        ("HTTP/1.1 429 No\r\nretry-after: 3\r\ncontent-length: 0\r\n\r\n", ErrorKind::Busy),
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", ErrorKind::Unsupported),
        ("HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n", ErrorKind::Denied),
        ("HTTP/1.1 301 Moved\r\nlocation: http://x/\r\ncontent-length: 0\r\n\r\n", ErrorKind::Unsupported),
        (
            "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 3\r\n\r\n<p>",
            ErrorKind::Unsupported,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}",
            ErrorKind::Corrupt,
        ),
        (
            "HTTP/1.1 500 No\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}",
            ErrorKind::Internal,
        ),
    ] {
        let error = HttpTransport::new(canned(text).await).unwrap().hello(hello()).await.expect_err(text);
        assert_eq!(error.kind(), expected, "{text}");
        assert_eq!(error.retry_after().is_some(), text.contains("retry-after"), "{text}");
    }
}

#[tokio::test]
async fn the_limits_hold_at_the_client() {
    let server = Server::start().await;
    *server.double.log.lock().unwrap() = events(100);
    let limited = |limits| server.client_with(|config| config.with_limits(limits));
    let decoded = limited(WireLimits { decoded_bytes: 10_000, ..WireLimits::default() });
    assert_eq!(kind(decoded.pull(pull()).await), ErrorKind::TooLarge);
    let wire = limited(WireLimits { body_bytes: 300, ..WireLimits::default() });
    assert_eq!(kind(wire.pull(pull()).await), ErrorKind::TooLarge);
    let mut noise = 1_u64;
    let mut data = String::from("\"");
    for _ in 0..400 {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        data.push_str(&format!("{noise:x}"));
    }
    data.push('"');
    assert_eq!(kind(wire.push(push(vec![event(1, &data)])).await), ErrorKind::TooLarge);
    wire.hello(hello()).await.unwrap();
}

#[test]
fn urls_that_name_no_server_are_told_apart() {
    for (url, expected) in [
        ("127.0.0.1:8080", ErrorKind::Invalid),
        ("localhost", ErrorKind::Invalid),
        ("", ErrorKind::Invalid),
        ("ftp://host", ErrorKind::Invalid),
        ("http://", ErrorKind::Invalid),
        ("http://ho st", ErrorKind::Invalid),
        ("http://host/?a=b", ErrorKind::Invalid),
        ("http://me:secret@host", ErrorKind::Invalid),
        #[cfg(not(feature = "tls"))]
        ("https://host", ErrorKind::Unsupported),
    ] {
        let error = HttpTransport::new(url).expect_err(url);
        assert_eq!(error.kind(), expected, "{url}");
        assert!(!error.to_string().contains("secret"));
    }
    for url in ["http://host", "HTTP://host:1/", "http://[::1]:80/base/"] {
        HttpTransport::new(url).expect(url);
    }
}

#[test]
fn header_values_are_not_shown() {
    let config = ClientConfig::new("http://host").with_header("authorization", "Bearer secret");
    let shown = format!("{config:?} {:?}", HttpTransport::with_config(config.clone()).unwrap());
    assert!(shown.contains("authorization") && !shown.contains("secret"), "{shown}");
    let bad = ClientConfig::new("http://host").with_header("x", "secret\n");
    assert!(!HttpTransport::with_config(bad).expect_err("no header").to_string().contains("secret"));
}

#[test]
fn configuration_is_read_with_defaults() {
    let config: ClientConfig =
        serde_json::from_str(r#"{"url":"http://h","timeouts":{"connect_ms":5}}"#).unwrap();
    assert_eq!(
        (config.timeouts.connect_ms, config.timeouts.request_ms, config.compression),
        (5, 30_000, true)
    );
    let config: ServerConfig = serde_json::from_str(r#"{"requests":5}"#).unwrap();
    assert_eq!((config.requests, config.connections), (5, 1_024));
    assert!(serde_json::from_str::<ServerConfig>(r#"{"request":5}"#).is_err());
}

#[tokio::test]
async fn a_cursor_crosses_as_it_is() {
    let server = Server::start().await;
    let cursor = Some(Cursor::at(store(), 3, Mark(3)));
    let answer =
        server.client().hello(synckit_core::HelloRequest { cursor: cursor.clone(), ..hello() }).await;
    assert_eq!(answer.unwrap().pushed, cursor);
}
