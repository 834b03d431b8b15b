//! What only HTTP has: connections, statuses, URLs. What every transport does is in `conformance.rs`.
#![allow(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod common;

use std::time::Duration;

use common::{Http, Server, hello, kind, pull, short};
use futures_util::StreamExt;
use synckit_core::{ErrorKind, Transport};
use synckit_http::{ClientConfig, HttpTransport, ServerConfig, Timeouts};
use synckit_testkit::remote::{canned, fake};
use tokio::net::TcpListener;

#[tokio::test]
async fn connections_are_used_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let inner = Server::start().await;
    let client = HttpTransport::new(format!("http://{}", listener.local_addr().unwrap())).unwrap();
    // Forwards one connection and accepts no other.
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
async fn a_server_that_says_nothing_times_out() {
    let url = fake::<Http, _, _>(async |stream| {
        let _ = stream.readable().await;
        std::future::pending::<()>().await;
    })
    .await;
    let client = HttpTransport::with_config(ClientConfig::new(url).with_timeouts(short())).unwrap();
    assert_eq!(kind(client.hello(hello()).await), ErrorKind::Timeout);
}

#[tokio::test]
async fn a_server_that_stops_in_its_body_times_out() {
    let url = fake::<Http, _, _>(async |mut stream| {
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
    let url = canned::<Http>("").await;
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
        let error =
            HttpTransport::new(canned::<Http>(text).await).unwrap().hello(hello()).await.expect_err(text);
        assert_eq!(error.kind(), expected, "{text}");
        assert_eq!(error.retry_after().is_some(), text.contains("retry-after"), "{text}");
    }
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
