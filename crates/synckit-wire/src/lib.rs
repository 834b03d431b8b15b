#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! - [`Encode`], [`Decode`]: what every message can do
//! - [`ReceivedPush`], [`Refusals`]: a push whose unreadable events were set apart
//! - [`WireLimits`]: what a message may be at most
//! - `json`: the JSON form of every message

mod json;
mod limits;
mod push;

use synckit_core::Result;

pub use limits::WireLimits;
pub use push::{ReceivedPush, Refusals};

/// A message that can be sent.
///
/// Implemented by the messages of [`synckit_core::Transport`] and by [`synckit_core::Error`].
pub trait Encode {
    /// The JSON form. It may have line breaks where the data of an event has them.
    fn to_json(&self) -> Vec<u8>;
}

/// A message that can be received.
///
/// Implemented by the messages of [`synckit_core::Transport`] and by [`synckit_core::Error`]; a push is received
/// as a [`ReceivedPush`].
pub trait Decode: Sized {
    /// Reads the JSON form.
    ///
    /// # Errors
    /// `TooLarge` when a limit of the whole message is exceeded; `Invalid` when a request, `Corrupt` when an answer
    /// cannot be read.
    fn from_json(bytes: &[u8], limits: &WireLimits) -> Result<Self>;
}
