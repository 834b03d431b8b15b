//! Keeps every edit.

use synckit_core::Result;
use synckit_plan::{Answer, Conflict, ConflictResolver, Fingerprint, Ruling};

/// Keeps all branches side by side, for events that add up in any order, such as items sold.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeepAll;

impl ConflictResolver for KeepAll {
    fn name(&self) -> &str {
        "keep-all"
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::Lasting(String::new())
    }

    fn resolve(&self, _: &Conflict) -> Result<Ruling> {
        Ok(Answer::KeepAll.into())
    }
}
