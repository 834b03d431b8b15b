//! Keeps the earliest edit.

use synckit_core::Result;
use synckit_plan::{Conflict, ConflictResolver, Fingerprint, Ruling};

use crate::resolvers::keep_by_order;

/// Keeps the branch whose event is the earliest in canonical order, for things that can be claimed once, such as a
/// seat.
#[derive(Clone, Copy, Debug, Default)]
pub struct FirstWriteWins;

impl ConflictResolver for FirstWriteWins {
    fn name(&self) -> &str {
        "first-write-wins"
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::Lasting(String::new())
    }

    fn resolve(&self, conflict: &Conflict) -> Result<Ruling> {
        Ok(keep_by_order(conflict, false)?.into())
    }
}
