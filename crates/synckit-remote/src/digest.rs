//! The digest of a message: the CRC-32 of its bytes before they are packed. It tells damage on the way, which checksums
//! of TCP miss, from bad content; it does not protect from anybody.
//!
//! Where a message has headers of its own, the digest is in one. In a stream of messages it is inside each: the last
//! field of a protobuf message, the last key of a JSON object. Readers that do not know it ignore it.

use bytes::Bytes;
use synckit_core::{Error, Result};
use synckit_wire::Format;

use crate::error::damaged;

/// The name of the header.
pub const DIGEST: http::HeaderName = http::HeaderName::from_static("synckit-digest");

/// The value of the header that says that the digest is inside each message.
const INSIDE: http::HeaderValue = http::HeaderValue::from_static("inside");

/// The key of the field 2047 with 32 bits.
const FIELD: [u8; 2] = [0xfd, 0x7f];
const FIELD_BYTES: usize = FIELD.len() + 4;

const KEY: &[u8] = b",\"crc32\":\"";
const KEY_BYTES: usize = KEY.len() + 8 + 2;

/// Where the digest of a message is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Digest {
    /// There is none.
    #[default]
    Absent,
    /// In a header: this one.
    Of(u32),
    /// Inside the message.
    Inside,
}

impl Digest {
    /// Computes the digest of a message that is not packed.
    pub fn of(message: &[u8]) -> Self {
        Digest::Of(crc32fast::hash(message))
    }

    /// Reads it from the headers of a message, or of a stream of messages. A value that cannot be read belongs to no
    /// message, so that the message counts as damaged.
    pub fn in_headers(headers: &http::HeaderMap) -> Self {
        match headers.get(DIGEST).map(http::HeaderValue::as_bytes) {
            None => Digest::Absent,
            Some(value) if value == INSIDE.as_bytes() => Digest::Inside,
            Some(value) => Digest::Of(hex(value).unwrap_or_default()),
        }
    }

    /// Returns the value of the header, if the message has a digest.
    pub fn header(self) -> Option<http::HeaderValue> {
        match self {
            Digest::Absent => None,
            Digest::Of(digest) => http::HeaderValue::try_from(format!("{digest:08x}")).ok(),
            Digest::Inside => Some(INSIDE),
        }
    }

    /// Checks a message that is not packed any more.
    ///
    /// # Errors
    /// That of a damaged message.
    pub(crate) fn check(self, format: Format, message: Bytes) -> Result<Bytes> {
        match self {
            Digest::Absent => Ok(message),
            Digest::Of(digest) if crc32fast::hash(&message) == digest => Ok(message),
            Digest::Of(_) => Err(changed()),
            Digest::Inside => unseal(format, message),
        }
    }
}

/// Returns the error for a message whose digest is another.
pub(crate) fn changed() -> Error {
    damaged("the message was damaged on its way; send it again")
}

/// Puts the digest of a message inside it.
pub fn seal(format: Format, mut message: Vec<u8>) -> Vec<u8> {
    match format {
        Format::Protobuf => {
            let digest = crc32fast::hash(&message);
            message.extend_from_slice(&FIELD);
            message.extend_from_slice(&digest.to_le_bytes());
        }
        Format::Json => {
            // Every message is an object with at least one key.
            message.pop();
            let digest = crc32fast::hash(&message);
            message.extend_from_slice(KEY);
            message.extend_from_slice(format!("{digest:08x}\"}}").as_bytes());
        }
    }
    message
}

/// Checks the digest inside a message. Returns the message, without the digest if it is the last field.
///
/// # Errors
/// That of a damaged message, also if there is no digest.
pub fn unseal(format: Format, message: Bytes) -> Result<Bytes> {
    let inside = match format {
        Format::Protobuf => FIELD_BYTES,
        Format::Json => KEY_BYTES,
    };
    let end = message.len().checked_sub(inside).ok_or_else(changed)?;
    let (content, tail) = message.split_at(end);
    let digest = match format {
        Format::Protobuf => {
            tail.strip_prefix(&FIELD).and_then(|digest| digest.try_into().ok()).map(u32::from_le_bytes)
        }
        Format::Json => tail.strip_prefix(KEY).and_then(|tail| hex(tail.strip_suffix(b"\"}")?)),
    };
    if digest != Some(crc32fast::hash(content)) {
        return Err(changed());
    }
    Ok(match format {
        Format::Protobuf => message.slice(..end),
        Format::Json => message,
    })
}

/// Reads eight hexadecimal digits.
fn hex(text: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() == 8 && !text.starts_with('+'))?;
    u32::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use synckit_core::MissingResponse;
    use synckit_wire::{Decode, Encode, WireLimits};

    use super::*;

    fn message() -> MissingResponse {
        let ids = (0..20).map(|id| format!("event-{id}").parse().expect("valid")).collect();
        MissingResponse { ids, place: None }
    }

    #[test]
    fn a_sealed_message_is_read_with_and_without_its_digest() {
        for format in Format::ALL {
            let sealed = Bytes::from(seal(format, message().encode(format)));
            let read = MissingResponse::decode(format, &sealed, &WireLimits::default()).expect("ignores it");
            assert_eq!(read, message());
            let content = unseal(format, sealed).expect("as sealed");
            let read = MissingResponse::decode(format, &content, &WireLimits::default()).expect("reads");
            assert_eq!(read, message());
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        for format in Format::ALL {
            let plain = message().encode(format);
            let (digest, sealed) = (Digest::of(&plain), seal(format, plain.clone()));
            for bit in 0..8 * sealed.len() {
                let mut flipped = sealed.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let Ok(read) = unseal(format, flipped.into()) else { continue };
                // Hexadecimal digits may be written in either case.
                assert_eq!(
                    MissingResponse::decode(format, &read, &WireLimits::default()).ok(),
                    Some(message())
                );
            }
            for bit in 0..8 * plain.len() {
                let mut flipped = plain.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(digest.check(format, flipped.into()).expect_err("changed").is_retryable());
            }
        }
    }

    #[test]
    fn the_header_says_where_the_digest_is() {
        // The check value of this CRC in every list of them.
        assert_eq!(Digest::of(b"123456789"), Digest::Of(0xcbf4_3926));
        for digest in [Digest::Of(0xcbf4_3926), Digest::Inside] {
            let headers = http::HeaderMap::from_iter([(DIGEST, digest.header().expect("there is one"))]);
            assert_eq!(Digest::in_headers(&headers), digest);
        }
        assert_eq!(Digest::in_headers(&http::HeaderMap::new()), Digest::Absent);
        let headers = http::HeaderMap::from_iter([(DIGEST, http::HeaderValue::from_static("+1234567"))]);
        assert_eq!(Digest::in_headers(&headers), Digest::Of(0));
    }
}
