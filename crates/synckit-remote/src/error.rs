//! Errors on their way to callers, and errors that other software answers with.

use std::time::Duration;

use synckit_core::{Error, ErrorKind};

/// When a caller may try again, for an error that does not name a time itself.
const RETRY: Duration = Duration::from_secs(1);

/// Adds to an error when to try again, if that is worthwhile and the error does not say so itself.
pub fn with_delay(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Unavailable | ErrorKind::Busy if error.retry_after().is_none() => {
            error.with_retry_after(RETRY)
        }
        _ => error,
    }
}

/// Logs that a call at this path ended with an error, as an error of the log if this side is at fault.
pub fn report(path: &str, error: &Error) {
    match error.kind() {
        ErrorKind::Internal | ErrorKind::Corrupt => tracing::error!(path, %error, "a call failed"),
        _ => tracing::debug!(path, %error, "a call was refused"),
    }
}

/// Returns the error for the HTTP status of an answer that is not synckit's, such as a proxy's page or another
/// server's.
pub fn foreign(status: u16) -> Error {
    let (kind, message) = match status {
        200..=299 => (ErrorKind::Unsupported, "the answer is not from a synckit server; check the address"),
        300..=399 => (ErrorKind::Unsupported, "the server redirects; use the address it names"),
        401 | 403 | 407 => (ErrorKind::Denied, "access is denied; check the credentials"),
        404 | 405 | 501 => {
            (ErrorKind::Unsupported, "there is no synckit server at this address; check its path")
        }
        408 => (ErrorKind::Timeout, "the server did not get the request in time"),
        413 => (ErrorKind::TooLarge, "the server or a proxy refuses a request of this size"),
        415 => (ErrorKind::Unsupported, "the server does not take this kind of content"),
        429 => (ErrorKind::Busy, "the server asks to be called less often"),
        400..=499 => (ErrorKind::Invalid, "the server or a proxy refuses the request"),
        502 | 503 => (ErrorKind::Unavailable, "the server is not available"),
        504 => (ErrorKind::Timeout, "the server did not answer a proxy in time"),
        _ => (ErrorKind::Internal, "the server failed"),
    };
    Error::new(kind, message).with("status", status)
}
