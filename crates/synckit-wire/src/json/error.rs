//! The body of a failed call: `{"error":{"code":"busy","message":"…","retryable":true}}`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use synckit_core::{Error, ErrorKind, Result};

use super::{Side, parse_plain, put};
use crate::limits::WireLimits;
use crate::{Decode, Encode};

#[derive(Serialize, Deserialize)]
struct ErrorForm<'a> {
    #[serde(borrow)]
    error: Fault<'a>,
}

/// What a failed call says.
#[derive(Serialize, Deserialize)]
pub(super) struct Fault<'a> {
    #[serde(borrow)]
    code: Cow<'a, str>,
    #[serde(borrow)]
    message: Cow<'a, str>,
    retryable: bool,
}

impl Fault<'_> {
    /// The error as it was on the other side. A code that is not known here keeps at least whether the call may be
    /// repeated.
    pub(super) fn into_error(self) -> Error {
        let unknown = if self.retryable { ErrorKind::Unavailable } else { ErrorKind::Internal };
        Error::new(ErrorKind::from_code(&self.code).unwrap_or(unknown), self.message.into_owned())
    }
}

impl Encode for Error {
    /// Says the kind and the message. The context goes along where the caller is at fault; the source, and the
    /// context of everything else, are this side's own: paths, addresses, statements.
    fn to_json(&self) -> Vec<u8> {
        let told = matches!(
            self.kind(),
            ErrorKind::Invalid
                | ErrorKind::TooLarge
                | ErrorKind::NotFound
                | ErrorKind::Conflict
                | ErrorKind::CursorUnknown
                | ErrorKind::Denied
                | ErrorKind::Unsupported
        );
        let facts: Vec<String> = match told {
            true => self.context().iter().map(|(key, value)| format!("{key}: {value}")).collect(),
            false => Vec::new(),
        };
        let message = match facts.is_empty() {
            true => Cow::Borrowed(self.message()),
            false => Cow::Owned(format!("{} ({})", self.message(), facts.join(", "))),
        };
        let code = Cow::Borrowed(self.kind().code());
        let mut out = Vec::new();
        put(&mut out, &ErrorForm { error: Fault { code, message, retryable: self.is_retryable() } });
        out
    }
}

impl Decode for Error {
    /// Reads the error of the other side.
    fn from_json(bytes: &[u8], limits: &WireLimits) -> Result<Self> {
        let form: ErrorForm<'_> = parse_plain(bytes, limits, Side::Answer)?;
        Ok(form.error.into_error())
    }
}
