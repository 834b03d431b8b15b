//! Kinds of errors and gRPC codes, each way.
//!
//! A code has fewer meanings than a kind, so the error itself travels in the details: `grpc-status-details-bin` holds a
//! `google.rpc.Status` with a `synckit.v1.Error` in it, where every gRPC library expects it. It is read here and not by
//! tonic, which panics on details that are not base64.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::{HeaderMap, HeaderName, HeaderValue};
use prost::Message;
use synckit_core::{Error, ErrorKind};
use synckit_remote::{DIGEST, Digest, seal, unseal, with_delay};
use synckit_wire::{Decode, Encode, Format, WireLimits};
use tonic::Code;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// Base64, written without padding and read with or without it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The name of the error among the types of protobuf.
const ERROR_TYPE: &str = "type.googleapis.com/synckit.v1.Error";

/// The longest message of an error, since headers have little room.
const MESSAGE_BYTES: usize = 1 << 10;

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct Details {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// Returns the code that stands for this kind, for software that does not read the details.
fn code_of(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::Invalid => Code::InvalidArgument,
        ErrorKind::TooLarge => Code::ResourceExhausted,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::Conflict => Code::AlreadyExists,
        ErrorKind::CursorUnknown => Code::FailedPrecondition,
        ErrorKind::Denied => Code::PermissionDenied,
        ErrorKind::Unsupported => Code::Unimplemented,
        ErrorKind::Unavailable | ErrorKind::Busy | ErrorKind::Closed => Code::Unavailable,
        ErrorKind::Timeout => Code::DeadlineExceeded,
        ErrorKind::Corrupt => Code::DataLoss,
        _ => Code::Internal,
    }
}

/// Returns the trailers of a call that succeeded.
pub(crate) fn ok() -> HeaderMap {
    HeaderMap::from_iter([(STATUS, HeaderValue::from_static("0"))])
}

/// Returns the trailers of a call that failed.
pub(crate) fn failed(error: Error) -> HeaderMap {
    let error = with_delay(error);
    let mut value = error.to_protobuf();
    if value.len() > 2 * MESSAGE_BYTES {
        let short = Error::new(error.kind(), brief(error.message()));
        value = match error.retry_after() {
            Some(delay) => short.with_retry_after(delay).to_protobuf(),
            None => short.to_protobuf(),
        };
    }
    let value = seal(Format::Protobuf, value);
    let code = code_of(error.kind());
    let message = brief(error.message());
    let details = Details {
        code: code as i32,
        message: message.to_owned(),
        details: vec![Any { type_url: ERROR_TYPE.to_owned(), value }],
    };
    let mut trailers = HeaderMap::from_iter([(STATUS, HeaderValue::from(code as i32))]);
    trailers.extend(Digest::Inside.header().map(|inside| (DIGEST, inside)));
    // Percent-encoded text and base64 are ASCII, so neither is ever left out.
    let text = [(MESSAGE, percent_encode(message)), (DETAILS, BASE64.encode(details.encode_to_vec()))];
    for (name, text) in text {
        if let Ok(value) = HeaderValue::from_str(&text) {
            trailers.insert(name, value);
        }
    }
    trailers
}

/// Reads from these headers or trailers whether a call succeeded, or what went wrong; returns `None` when they do not
/// say.
pub(crate) fn read(headers: &HeaderMap) -> Option<Result<(), Error>> {
    let code = Code::from_bytes(headers.get(STATUS)?.as_bytes());
    if code == Code::Ok {
        return Some(Ok(()));
    }
    Some(Err(own(headers).unwrap_or_else(|| {
        let message = headers.get(MESSAGE).map(|message| percent_decode(message.as_bytes()));
        foreign(code, &message.unwrap_or_default())
    })))
}

/// Reads the error in the details, if the other side is one of synckit's and it was not damaged on its way.
fn own(headers: &HeaderMap) -> Option<Error> {
    let details = BASE64.decode(headers.get(DETAILS)?.as_bytes()).ok()?;
    let details = Details::decode(&*details).ok()?.details;
    let any = details.into_iter().find(|any| any.type_url == ERROR_TYPE)?;
    let value = match Digest::in_headers(headers) {
        Digest::Inside => unseal(Format::Protobuf, any.value.into()).ok()?,
        _ => any.value.into(),
    };
    Error::from_protobuf(&value, &WireLimits::default()).ok()
}

/// Returns the error for a status that is not synckit's, but a proxy's or another server's. Its kind is never one by
/// which a peer judges a message.
fn foreign(code: Code, said: &str) -> Error {
    let (kind, message) = match code {
        Code::PermissionDenied | Code::Unauthenticated => (
            ErrorKind::Denied,
            "access is denied on the way to the server; check the credentials and the proxy",
        ),
        Code::NotFound | Code::Unimplemented => {
            (ErrorKind::Unsupported, "there is no synckit service at this address")
        }
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange | Code::AlreadyExists => (
            ErrorKind::Unsupported,
            "something between here and the server refuses the call; nothing is lost, check the proxy",
        ),
        Code::DeadlineExceeded => (ErrorKind::Timeout, "the call took too long"),
        // Libraries give the same code to a message that is too large and to a caller that calls too often.
        Code::ResourceExhausted if said.contains("larg") || said.contains("size") => {
            (ErrorKind::TooLarge, "the server or a proxy refuses a message of this size")
        }
        Code::ResourceExhausted => (ErrorKind::Busy, "the server or a proxy has no room for the call now"),
        Code::Unavailable | Code::Cancelled | Code::Aborted => {
            (ErrorKind::Unavailable, "the server is not available")
        }
        Code::DataLoss => (ErrorKind::Corrupt, "the server cannot read its data"),
        _ => (ErrorKind::Internal, "the server, or a proxy in front of it, failed"),
    };
    let error = Error::new(kind, message).with("code", code.description()).in_transit();
    if said.is_empty() { error } else { error.with("it says", brief(said)) }
}

fn brief(text: &str) -> &str {
    let mut end = text.len().min(MESSAGE_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' => out.push_str("%25"),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn percent_decode(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        let hex = |at: usize| tail.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        match (first, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                rest = &tail[2..];
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn again(error: Error) -> Error {
        read(&failed(error)).expect("says something").expect_err("an error")
    }

    #[test]
    fn every_kind_crosses_with_its_message_and_delay() {
        let delay = Duration::from_millis(2_500);
        for kind in ErrorKind::ALL {
            let error = again(Error::new(kind, "100 % wrong: é\n").with_retry_after(delay));
            assert_eq!((error.kind(), error.message()), (kind, "100 % wrong: é\n"));
            assert_eq!(error.retry_after(), Some(delay));
        }
    }

    #[test]
    fn who_has_no_room_says_when_to_come_again() {
        for kind in ErrorKind::ALL {
            let delay = again(Error::new(kind, "no")).retry_after();
            let expected =
                matches!(kind, ErrorKind::Busy | ErrorKind::Unavailable).then_some(Duration::from_secs(1));
            assert_eq!(delay, expected, "{kind}");
        }
    }

    #[test]
    fn a_long_message_is_cut_to_what_headers_hold() {
        let trailers =
            failed(Error::new(ErrorKind::Invalid, "é".repeat(100_000)).with("at", "x".repeat(100_000)));
        let length: usize = trailers.values().map(HeaderValue::len).sum();
        assert!(length < 8 << 10, "{length}");
        assert_eq!(again(Error::new(ErrorKind::TooLarge, "é".repeat(100_000))).kind(), ErrorKind::TooLarge);
    }

    #[test]
    fn foreign_codes_mean_what_they_say() {
        let expected = [
            (Code::Cancelled, ErrorKind::Unavailable),
            (Code::Unknown, ErrorKind::Internal),
            (Code::InvalidArgument, ErrorKind::Unsupported),
            (Code::DeadlineExceeded, ErrorKind::Timeout),
            (Code::NotFound, ErrorKind::Unsupported),
            (Code::PermissionDenied, ErrorKind::Denied),
            (Code::ResourceExhausted, ErrorKind::Busy),
            (Code::Aborted, ErrorKind::Unavailable),
            (Code::Unimplemented, ErrorKind::Unsupported),
            (Code::Internal, ErrorKind::Internal),
            (Code::Unavailable, ErrorKind::Unavailable),
            (Code::DataLoss, ErrorKind::Corrupt),
            (Code::Unauthenticated, ErrorKind::Denied),
        ];
        for (code, kind) in expected {
            let headers = HeaderMap::from_iter([
                (STATUS, HeaderValue::from(code as i32)),
                (MESSAGE, HeaderValue::from_static("because %C3%A9%")),
                (DETAILS, HeaderValue::from_static("not base64 !")),
            ]);
            let error = read(&headers).expect("says something").expect_err("an error");
            assert_eq!((error.kind(), error.is_in_transit()), (kind, true));
            assert!(error.to_string().contains("because é%"), "{error}");
        }
        assert!(read(&HeaderMap::new()).is_none());
        assert!(matches!(read(&ok()), Some(Ok(()))));
    }
}
