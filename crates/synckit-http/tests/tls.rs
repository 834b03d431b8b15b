//! What callers without TLS are told. What every transport does over TLS is in `conformance.rs`.
#![cfg(feature = "tls")]

mod common;

use common::Http;
use synckit_core::ErrorKind;
use synckit_testkit::remote::tls::plain_to_a_tls_port;

#[tokio::test]
async fn plain_http_to_a_tls_port_is_told_so() {
    let error = plain_to_a_tls_port::<Http>().await;
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.message().contains("use https://"), "{error}");
}
