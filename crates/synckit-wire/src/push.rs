//! A push as received: readable events are passed on, unreadable ones are refused here.

use synckit_core::{PushRequest, Refused};

/// A push, with its unreadable events separated.
///
/// Pass [`ReceivedPush::request`] to the transport, and add [`ReceivedPush::refused`] to those of its response:
///
/// ```
/// # use synckit_core::{PushResponse, Result};
/// # use synckit_wire::{Decode, ReceivedPush, WireLimits};
/// # fn main() -> Result<()> {
/// let body = br#"{"caller":{"node":"a","store":"000102030405060708090a0b0c0d0e0f"},"filter":"all",
///     "events":[{"id":"e-1","type":7}]}"#;
/// let ReceivedPush { request, refused } = ReceivedPush::from_json(body, &WireLimits::default())?;
/// assert!(request.events.is_empty());
/// let mut answer = PushResponse::default();
/// answer.refused.extend(refused);
/// assert_eq!(answer.refused[0].id, "e-1");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedPush {
    /// The readable part of the push. `upto` is absent if any event could not be read, because that place is not
    /// reached.
    pub request: PushRequest,
    /// The events that could not be read.
    pub refused: Vec<Refused>,
}
