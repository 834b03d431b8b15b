//! The form of a message on the wire, and how both sides agree on one.
//!
//! A caller says with `Content-Type` what it sends and with `Accept` what it reads. A server answers in protobuf only
//! if the caller names it, so that a caller that knows nothing about it, such as a person with curl, gets JSON. A
//! client sends JSON until a server has answered in protobuf.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use synckit_wire::Format;

/// Returns the media type of a message.
pub(crate) fn media_type(format: Format) -> &'static str {
    match format {
        Format::Json => "application/json",
        Format::Protobuf => "application/protobuf",
    }
}

/// Returns the media type of a stream of pages.
pub(crate) fn stream_type(format: Format) -> &'static str {
    match format {
        Format::Json => "application/json-seq",
        Format::Protobuf => "application/vnd.synckit.pages",
    }
}

/// Returns what a client accepts: everything it reads, protobuf before JSON, or JSON only.
pub(crate) fn accepted_by(protobuf: bool) -> HeaderValue {
    HeaderValue::from_static(match protobuf {
        true => {
            "application/protobuf, application/vnd.synckit.pages, application/json;q=0.9, application/json-seq;q=0.9"
        }
        false => "application/json, application/json-seq",
    })
}

/// Returns the form that the body has according to these headers, if it is one of the two.
pub(crate) fn of_body(headers: &HeaderMap, types: fn(Format) -> &'static str) -> Option<Format> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let named = value.split(';').next()?.trim();
    Format::ALL.into_iter().find(|format| named.eq_ignore_ascii_case(types(*format)))
}

/// Returns the form of the answer to a caller with these headers.
pub(crate) fn of_answer(headers: &HeaderMap) -> Format {
    let weight = |wanted: &str| {
        let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let weights = values.flat_map(|value| value.split(',')).filter_map(|item| {
            let mut parts = item.split(';').map(str::trim);
            parts.next()?.eq_ignore_ascii_case(wanted).then_some(())?;
            parts
                .find_map(|part| part.strip_prefix("q="))
                .map_or(Some(1.0), |weight| weight.parse::<f32>().ok())
        });
        weights.fold(0.0, f32::max)
    };
    let protobuf = weight(media_type(Format::Protobuf));
    if protobuf > 0.0 && protobuf >= weight(media_type(Format::Json)) {
        Format::Protobuf
    } else {
        Format::Json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protobuf_is_answered_only_to_those_who_name_it() {
        for (accept, expected) in [
            ("*/*", Format::Json),
            ("application/json, application/json-seq", Format::Json),
            ("application/protobuf", Format::Protobuf),
            ("application/protobuf;q=0.5, application/json", Format::Json),
            ("application/json;q=0.9, APPLICATION/PROTOBUF; q=1.0", Format::Protobuf),
            ("application/protobuf;q=0", Format::Json),
            ("application/*", Format::Json),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(of_answer(&headers), expected, "{accept}");
        }
        assert_eq!(of_answer(&HeaderMap::new()), Format::Json);
        assert_eq!(of_answer(&HeaderMap::from_iter([(ACCEPT, accepted_by(true))])), Format::Protobuf);
        assert_eq!(of_answer(&HeaderMap::from_iter([(ACCEPT, accepted_by(false))])), Format::Json);
    }
}
