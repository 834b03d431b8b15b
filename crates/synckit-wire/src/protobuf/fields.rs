//! Iterates over the fields of a message without building anything.

use std::fmt;

use prost::bytes::Buf;
use prost::encoding::{DecodeContext, WireType, decode_varint, skip_field};
use synckit_core::Result;

use crate::checks::{Side, too_many};

/// The fields of a message. After an error, the iteration ends.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

/// The error for bytes that are not fields. It has no details, so that it costs nothing to carry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes are not a protobuf message")
    }
}

impl From<prost::DecodeError> for Malformed {
    fn from(_: prost::DecodeError) -> Self {
        Malformed
    }
}

/// One field.
pub(super) struct Field<'a> {
    pub(super) tag: u32,
    pub(super) value: Value<'a>,
    /// The key and the value, as encoded in the message.
    raw: &'a [u8],
}

/// The value of a field, as far as the wire type tells.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    /// A type that none of our fields has.
    Other,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let start = std::mem::take(&mut self.0);
        let mut rest = start;
        match value(&mut rest) {
            Ok((tag, value)) => {
                self.0 = rest;
                let raw = &start[..start.len() - rest.len()];
                Some(Ok(Field { tag, value, raw }))
            }
            Err(malformed) => Some(Err(malformed)),
        }
    }
}

#[inline]
fn value<'a>(rest: &mut &'a [u8]) -> Result<(u32, Value<'a>), Malformed> {
    let key = u32::try_from(varint(rest)?).map_err(|_| Malformed)?;
    let (tag, wire_type) = (key >> 3, WireType::try_from(u64::from(key & 7))?);
    let value = match wire_type {
        _ if tag == 0 => return Err(Malformed),
        WireType::Varint => Value::Varint(varint(rest)?),
        WireType::SixtyFourBit if rest.len() >= 8 => Value::Fixed64(rest.get_u64_le()),
        WireType::LengthDelimited => {
            let length = usize::try_from(varint(rest)?).map_err(|_| Malformed)?;
            let (value, after) = rest.split_at_checked(length).ok_or(Malformed)?;
            *rest = after;
            Value::Bytes(value)
        }
        _ => {
            skip_field(wire_type, tag, rest, DecodeContext::default())?;
            Value::Other
        }
    };
    Ok((tag, value))
}

/// Reads a number; nearly all of them have one byte.
#[inline]
fn varint(rest: &mut &[u8]) -> Result<u64, Malformed> {
    match *rest {
        [byte @ ..0x80, after @ ..] => {
            *rest = after;
            Ok(u64::from(*byte))
        }
        _ => Ok(decode_varint(rest)?),
    }
}

/// A message, split into its repeated fields and the rest.
pub(super) struct Split<'a> {
    /// The values of the repeated fields, in order, with their tags.
    pub(super) items: Vec<(u32, &'a [u8])>,
    /// The other fields, as a separate message.
    pub(super) rest: Vec<u8>,
}

/// Takes the fields with these tags, which are strings or messages, out of a message. Stops at the first one beyond
/// `most`.
///
/// # Errors
/// `TooLarge` for more than `most` of them, `Invalid` or `Corrupt` for bytes that are not a message.
pub(super) fn split<'a>(
    bytes: &'a [u8],
    tags: &[u32],
    what: &str,
    most: usize,
    side: Side,
) -> Result<Split<'a>> {
    let mut split = Split { items: Vec::new(), rest: Vec::new() };
    for field in Fields(bytes) {
        let Field { tag, value, raw } = field.map_err(|error| side.unreadable(&error.to_string()))?;
        match value {
            _ if !tags.contains(&tag) => split.rest.extend_from_slice(raw),
            Value::Bytes(_) if split.items.len() == most => return Err(too_many(what, most)),
            Value::Bytes(item) => split.items.push((tag, item)),
            _ => return Err(side.unreadable(&format!("the {what} have the wrong wire type"))),
        }
    }
    Ok(split)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wire_type_is_stepped_over() {
        let message = [
            0x08, 0x96, 0x01, // 1: 150
            0x11, 1, 0, 0, 0, 0, 0, 0, 0, // 2: fixed 1
            0x1a, 2, b'h', b'i', // 3: "hi"
            0x23, 0x08, 1, 0x24, // 4: a group
            0x2d, 1, 2, 3, 4, // 5: four bytes
        ];
        let fields: Vec<_> = Fields(&message).map(|field| field.expect("reads")).collect();
        let tags: Vec<_> = fields.iter().map(|field| field.tag).collect();
        assert_eq!(tags, [1, 2, 3, 4, 5]);
        assert!(matches!(fields[0].value, Value::Varint(150)));
        assert!(matches!(fields[1].value, Value::Fixed64(1)));
        assert!(matches!(fields[2].value, Value::Bytes(b"hi")));
        assert!(matches!((fields[3].value, fields[4].value), (Value::Other, Value::Other)));
        assert_eq!(fields.iter().map(|field| field.raw.len()).sum::<usize>(), message.len());
    }

    #[test]
    fn what_is_cut_short_is_an_error_and_the_end() {
        for message in [&[0x0a, 5, b'h'][..], &[0x09, 1], &[0x08], &[0x08, 0x80], &[0x0b], &[0x00], &[0x0c]] {
            let mut fields = Fields(message);
            assert!(fields.next().expect("something").is_err(), "{message:?}");
            assert!(fields.next().is_none());
        }
        let groups = [0x0b; 10_000];
        assert!(Fields(&groups).next().expect("something").is_err(), "nesting is bounded");
    }
}
