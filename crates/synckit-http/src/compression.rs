//! How bodies are packed, according to the headers of HTTP.

use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use http::{HeaderMap, HeaderValue};
use synckit_core::{Error, ErrorKind, Result};
use synckit_net::Coding;
use synckit_remote::{DIGEST, damaged};

/// The codings that this crate reads, preferred ones first: the value of `Accept-Encoding`.
pub(crate) const ACCEPTED: HeaderValue = HeaderValue::from_static("zstd, gzip");

/// Returns how the body under these headers is packed.
///
/// # Errors
/// `Unsupported` for a coding other than zstd and gzip, or for several codings. If the message has a digest, it is a
/// synckit peer's, which names no other: then the header was [`damaged`].
pub fn coding_of(headers: &HeaderMap) -> Result<Coding> {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    let known = match (codings.next(), codings.next()) {
        (None, _) => Some(Coding::Identity),
        (Some(name), None) => Coding::named(name.to_str().unwrap_or_default()),
        (Some(_), Some(_)) => None,
    };
    let message = "the content encoding is not known; send zstd, gzip or no encoding";
    known.ok_or_else(|| match headers.contains_key(DIGEST) {
        true => damaged("the content encoding was altered on its way"),
        false => Error::new(ErrorKind::Unsupported, message),
    })
}

/// Returns the best coding that these request headers accept.
pub(crate) fn accepted_coding(headers: &HeaderMap) -> Coding {
    Coding::accepted(headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()))
}

/// Returns the value of `Content-Encoding`.
pub(crate) fn coding_header(coding: Coding) -> Option<HeaderValue> {
    (coding != Coding::Identity).then(|| HeaderValue::from_static(coding.name()))
}
