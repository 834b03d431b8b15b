//! The building blocks of compact binary forms: numbers as LEB128, and text preceded by its length.

use crate::error::{Error, Result};

/// Appends a number as LEB128.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends bytes, such as those of a text, preceded by their length.
#[inline]
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Takes a number from the front.
///
/// # Errors
/// `Invalid` when the bytes end too early or the number is longer than 64 bits.
#[inline]
pub fn take_varint(bytes: &mut &[u8]) -> Result<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or_else(cut_short)?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        if shift == 63 && part > 1 {
            break;
        }
        number |= part << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Error::invalid("a binary number is longer than 64 bits"))
}

/// Takes a text from the front.
///
/// # Errors
/// `Invalid` when the bytes end too early or are not UTF-8.
#[inline]
pub fn take_text<'a>(bytes: &mut &'a [u8]) -> Result<&'a str> {
    let length = usize::try_from(take_varint(bytes)?).unwrap_or(usize::MAX);
    let (text, rest) = bytes.split_at_checked(length).ok_or_else(cut_short)?;
    *bytes = rest;
    std::str::from_utf8(text).map_err(|error| Error::invalid("a name is not UTF-8").with_source(error))
}

fn cut_short() -> Error {
    Error::invalid("the binary form ends too early")
}
