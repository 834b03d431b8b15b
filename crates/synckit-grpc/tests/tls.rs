//! What callers without TLS are told. What every transport does over TLS is in `conformance.rs`.
#![cfg(feature = "tls")]

mod common;

use common::Grpc;
use synckit_core::ErrorKind;
use synckit_testkit::remote::tls::plain_to_a_tls_port;

#[tokio::test]
async fn plain_calls_to_a_tls_port_are_told_what_to_check() {
    let error = plain_to_a_tls_port::<Grpc>().await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.message().contains("with TLS (grpcs://)"), "{error}");
}
