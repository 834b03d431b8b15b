//! The body of a failed call: `{"error":{"code":"busy","message":"…","retryable":true}}`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use synckit_core::{Error, ErrorKind, Result};

use super::{FromJson, ToJson, parse_plain, put};
use crate::checks::Side;
use crate::fault::{heard, told};
use crate::limits::WireLimits;

#[derive(Serialize, Deserialize)]
struct ErrorForm<'a> {
    #[serde(borrow)]
    error: Fault<'a>,
}

/// The description of a failed call.
#[derive(Serialize, Deserialize)]
pub(super) struct Fault<'a> {
    #[serde(borrow)]
    code: Cow<'a, str>,
    #[serde(borrow)]
    message: Cow<'a, str>,
    retryable: bool,
}

impl Fault<'_> {
    pub(super) fn into_error(self) -> Error {
        heard(ErrorKind::from_code(&self.code), self.message, self.retryable)
    }
}

impl ToJson for Error {
    fn to_json(&self) -> Vec<u8> {
        let code = Cow::Borrowed(self.kind().code());
        let mut out = Vec::new();
        put(
            &mut out,
            &ErrorForm { error: Fault { code, message: told(self), retryable: self.is_retryable() } },
        );
        out
    }
}

impl FromJson for Error {
    fn from_json(bytes: &[u8], limits: &WireLimits) -> Result<Self> {
        let form: ErrorForm<'_> = parse_plain(bytes, limits, Side::Answer)?;
        Ok(form.error.into_error())
    }
}
