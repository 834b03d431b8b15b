//! What can go wrong below a gRPC status.

use http::{HeaderMap, StatusCode};
use synckit_core::Error;

/// The message for a connection that breaks: HTTP/2 does not tell why.
pub(crate) const BROKEN: &str = "the connection broke off before the answer; does the server speak gRPC (HTTP/2) at this \
                                 port, with TLS (grpcs://) or without (grpc://) as the URL says?";

/// Returns the error for an answer that is not gRPC, such as a proxy's page or another server's.
pub(crate) fn foreign(status: StatusCode, headers: &HeaderMap) -> Error {
    let error = synckit_remote::foreign(status.as_u16());
    match headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) {
        Some(content) => error.with("content", content),
        None => error,
    }
}
