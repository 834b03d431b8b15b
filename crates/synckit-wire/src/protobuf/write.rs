//! Fields encoded by hand. Tags are below 16, so that a key is one byte.

use prost::encoding::{WireType, encode_varint, encoded_len_varint};

fn put_key(out: &mut Vec<u8>, tag: u32, wire_type: WireType) {
    out.push((tag as u8) << 3 | wire_type as u8);
}

/// Returns the length of a string or a message as a field.
pub(super) fn delimited_len(length: usize) -> usize {
    1 + encoded_len_varint(length as u64) + length
}

/// Writes the key and the length of a string or a message.
pub(super) fn open(out: &mut Vec<u8>, tag: u32, length: usize) {
    put_key(out, tag, WireType::LengthDelimited);
    encode_varint(length as u64, out);
}

pub(super) fn put_bytes(out: &mut Vec<u8>, tag: u32, bytes: &[u8]) {
    open(out, tag, bytes.len());
    out.extend_from_slice(bytes);
}

/// Returns the length of a number as a field; zero is omitted.
pub(super) fn varint_len(number: u64) -> usize {
    if number == 0 { 0 } else { 1 + encoded_len_varint(number) }
}

pub(super) fn put_varint(out: &mut Vec<u8>, tag: u32, number: u64) {
    if number > 0 {
        put_key(out, tag, WireType::Varint);
        encode_varint(number, out);
    }
}

/// Returns the length of an eight-byte number as a field; zero is omitted.
pub(super) fn fixed_len(number: u64) -> usize {
    if number == 0 { 0 } else { 9 }
}

pub(super) fn put_fixed(out: &mut Vec<u8>, tag: u32, number: u64) {
    if number > 0 {
        put_key(out, tag, WireType::SixtyFourBit);
        out.extend_from_slice(&number.to_le_bytes());
    }
}
