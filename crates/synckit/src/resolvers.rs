//! Built-in resolvers. They look at timestamps and ids, never at who is local.

use synckit_core::{Answer, Conflict, ConflictResolver, Error, Result};

/// The branch whose event is the latest in canonical order stands. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct LastWriteWins;

impl ConflictResolver for LastWriteWins {
    fn name(&self) -> &str {
        "last-write-wins"
    }

    fn resolve(&self, conflict: &Conflict) -> Result<Answer> {
        let standing = conflict.branches.iter().map(|branch| &branch.stands_for);
        let last = standing.max_by(|left, right| left.canonical_cmp(right));
        last.map(|event| Answer::Keep(event.id.clone()))
            .ok_or_else(|| Error::invalid("a conflict has branches"))
    }
}
