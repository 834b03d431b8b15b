//! What callers without TLS are told. What every transport does over TLS is in `conformance.rs`.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod common;

use common::{Http, Server, hello};
use synckit_core::{ErrorKind, Transport};
use synckit_http::{ClientConfig, HttpTransport, ServerConfig, ServerTls};
use synckit_testkit::remote::tls::{plain_to_a_tls_port, trusting};
use synckit_testkit::remote::{Authority, canned};

#[tokio::test]
async fn plain_http_to_a_tls_port_is_told_so() {
    let error = plain_to_a_tls_port::<Http>().await;
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.message().contains("use https://"), "{error}");
}

#[tokio::test]
async fn a_permanent_redirect_to_tls_at_the_same_host_is_followed_once() {
    let authority = Authority::new();
    let tls = ServerTls::new(authority.server("127.0.0.1"));
    let server = Server::over_tls(tls, ServerConfig::default()).await;
    let secure = server.address;
    for (status, location, followed) in [
        (301, format!("https://{secure}/v1/hello"), true),
        (308, format!("https://{secure}/v1/hello"), true),
        (302, format!("https://{secure}/v1/hello"), false),
        (308, format!("https://localhost:{}/v1/hello", secure.port()), false),
        (308, format!("http://{secure}/v1/hello"), false),
    ] {
        let moved = format!("HTTP/1.1 {status} Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let url = canned::<Http>(moved.leak()).await;
        let client =
            HttpTransport::with_config(ClientConfig::new(url).with_tls(trusting(&authority))).unwrap();
        let answer = client.hello(hello()).await;
        assert_eq!(answer.is_ok(), followed, "{status} {location}: {answer:?}");
        if !followed {
            assert!(answer.unwrap_err().to_string().contains(&location), "{location}");
        }
    }
}
