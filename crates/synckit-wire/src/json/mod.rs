//! The JSON form of every message.
//!
//! - `batch`: arrays of events, read one by one
//! - `push`, `page`: the messages that carry them
//! - `plain`: the messages that carry none
//! - `error`: the body of a failed call
//!
//! Nothing here recurses on the nesting of what came in: messages without events are checked for depth before
//! they are parsed, and the events of a batch are skipped over as text, whose data is checked for depth in turn.

mod batch;
mod error;
mod page;
mod plain;
mod push;

use serde::{Deserialize, Serialize};
use synckit_core::{Error, ErrorKind, Result, json::check_depth};

use crate::limits::WireLimits;

/// What a message is to the side that reads it; decides what an unreadable one is called.
#[derive(Clone, Copy)]
enum Side {
    /// A request: the caller is at fault.
    Request,
    /// An answer: the peer is.
    Answer,
}

/// Reads a message that carries no events.
fn parse_plain<'a, T: Deserialize<'a>>(bytes: &'a [u8], limits: &WireLimits, side: Side) -> Result<T> {
    check_length(bytes, limits.decoded_bytes.min(WireLimits::PLAIN_BYTES))?;
    check_depth(bytes)?;
    parse(bytes, side)
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8], side: Side) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| unreadable(side, &error))
}

fn unreadable(side: Side, error: &serde_json::Error) -> Error {
    let (kind, whose) = match side {
        Side::Request => (ErrorKind::Invalid, "the message"),
        Side::Answer => (ErrorKind::Corrupt, "the answer"),
    };
    Error::new(kind, format!("{whose} cannot be read: {}", brief(&error.to_string())))
}

fn check_length(bytes: &[u8], most: usize) -> Result<()> {
    if bytes.len() <= most {
        return Ok(());
    }
    Err(Error::too_large(format!("the message has {} bytes; at most {most} are allowed", bytes.len())))
}

fn too_many(what: &str, most: usize) -> Error {
    Error::too_large(format!("there are more than {most} {what} in one message; send several"))
}

/// Appends the JSON form of a part.
fn put<T: Serialize + ?Sized>(out: &mut Vec<u8>, part: &T) {
    serde_json::to_writer(out, part).expect("the parts of a message have a JSON form");
}

/// What a reader needs of a text that another side chose: at most 255 bytes of it.
fn brief(text: &str) -> &str {
    let mut end = text.len().min(synckit_core::MAX_NAME_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
