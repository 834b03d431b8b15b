//! How bodies are packed, as the headers of HTTP say it.

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use http::{HeaderMap, HeaderValue};
use synckit_core::{Error, ErrorKind, Result};
use synckit_net::Coding;

/// The codings this crate reads, in the order it likes them; the value of `Accept-Encoding`.
pub(crate) const ACCEPTED: HeaderValue = HeaderValue::from_static("zstd, gzip");

/// How the body under these headers is packed.
///
/// # Errors
/// `Unsupported` for a coding other than zstd and gzip, or several.
pub(crate) fn coding_of(headers: &HeaderMap) -> Result<Coding> {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    let name = match (codings.next(), codings.next()) {
        (None, _) => return Ok(Coding::Identity),
        (Some(name), None) => name.to_str().unwrap_or_default().trim().to_ascii_lowercase(),
        (Some(_), Some(_)) => String::from("several"),
    };
    match name.as_str() {
        "" | "identity" => Ok(Coding::Identity),
        "gzip" | "x-gzip" => Ok(Coding::Gzip),
        "zstd" => Ok(Coding::Zstd),
        _ => Err(Error::new(
            ErrorKind::Unsupported,
            "the content encoding is not known; send zstd, gzip or no encoding",
        )),
    }
}

/// The best coding that these request headers accept.
pub(crate) fn accepted_coding(headers: &HeaderMap) -> Coding {
    Coding::best(|wanted| {
        let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|item| {
            let (name, weight) = item.split_once(';').unwrap_or((item, ""));
            let weight = weight.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
            name.trim().eq_ignore_ascii_case(wanted.name()) && weight.is_ok_and(|weight| weight > 0.0)
        })
    })
}

/// The value of `Content-Encoding`.
pub(crate) fn coding_header(coding: Coding) -> Option<HeaderValue> {
    (coding != Coding::Identity).then(|| HeaderValue::from_static(coding.name()))
}

/// Packs a body where that is worthwhile, and says how it is packed then.
pub(crate) fn pack(coding: Coding, body: Vec<u8>) -> (Coding, Bytes) {
    match coding.pack(&body) {
        Some(packed) => (coding, packed.into()),
        None => (Coding::Identity, body.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted_by(value: &'static str) -> Coding {
        accepted_coding(&HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))]))
    }

    #[test]
    fn the_best_accepted_coding_is_taken() {
        assert_eq!(accepted_by("gzip, deflate, br, zstd"), Coding::Zstd);
        assert_eq!(accepted_by("GZIP;q=0.5"), Coding::Gzip);
        assert_eq!(accepted_by("zstd;q=0, gzip; q=1.0"), Coding::Gzip);
        assert_eq!(accepted_by("br"), Coding::Identity);
        assert_eq!(accepted_coding(&HeaderMap::new()), Coding::Identity);
    }
}
