//! The contract of resolvers: what they are asked, and what they say.

use synckit_core::{EventId, NewEvent, Result};

use crate::conflict::Conflict;

/// Settles conflicts.
///
/// A resolver MUST be pure: the same conflict gives the same ruling on every replica, whoever asks. Decide by
/// timestamps, ids and content, never by which replica is local. An impure resolver still converges, by the canonical
/// order of the differing answers, but at the price of extra events.
///
/// ```
/// use synckit_core::Result;
/// use synckit_plan::{Answer, Conflict, ConflictResolver, Ruling};
///
/// /// Keeps all sides of a list of guests, and leaves everything else to a person.
/// struct Guests;
///
/// impl ConflictResolver for Guests {
///     fn name(&self) -> &str {
///         "guests"
///     }
///
///     fn resolve(&self, conflict: &Conflict) -> Result<Ruling> {
///         match conflict.aggregate_id.as_str().starts_with("guests-") {
///             true => Ok(Ruling::from(Answer::KeepAll).because("lists of guests only grow")),
///             false => Ok(Answer::Review.into()),
///         }
///     }
/// }
/// ```
pub trait ConflictResolver: Send + Sync {
    /// Returns the name under which decisions are recorded.
    fn name(&self) -> &str;

    /// Tells this resolver from others of its name. A conflict that one has left for a person is not handed to it
    /// again until the conflict changes, but to every other resolver. By default nothing is known of others.
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::Passing(0)
    }

    /// Decides a conflict.
    ///
    /// # Errors
    /// An error leaves the conflict listed and stops nothing else.
    fn resolve(&self, conflict: &Conflict) -> Result<Ruling>;
}

/// Tells a resolver from others of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fingerprint {
    /// All resolvers of this name and with this text decide alike, in every process.
    Lasting(String),
    /// Others of this name may decide otherwise, and so may this one when the number changes.
    Passing(u64),
}

/// A resolver's answer to a conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This event stands, with everything it had seen. It must be an event that a branch stands for.
    Keep(EventId),
    /// All branches stand side by side.
    KeepAll,
    /// This event takes the place of all branches.
    Merge(NewEvent),
    /// A person must decide; the conflict stays listed.
    Review,
}

/// An answer, and why it was given. The reasons are part of the recorded decision, so they must be as pure as the
/// answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// What happens to the conflict.
    pub answer: Answer,
    /// The rule that matched, if the resolver uses rules.
    pub rule: Option<String>,
    /// The reason, in words.
    pub reason: Option<String>,
}

impl From<Answer> for Ruling {
    fn from(answer: Answer) -> Self {
        Ruling { answer, rule: None, reason: None }
    }
}

impl Ruling {
    /// Sets the reason.
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }
}
