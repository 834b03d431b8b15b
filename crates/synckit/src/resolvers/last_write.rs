//! Keeps the latest edit.

use synckit_core::Result;
use synckit_plan::{Conflict, ConflictResolver, Fingerprint, Ruling};

use crate::resolvers::keep_by_order;

/// Keeps the branch whose event is the latest in canonical order. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct LastWriteWins;

impl ConflictResolver for LastWriteWins {
    fn name(&self) -> &str {
        "last-write-wins"
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::Lasting(String::new())
    }

    fn resolve(&self, conflict: &Conflict) -> Result<Ruling> {
        Ok(keep_by_order(conflict, true)?.into())
    }
}
