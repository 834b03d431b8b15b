//! A push as received: readable events are passed on, unreadable ones are refused here.

use synckit_core::{PushRequest, PushResponse, Refused};

/// A push, with its unreadable events separated.
///
/// Pass [`ReceivedPush::request`] to the transport and join its response with [`ReceivedPush::refusals`]:
///
/// ```
/// # use synckit_core::{PushResponse, Result};
/// # use synckit_wire::{Decode, ReceivedPush, WireLimits};
/// # fn main() -> Result<()> {
/// let body = br#"{"caller":{"node":"a","store":"000102030405060708090a0b0c0d0e0f"},"filter":"all",
///     "events":[{"id":"e-1","type":7}]}"#;
/// let ReceivedPush { request, refusals } = ReceivedPush::from_json(body, &WireLimits::default())?;
/// assert!(request.events.is_empty());
/// let answer = refusals.join(PushResponse::default());
/// assert_eq!((answer.refused[0].index, answer.refused[0].id.as_str()), (0, "e-1"));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedPush {
    /// The readable part of the push. `upto` is absent if any event could not be read, because that place is not
    /// reached.
    pub request: PushRequest,
    /// The events that could not be read.
    pub refusals: Refusals,
}

/// The events of a push that could not be read, and the indexes of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// The refused events, by index in the batch as sent.
    pub(crate) refused: Vec<Refused>,
    /// For each readable event, its index in the batch as sent.
    pub(crate) places: Vec<usize>,
}

impl Refusals {
    /// Returns the refused events, by index in the batch as sent.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// Returns the response to the whole push: the receiver's response, with its indexes turned into those of the batch
    /// as sent, and the events refused here.
    pub fn join(self, mut answer: PushResponse) -> PushResponse {
        for refused in &mut answer.refused {
            refused.index = self.places.get(refused.index).copied().unwrap_or(refused.index);
        }
        answer.refused.extend(self.refused);
        answer.refused.sort_by_key(|refused| refused.index);
        answer
    }
}
