//! How messages are packed, as the headers of gRPC say it.
//!
//! Messages are framed by this crate because the codec of tonic lets a zstd frame ask for a window of 128 MiB.

use http::{HeaderMap, HeaderName, HeaderValue};
use synckit_core::{Error, ErrorKind, Result};
use synckit_net::Coding;

/// How the messages of a call are packed, where they are.
pub(crate) const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// How those of the other side may be.
pub(crate) const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// The codings this crate reads, in the order it likes them.
pub(crate) const ACCEPTED: HeaderValue = HeaderValue::from_static("zstd,gzip,identity");

/// How the messages under these headers are packed, if they are.
///
/// # Errors
/// `Unsupported` for a coding other than zstd and gzip.
pub(crate) fn coding_of(headers: &HeaderMap) -> Result<Coding> {
    match headers.get(ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(Coding::Identity),
        Some(b"gzip") => Ok(Coding::Gzip),
        Some(b"zstd") => Ok(Coding::Zstd),
        Some(_) => Err(Error::new(
            ErrorKind::Unsupported,
            "the encoding of the messages is not known; send zstd, gzip or identity",
        )),
    }
}

/// The best coding that these request headers accept.
pub(crate) fn accepted_coding(headers: &HeaderMap) -> Coding {
    Coding::best(|wanted| {
        let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|name| name.trim() == wanted.name())
    })
}

/// The value of `grpc-encoding`.
pub(crate) fn coding_header(coding: Coding) -> Option<HeaderValue> {
    (coding != Coding::Identity).then(|| HeaderValue::from_static(coding.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted_by(value: &'static str) -> Coding {
        accepted_coding(&HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))]))
    }

    #[test]
    fn the_best_accepted_coding_is_taken() {
        assert_eq!(accepted_by("identity, gzip,deflate,zstd"), Coding::Zstd);
        assert_eq!(accepted_by("identity,gzip"), Coding::Gzip);
        assert_eq!(accepted_by("snappy"), Coding::Identity);
        assert_eq!(accepted_coding(&HeaderMap::new()), Coding::Identity);
    }
}
