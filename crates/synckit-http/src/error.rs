//! Kinds of errors and HTTP statuses, each way.

use std::time::Duration;

use http::header::{LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use synckit_core::{Error, ErrorKind};
use synckit_net::{cannot_connect, explain};

use crate::HTTP;

/// The status that tells this kind to software that does not read the body.
pub(crate) fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Invalid => StatusCode::BAD_REQUEST,
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::CursorUnknown => StatusCode::GONE,
        ErrorKind::Denied => StatusCode::FORBIDDEN,
        ErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        ErrorKind::Unavailable | ErrorKind::Busy | ErrorKind::Closed => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// When a caller may come again, for an error that names no time itself.
const RETRY: Duration = Duration::from_secs(1);

/// The value of `Retry-After` for this error: whole seconds, rounded up.
pub(crate) fn retry_after_of(error: &Error) -> Option<HeaderValue> {
    let again = matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Busy).then_some(RETRY);
    let delay = error.retry_after().or(again)?;
    Some(delay.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX).into())
}

/// The delay that an answer asks for. A date is not read.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// The error behind an answer that is not one of synckit's: a proxy's page, another server.
pub(crate) fn foreign(status: StatusCode, headers: &HeaderMap) -> Error {
    let (kind, message) = match status.as_u16() {
        _ if status.is_success() => {
            (ErrorKind::Unsupported, "the answer is not of a synckit server; check the address")
        }
        _ if status.is_redirection() => {
            (ErrorKind::Unsupported, "the server redirects; use the address it names")
        }
        401 | 403 | 407 => (ErrorKind::Denied, "access is denied; check the credentials"),
        404 | 405 | 501 => {
            (ErrorKind::Unsupported, "there is no synckit server at this address; check its path")
        }
        408 => (ErrorKind::Timeout, "the server did not get the request in time"),
        413 => (ErrorKind::TooLarge, "the server or a proxy refuses a request of this size"),
        415 => (ErrorKind::Unsupported, "the server does not take this kind of content"),
        429 => (ErrorKind::Busy, "the server asks to be called less often"),
        _ if status.is_client_error() => (ErrorKind::Invalid, "the server or a proxy refuses the request"),
        502 | 503 => (ErrorKind::Unavailable, "the server is not available"),
        504 => (ErrorKind::Timeout, "the server did not answer a proxy in time"),
        _ => (ErrorKind::Internal, "the server failed"),
    };
    let error = Error::new(kind, message).with("status", status.as_u16());
    match headers.get(LOCATION).and_then(|location| location.to_str().ok()) {
        Some(location) if status.is_redirection() => error.with("location", location),
        _ => error,
    }
}

/// The error behind a request that got no answer.
pub(crate) fn unanswered(error: hyper_util::client::legacy::Error) -> Error {
    if let Some(told) = explain(&error, HTTP) {
        return told.with_source(error);
    }
    if !error.is_connect() {
        let message = "the connection broke off before the answer";
        return Error::new(ErrorKind::Unavailable, message).with_source(error);
    }
    cannot_connect(error)
}
