//! Kinds of errors and HTTP statuses, each way.

use std::time::Duration;

use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use synckit_core::{Error, ErrorKind};

/// Returns the status that stands for this kind, for software that does not read the body.
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

/// Returns the value of `Retry-After` for this error: whole seconds, rounded up.
pub(crate) fn retry_after_of(error: &Error) -> Option<HeaderValue> {
    let delay = error.retry_after()?;
    Some(delay.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX).into())
}

/// Returns the delay that an answer asks for. Ignores a date.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// Returns the error for an answer that is not synckit's, such as a proxy's page or another server's.
pub(crate) fn foreign(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Error {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let error = synckit_remote::foreign(status.as_u16(), text(CONTENT_TYPE), body);
    let error = match text(LOCATION).filter(|_| status.is_redirection()) {
        Some(location) => error.with("location", location),
        None => error,
    };
    match retry_after(headers) {
        Some(delay) => error.with_retry_after(delay),
        None => error,
    }
}
