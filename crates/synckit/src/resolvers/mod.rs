//! Built-in resolvers. They decide by timestamps, ids and content, never by which replica is local, so every replica
//! that asks the same resolver gets the same ruling.
//!
//! - `last_write.rs`, `first_write.rs`, `additive.rs`, `review.rs`: the same answer for every conflict
//! - `field_merge/`: three-way merge, field by field, for events that carry a whole JSON object
//! - `closure.rs`: a function with a name
//! - `rules/`: chooses a resolver for each conflict
//! - `changes.rs`: which fields each side changed; `tree.rs`: JSON objects that keep the text of their values

mod additive;
mod changes;
mod closure;
mod field_merge;
mod first_write;
mod last_write;
mod review;
mod rules;
mod tree;

pub use additive::KeepAll;
pub use changes::{Changes, FieldChange, FieldPath, SideChanges};
pub use closure::Closure;
pub use field_merge::{Clash, FieldMerge};
pub use first_write::FirstWriteWins;
pub use last_write::LastWriteWins;
pub use review::ManualReview;
pub use rules::{Condition, Relation, Rule, RuleMistake, RuleResolver, Rules};

use std::sync::Arc;

use synckit_core::{Error, Event, Result};
use synckit_plan::{Answer, Conflict, ConflictResolver, Fingerprint, Ruling};

/// A resolver that is shared, such as one chosen by name at run time.
///
/// ```
/// use synckit::conflict::SharedResolver;
/// use synckit::{ConflictResolver, KeepAll, LastWriteWins};
///
/// let chosen = |all: bool| match all {
///     true => SharedResolver::new(KeepAll),
///     false => SharedResolver::new(LastWriteWins),
/// };
/// assert_eq!(chosen(true).name(), "keep-all");
/// ```
#[derive(Clone)]
pub struct SharedResolver(Arc<dyn ConflictResolver>);

impl SharedResolver {
    /// Shares a resolver.
    pub fn new(resolver: impl ConflictResolver + 'static) -> Self {
        SharedResolver(Arc::new(resolver))
    }
}

impl ConflictResolver for SharedResolver {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint()
    }

    fn resolve(&self, conflict: &Conflict) -> Result<Ruling> {
        self.0.resolve(conflict)
    }
}

impl std::fmt::Debug for SharedResolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SharedResolver").field(&self.name()).finish()
    }
}

/// Keeps the event of the branch whose event is the last, or the first, in canonical order.
fn keep_by_order(conflict: &Conflict, last: bool) -> Result<Answer> {
    let order = |left: &&Arc<Event>, right: &&Arc<Event>| left.canonical_cmp(right);
    let standing = conflict.branches.iter().map(|branch| &branch.stands_for);
    let kept = if last { standing.max_by(order) } else { standing.min_by(order) };
    kept.map(|event| Answer::Keep(event.id.clone())).ok_or_else(|| Error::invalid("a conflict has branches"))
}
