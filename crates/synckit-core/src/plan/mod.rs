//! What a commit is to achieve, and the pure planning of it.
//!
//! A store runs [`Planning`] inside its transaction: it hands in facts, is told what else to fetch or what to
//! write, and does so. No decision about causality is taken anywhere else.
//!
//! - `record.rs`: new events authored here
//! - `receive.rs`: events from a peer
//! - `adopt.rs`: events by authors who cannot stamp
//! - `forks.rs`: what becomes of two events under one dot, and of one event under two stamps
//! - `renew.rs`: a fresh id and a fresh name for a store that was copied or set back
//! - `renumber.rs`: fresh dots for own events that were never handed out
//! - `recount.rs`: heads, counted again
//! - `ledger.rs`: identity, heads and counters, as they change along a plan

mod adopt;
mod entropy;
mod forks;
mod ledger;
mod receive;
mod record;
mod recount;
mod renew;
mod renumber;

pub use adopt::{Adopt, Adopted, Adoptee};
pub use entropy::Entropy;
pub use receive::{OnRecord, Receive, Received};
pub use record::{Expect, Record, Recorded};
pub use recount::Recount;
pub use renew::Renew;
pub use renumber::{Renumber, Renumbered};

use crate::error::Result;
use crate::notes::{Identity, Note};
use crate::store::{Facts, Needs, Plan};

/// What a commit is to achieve.
#[derive(Clone, Debug)]
pub enum Intent {
    /// Record new events authored here.
    Record(Record),
    /// Store events from a peer, or a resolution derived here.
    Receive(Receive),
    /// Store events by an author who cannot stamp, in that author's name.
    Adopt(Adopt),
    /// Take a fresh id and a fresh name.
    Renew(Renew),
    /// Give fresh dots to own events that were never handed out.
    Renumber(Renumber),
    /// Count heads again.
    Recount(Recount),
    /// Change notes only.
    Edit(Edit),
    /// Change nothing, and answer with these facts.
    Ask(Needs),
}

/// Notes to change in a commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    /// Notes to put.
    pub put: Vec<Note>,
    /// Keys to delete.
    pub delete: Vec<String>,
}

/// What a commit has achieved.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Of [`Intent::Record`].
    Recorded(Recorded),
    /// Of [`Intent::Receive`].
    Received(Received),
    /// Of [`Intent::Adopt`].
    Adopted(Adopted),
    /// Of [`Intent::Renew`]: who the replica is now.
    Renewed(Identity),
    /// Of [`Intent::Renumber`]: `None` when the log had moved on since it was read, and nothing was changed.
    Renumbered(Option<Renumbered>),
    /// Of [`Intent::Edit`] and [`Intent::Recount`].
    Edited,
    /// Of [`Intent::Ask`].
    Facts(Facts),
}

/// What a store does next in a commit.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one at a time, and it is taken apart at once")]
pub enum Step {
    /// Fetch these facts and call [`Planning::step`] with them.
    Fetch(Needs),
    /// Write this plan, make it durable and answer with the outcome.
    Write(Plan, Outcome),
}

/// The planning of one commit. [`Planning::run`] is this loop for a store that waits for nothing:
///
/// ```
/// # use synckit_core::{*, plan::{Intent, Planning, Step, Edit}};
/// # fn fetch(_: Needs) -> Facts { Facts::at(LogHead { store: StoreId::from_bytes([0; 16]), position: 0 }) }
/// # fn main() -> synckit_core::Result<()> {
/// # let intent = Intent::Edit(Edit::default());
/// let (mut planning, mut needs) = Planning::begin(intent);
/// let (plan, outcome) = loop {
///     match planning.step(fetch(needs))? {
///         Step::Fetch(more) => needs = more,
///         Step::Write(plan, outcome) => break (plan, outcome),
///     }
/// };
/// # assert!(plan.append.is_empty());
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Planning {
    intent: Intent,
    facts: Option<Facts>,
    /// Whether facts were handed in before.
    asked: bool,
}

impl Planning {
    /// Plans an intent; also tells which facts to fetch first.
    pub fn begin(mut intent: Intent) -> (Self, Needs) {
        let needs = match &mut intent {
            Intent::Record(record) => record.needs(),
            Intent::Receive(receive) => receive.needs(),
            Intent::Adopt(adopt) => adopt.needs(),
            Intent::Renew(_) => Renew::needs(),
            Intent::Renumber(renumber) => renumber.needs(),
            Intent::Recount(recount) => recount.needs(),
            Intent::Edit(_) => Needs::default(),
            Intent::Ask(needs) => std::mem::take(needs),
        };
        (Planning { intent, facts: None, asked: false }, needs)
    }

    /// Plans an intent where facts are fetched without waiting.
    ///
    /// # Errors
    /// As [`Planning::step`], and those of `fetch`.
    pub fn run(intent: Intent, fetch: impl Fn(Needs) -> Result<Facts>) -> Result<(Plan, Outcome)> {
        let (mut planning, mut needs) = Planning::begin(intent);
        loop {
            match planning.step(fetch(needs)?)? {
                Step::Fetch(more) => needs = more,
                Step::Write(plan, outcome) => return Ok((plan, outcome)),
            }
        }
    }

    /// Takes in facts and says what to do next. After `Write` the planning is over.
    ///
    /// # Errors
    /// `Invalid`, `TooLarge` and `Conflict` when the intent cannot be carried out, `Corrupt` when a note cannot
    /// be read. Nothing is to be written then.
    pub fn step(&mut self, new: Facts) -> Result<Step> {
        let facts = match &mut self.facts {
            None => self.facts.insert(new),
            Some(facts) => {
                facts.extend(new);
                facts
            }
        };
        let may_ask = !std::mem::replace(&mut self.asked, true);
        match &mut self.intent {
            Intent::Record(record) => record.plan(facts),
            Intent::Receive(receive) => receive.plan(facts),
            Intent::Adopt(adopt) => adopt.plan(facts, may_ask),
            Intent::Renew(renew) => renew.plan(facts),
            Intent::Renumber(renumber) => renumber.plan(facts, may_ask),
            Intent::Recount(recount) => recount.plan(facts),
            Intent::Edit(edit) => {
                let Edit { put, delete } = std::mem::take(edit);
                Ok(Step::Write(Plan { put, delete, ..Plan::default() }, Outcome::Edited))
            }
            Intent::Ask(_) => {
                let nothing = Facts::at(facts.head);
                Ok(Step::Write(Plan::default(), Outcome::Facts(std::mem::replace(facts, nothing))))
            }
        }
    }
}
