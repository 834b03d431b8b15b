//! The description of a failed call, by itself or in place of a page.

use std::time::Duration;

use prost::Message;
use synckit_core::{Error, ErrorKind, Result};

use super::generated::{self as form, ErrorCode};
use super::{FromProtobuf, ToProtobuf, parse};
use crate::checks::{Side, check_length};
use crate::fault::{heard, told};
use crate::limits::WireLimits;

fn code_of(kind: ErrorKind) -> ErrorCode {
    match kind {
        ErrorKind::Invalid => ErrorCode::Invalid,
        ErrorKind::TooLarge => ErrorCode::TooLarge,
        ErrorKind::NotFound => ErrorCode::NotFound,
        ErrorKind::Conflict => ErrorCode::Conflict,
        ErrorKind::CursorUnknown => ErrorCode::CursorUnknown,
        ErrorKind::Denied => ErrorCode::Denied,
        ErrorKind::Unsupported => ErrorCode::Unsupported,
        ErrorKind::Unavailable => ErrorCode::Unavailable,
        ErrorKind::Timeout => ErrorCode::Timeout,
        ErrorKind::Busy => ErrorCode::Busy,
        ErrorKind::Corrupt => ErrorCode::Corrupt,
        ErrorKind::Closed => ErrorCode::Closed,
        _ => ErrorCode::Internal,
    }
}

impl ToProtobuf for Error {
    fn to_protobuf(&self) -> Vec<u8> {
        let millis = |delay: Duration| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        form::Error {
            code: code_of(self.kind()).into(),
            message: told(self).into_owned(),
            retryable: self.is_retryable(),
            retry_after_ms: self.retry_after().map(millis),
        }
        .encode_to_vec()
    }
}

impl FromProtobuf for Error {
    fn from_protobuf(bytes: &[u8], limits: &WireLimits) -> Result<Self> {
        check_length(bytes, limits.decoded_bytes.min(WireLimits::PLAIN_BYTES))?;
        read(bytes)?.ok_or_else(|| Side::Answer.unreadable("it has no error code"))
    }
}

/// Returns the error in this message, if there is one: its fields have numbers that no page has.
pub(super) fn read(bytes: &[u8]) -> Result<Option<Error>> {
    let form::Error { code, message, retryable, retry_after_ms } = parse(bytes, Side::Answer)?;
    if code == ErrorCode::Unspecified as i32 {
        return Ok(None);
    }
    let kind = ErrorKind::ALL.into_iter().find(|kind| code_of(*kind) as i32 == code);
    let error = heard(kind, message, retryable);
    Ok(Some(match retry_after_ms {
        Some(millis) => error.with_retry_after(Duration::from_millis(millis)),
        None => error,
    }))
}
