//! A push as it is received: what could be read goes on, what could not is refused here.

use synckit_core::{PushRequest, PushResponse, Refused};

/// A push whose unreadable events were set apart.
///
/// Hand [`ReceivedPush::request`] to the transport and join its answer with [`ReceivedPush::refusals`]:
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
    /// What could be read. `upto` is absent when anything could not: that place is not reached.
    pub request: PushRequest,
    /// What could not.
    pub refusals: Refusals,
}

/// The events of a push that could not be read, and where the others stood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// What was refused, by its place in the batch as sent.
    pub(crate) refused: Vec<Refused>,
    /// For each event that could be read, its place in the batch as sent.
    pub(crate) places: Vec<usize>,
}

impl Refusals {
    /// What was refused, by its place in the batch as sent.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// The answer to the whole push: the receiver's answer with its places turned into those of the batch as sent,
    /// and what was refused before.
    pub fn join(self, mut answer: PushResponse) -> PushResponse {
        for refused in &mut answer.refused {
            refused.index = self.places.get(refused.index).copied().unwrap_or(refused.index);
        }
        answer.refused.extend(self.refused);
        answer.refused.sort_by_key(|refused| refused.index);
        answer
    }
}
