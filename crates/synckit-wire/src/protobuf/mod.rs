//! The protobuf form of every message, as `docs/synckit.proto` describes it.
//!
//! - `fields`: the fields of a message, one after the other
//! - `write`: fields written by hand
//! - `event`, `read`: one event, and a batch of them read one by one
//! - `push`, `page`, `hello`: the messages that carry them
//! - `pull`, `missing`: the messages that carry none
//! - `parts`, `filter`: what these consist of
//! - `error`: what a failed call says
//! - `generated`: the forms of messages as prost writes them
//!
//! What may repeat is counted before anything is built: a body of a few bytes for each item would otherwise unfold to
//! many times its size. Events are read by hand, straight from the bytes of the message into what they become, each
//! on its own, so that one that is wrong does not stop the others. Everything else goes through the generated forms.

mod error;
mod event;
mod fields;
mod filter;
#[allow(
    clippy::all,
    dead_code,
    unnameable_types,
    unreachable_pub,
    reason = "generated; the forms of events are there for the tests, which compare them with what is written by hand"
)]
#[rustfmt::skip]
mod generated;
mod hello;
mod missing;
mod page;
mod parts;
mod pull;
mod push;
mod read;
mod write;

use prost::Message;
use synckit_core::Result;

use crate::checks::Side;
use crate::limits::WireLimits;

/// A message that has a protobuf form.
pub(crate) trait ToProtobuf {
    fn to_protobuf(&self) -> Vec<u8>;
}

/// A message that is read from its protobuf form.
pub(crate) trait FromProtobuf: Sized {
    fn from_protobuf(bytes: &[u8], limits: &WireLimits) -> Result<Self>;
}

/// Reads a generated form, in which nothing repeats without bound any more.
fn parse<F: Message + Default>(bytes: &[u8], side: Side) -> Result<F> {
    F::decode(bytes).map_err(|error| side.unreadable(&error.to_string()))
}

/// A number of this process as it is on the wire, and back: what does not fit is above every limit anyway.
fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
