//! What can go wrong below a gRPC status: no connection, no answer, an answer of something else.

use http::{HeaderMap, StatusCode};
use synckit_core::{Error, ErrorKind};
use synckit_net::{cannot_connect, explain};

use crate::GRPC;

/// The error behind an answer that is not gRPC: a proxy's page, another server.
pub(crate) fn foreign(status: StatusCode, headers: &HeaderMap) -> Error {
    let (kind, message) = match status.as_u16() {
        _ if status.is_success() || status.is_redirection() => {
            (ErrorKind::Unsupported, "the answer is not of a gRPC server; check the address")
        }
        401 | 403 | 407 => (ErrorKind::Denied, "access is denied; check the credentials"),
        404 | 405 | 415 | 501 => (ErrorKind::Unsupported, "there is no synckit service at this address"),
        408 | 504 => (ErrorKind::Timeout, "the server did not answer in time"),
        413 => (ErrorKind::TooLarge, "the server or a proxy refuses a request of this size"),
        429 => (ErrorKind::Busy, "the server asks to be called less often"),
        502 | 503 => (ErrorKind::Unavailable, "the server is not available"),
        _ if status.is_client_error() => (ErrorKind::Invalid, "the server or a proxy refuses the request"),
        _ => (ErrorKind::Internal, "the server failed"),
    };
    let error = Error::new(kind, message).with("status", status.as_u16());
    match headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) {
        Some(content) => error.with("content", content),
        None => error,
    }
}

/// The error behind a request that got no answer. `told` is what the last connection was told when it broke: HTTP/2
/// passes on no more of that than a text.
pub(crate) fn unanswered(error: hyper_util::client::legacy::Error, told: Option<Error>) -> Error {
    if let Some(known) = explain(&error, GRPC) {
        return known.with_source(error);
    }
    if !error.is_connect() {
        if let Some(told) = told {
            return told.with_source(error);
        }
        let message = "the connection broke off before the answer; does the server speak gRPC (HTTP/2) at this \
                       port, with TLS (grpcs://) or without (grpc://) as the URL says?";
        return Error::new(ErrorKind::Unavailable, message).with_source(error);
    }
    cannot_connect(error)
}
