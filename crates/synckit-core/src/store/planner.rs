//! The planning of a commit: pure code that a store runs inside its transaction.

use std::any::Any;
use std::fmt;

use crate::error::Result;
use crate::store::note::Note;
use crate::store::plan::{Facts, Needs, Plan};

/// Pure code that decides what a commit writes.
///
/// A store calls it inside its transaction: it fetches what the planner [`needs`](Planner::needs), hands over the
/// [`Facts`], and is told to fetch more or to write a [`Plan`]. A planner does no I/O, and is given the time and
/// randomness as values, so the same facts always make the same plan. A store may have to begin again, for example when
/// another process has written meanwhile: it then plans with a clone that has seen no facts.
///
/// ```
/// use synckit_core::{Facts, Needs, Note, Plan, Planner, Result, Step};
///
/// /// Counts under a key of the notebook, and returns the number.
/// #[derive(Clone)]
/// struct Count(String);
///
/// impl Planner for Count {
///     type Outcome = u64;
///
///     fn needs(&mut self) -> Needs {
///         Needs { notes: vec![self.0.clone()], ..Needs::default() }
///     }
///
///     fn plan(&mut self, facts: &Facts, _round: usize) -> Result<Step<u64>> {
///         let count = match facts.note(&self.0) {
///             Some(value) => Note { key: self.0.clone(), value: value.to_vec() }.parse::<u64>()? + 1,
///             None => 1,
///         };
///         let put = vec![Note::json(self.0.clone(), &count)?];
///         Ok(Step::Write(Plan { put, ..Plan::default() }, count))
///     }
/// }
/// ```
pub trait Planner: Clone + Send + Sync + 'static {
    /// What the commit returns when its plan is durable.
    type Outcome: Send + 'static;

    /// Returns what to fetch first.
    fn needs(&mut self) -> Needs;

    /// Takes the facts fetched so far and says what comes next. `round` is 1 at the first call.
    ///
    /// # Errors
    /// Whatever makes the commit impossible. The store writes nothing then.
    fn plan(&mut self, facts: &Facts, round: usize) -> Result<Step<Self::Outcome>>;
}

/// What a store does next in a commit.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one at a time, and it is taken apart at once")]
pub enum Step<O> {
    /// Fetch these facts and plan again.
    Fetch(Needs),
    /// Write this plan, make it durable and return the outcome.
    Write(Plan, O),
}

/// The planning of one commit, as a store drives it. [`Planning::run`] is this loop for a store that waits for nothing:
///
/// ```
/// # use synckit_core::*;
/// # fn fetch(_: Needs) -> Facts { Facts::at(LogHead { store: StoreId::from_bytes([0; 16]), position: 0 }) }
/// # fn main() -> synckit_core::Result<()> {
/// # let planner = Edit::default();
/// let (mut planning, mut needs) = Planning::begin(planner);
/// let (plan, outcome) = loop {
///     match planning.step(fetch(needs))? {
///         Step::Fetch(more) => needs = more,
///         Step::Write(plan, outcome) => break (plan, outcome),
///     }
/// };
/// # assert!(plan.append.is_empty());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Planning<P> {
    planner: P,
    facts: Option<Facts>,
    round: usize,
}

impl<P: Planner> Planning<P> {
    /// Begins to plan; also returns which facts to fetch first.
    pub fn begin(mut planner: P) -> (Self, Needs) {
        let needs = planner.needs();
        (Planning { planner, facts: None, round: 0 }, needs)
    }

    /// Plans where facts are fetched without waiting.
    ///
    /// # Errors
    /// As [`Planning::step`], and those of `fetch`.
    pub fn run(planner: P, fetch: impl Fn(Needs) -> Result<Facts>) -> Result<(Plan, P::Outcome)> {
        let (mut planning, mut needs) = Planning::begin(planner);
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
    /// Those of the planner. Nothing is to be written then.
    pub fn step(&mut self, new: Facts) -> Result<Step<P::Outcome>> {
        self.round += 1;
        let facts = match &mut self.facts {
            None => self.facts.insert(new),
            Some(facts) => {
                facts.extend(new);
                facts
            }
        };
        self.planner.plan(facts, self.round)
    }
}

/// Changes notes, whatever stands there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    /// Notes to put.
    pub put: Vec<Note>,
    /// Keys to delete.
    pub delete: Vec<String>,
}

impl Planner for Edit {
    type Outcome = ();

    fn needs(&mut self) -> Needs {
        Needs::default()
    }

    fn plan(&mut self, _facts: &Facts, _round: usize) -> Result<Step<()>> {
        let Edit { put, delete } = std::mem::take(self);
        Ok(Step::Write(Plan { put, delete, ..Plan::default() }, ()))
    }
}

/// Any [`Planner`], chosen at run time, for stores that queue commits or stand behind a pointer. Its outcome is that of
/// the planner inside.
pub struct BoxPlanner(Box<dyn DynPlanner>);

impl BoxPlanner {
    /// Boxes a planner.
    pub fn new(planner: impl Planner) -> Self {
        BoxPlanner(Box::new(planner))
    }
}

impl Clone for BoxPlanner {
    fn clone(&self) -> Self {
        self.0.boxed()
    }
}

impl fmt::Debug for BoxPlanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoxPlanner")
    }
}

impl Planner for BoxPlanner {
    type Outcome = Box<dyn Any + Send>;

    fn needs(&mut self) -> Needs {
        self.0.needs()
    }

    fn plan(&mut self, facts: &Facts, round: usize) -> Result<Step<Self::Outcome>> {
        self.0.plan(facts, round)
    }
}

trait DynPlanner: Send + Sync {
    fn boxed(&self) -> BoxPlanner;
    fn needs(&mut self) -> Needs;
    fn plan(&mut self, facts: &Facts, round: usize) -> Result<Step<Box<dyn Any + Send>>>;
}

impl<P: Planner> DynPlanner for P {
    fn boxed(&self) -> BoxPlanner {
        BoxPlanner::new(self.clone())
    }

    fn needs(&mut self) -> Needs {
        Planner::needs(self)
    }

    fn plan(&mut self, facts: &Facts, round: usize) -> Result<Step<Box<dyn Any + Send>>> {
        Ok(match Planner::plan(self, facts, round)? {
            Step::Fetch(needs) => Step::Fetch(needs),
            Step::Write(plan, outcome) => Step::Write(plan, Box::new(outcome)),
        })
    }
}
