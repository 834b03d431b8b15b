//! A function as a resolver.

use std::fmt;

use synckit_core::Result;
use synckit_plan::{Conflict, ConflictResolver, Ruling};

/// A function, with the name under which its decisions are recorded.
///
/// ```
/// use synckit::Conflict;
/// use synckit::conflict::{Answer, Branch, Closure};
///
/// let longest = Closure::new("longest-text", |conflict: &Conflict| {
///     let length = |branch: &Branch| branch.stands_for.data.as_bytes().len();
///     // The branches are in canonical order: if several are the longest, the last wins on every replica.
///     let branch = conflict.branches.iter().max_by_key(|branch| length(branch)).expect("a conflict has branches");
///     Ok(Answer::Keep(branch.stands_for.id.clone()))
/// });
/// # let _: &dyn synckit::ConflictResolver = &longest;
/// ```
pub struct Closure<F> {
    name: String,
    resolve: F,
}

impl<F, R> Closure<F>
where
    F: Fn(&Conflict) -> Result<R> + Send + Sync,
    R: Into<Ruling>,
{
    /// Creates a resolver from a function. The function must be pure: see [`ConflictResolver`].
    pub fn new(name: impl Into<String>, resolve: F) -> Self {
        Closure { name: name.into(), resolve }
    }
}

impl<F, R> ConflictResolver for Closure<F>
where
    F: Fn(&Conflict) -> Result<R> + Send + Sync,
    R: Into<Ruling>,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn resolve(&self, conflict: &Conflict) -> Result<Ruling> {
        (self.resolve)(conflict).map(Into::into)
    }
}

impl<F> fmt::Debug for Closure<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closure").field("name", &self.name).finish_non_exhaustive()
    }
}
