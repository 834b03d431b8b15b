//! How messages are packed, according to the headers of gRPC.
//!
//! Messages are framed by this crate because the codec of tonic lets a zstd frame ask for a window of 128 MiB.

use http::{HeaderMap, HeaderName, HeaderValue};
use synckit_core::{Error, ErrorKind, Result};
use synckit_net::Coding;
use synckit_remote::{DIGEST, damaged};

/// How the messages of a call are packed, if they are.
pub(crate) const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// How the messages of the other side may be packed.
pub(crate) const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// The codings that this crate reads, preferred ones first.
pub(crate) const ACCEPTED: HeaderValue = HeaderValue::from_static("zstd,gzip,identity");

/// Returns how the messages under these headers are packed, if they are.
///
/// # Errors
/// `Unsupported` for a coding other than zstd and gzip. If the message has a digest, it is a synckit peer's, which
/// names no other: then the header was [`damaged`].
pub(crate) fn coding_of(headers: &HeaderMap) -> Result<Coding> {
    let Some(name) = headers.get(ENCODING) else { return Ok(Coding::Identity) };
    name.to_str().ok().and_then(Coding::named).ok_or_else(|| {
        let message = "the encoding of the messages is not known; send zstd, gzip or identity";
        match headers.contains_key(DIGEST) {
            true => damaged("the encoding of the messages was altered on its way"),
            false => Error::new(ErrorKind::Unsupported, message),
        }
    })
}

/// Returns the best coding that these request headers accept.
pub(crate) fn accepted_coding(headers: &HeaderMap) -> Coding {
    Coding::accepted(headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()))
}
