//! Leaves the decision to a person.

use synckit_core::Result;
use synckit_plan::{Answer, Conflict, ConflictResolver, Fingerprint, Ruling};

/// Leaves every conflict for a person, who settles it with [`Replica::settle`](crate::Replica::settle) on any replica,
/// or by recording an event on top of all sides.
#[derive(Clone, Copy, Debug, Default)]
pub struct ManualReview;

impl ConflictResolver for ManualReview {
    fn name(&self) -> &str {
        "review"
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::Lasting(String::new())
    }

    fn resolve(&self, _: &Conflict) -> Result<Ruling> {
        Ok(Answer::Review.into())
    }
}
