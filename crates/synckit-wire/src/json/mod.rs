//! The JSON form of every message.
//!
//! - `batch`: arrays of events, read one by one
//! - `push`, `page`, `hello`: the messages that carry them
//! - `plain`: the messages that carry none
//! - `error`: the body of a failed call
//!
//! Nothing here recurses on the nesting of what came in: messages without events are checked for depth before
//! they are parsed, and the events of a batch are skipped over as text, whose data is checked for depth in turn.

mod batch;
mod error;
mod event;
mod hello;
mod page;
mod plain;
mod push;

pub(crate) use event::write_event;

pub use batch::items;

use serde::{Deserialize, Serialize};
use synckit_core::{Result, json::check_depth};

use crate::checks::{Side, check_length};
use crate::limits::WireLimits;

/// A message that has a JSON form.
pub(crate) trait ToJson {
    fn to_json(&self) -> Vec<u8>;
}

/// A message that is read from its JSON form.
pub(crate) trait FromJson: Sized {
    fn from_json(bytes: &[u8], limits: &WireLimits) -> Result<Self>;
}

/// Reads a message that carries no events.
fn parse_plain<'a, T: Deserialize<'a>>(bytes: &'a [u8], limits: &WireLimits, side: Side) -> Result<T> {
    check_length(bytes, limits.decoded_bytes.min(WireLimits::PLAIN_BYTES))?;
    check_depth(bytes)?;
    parse(bytes, side)
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8], side: Side) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| side.unreadable(&error.to_string()))
}

/// Appends a field that is not the first.
fn put_field<T: Serialize + ?Sized>(out: &mut Vec<u8>, name: &str, part: &T) {
    put_name(out, name);
    put(out, part);
}

/// Appends the name of a field that is not the first. It needs no escapes.
fn put_name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Appends the JSON form of a part.
fn put<T: Serialize + ?Sized>(out: &mut Vec<u8>, part: &T) {
    serde_json::to_writer(out, part).expect("the parts of a message have a JSON form");
}
