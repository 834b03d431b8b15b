//! The planning of a commit: pure code that a store runs inside its transaction.

use std::any::Any;
use std::fmt;

use crate::error::Result;
use crate::store::note::Note;
use crate::store::plan::{Facts, Needs, Plan};

/// Pure code that decides what a commit writes.
/// A store calls it inside its transaction. The store fetches what the planner [`needs`](Planner::needs) and hands over
/// the [`Facts`]; the planner then returns either more to fetch or a [`Plan`] to write. A planner does no I/O and takes
/// the time and randomness as values, so the same facts always produce the same plan. A store may have to start over,
/// for example when another process wrote in the meantime: it then plans with a clone that has seen no facts.
///
/// ```
/// use synckit_core::{Facts, Needs, Note, Plan, Planner, Result, Step};
///
/// // Increments a counter in the notebook, and returns it.
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
    /// The value that the commit returns once its plan is durable.
    type Outcome: Send + 'static;

    /// Returns what to fetch first.
    fn needs(&mut self) -> Needs;

    /// Takes the facts fetched so far and returns the next step. `round` is 1 at the first call.
    ///
    /// # Errors
    /// Whatever makes the commit impossible. The store then writes nothing.
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

/// The planning of one commit, as a store drives it. [`Planning::run`] is this loop for a store that does not wait:
///
/// ```
/// # use synckit_core::*;
/// # fn fetch(_: Needs) -> Facts { Facts::at(LogHead { store: StoreId::from_bytes([0; 16]), position: 0, mark: None }) }
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
    /// Starts to plan; also returns which facts to fetch first.
    pub fn begin(mut planner: P) -> (Self, Needs) {
        let needs = planner.needs();
        (Planning { planner, facts: None, round: 0 }, needs)
    }

    /// Runs the whole planning, for a store that fetches facts without waiting.
    ///
    /// # Errors
    /// Same as [`Planning::step`], and those of `fetch`.
    pub fn run(planner: P, fetch: impl Fn(Needs) -> Result<Facts>) -> Result<(Plan, P::Outcome)> {
        let (mut planning, mut needs) = Planning::begin(planner);
        loop {
            match planning.step(fetch(needs)?)? {
                Step::Fetch(more) => needs = more,
                Step::Write(plan, outcome) => return Ok((plan, outcome)),
            }
        }
    }

    /// Adds facts and returns the next step. After `Write` the planning is over.
    ///
    /// # Errors
    /// Those of the planner. The store must then write nothing.
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

/// Changes notes, whatever their current values.
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
        let Edit { mut put, delete } = std::mem::take(self);
        put.sort_by(|left, right| left.key.cmp(&right.key));
        Ok(Step::Write(Plan { put, delete, ..Plan::default() }, ()))
    }
}

/// Any [`Planner`], chosen at run time, for stores that queue commits or are used behind a pointer. Its outcome is that
/// of the inner planner.
///
/// ```
/// use synckit_core::{BoxPlanner, Edit, Planner};
///
/// let mut planner = BoxPlanner::new(Edit::default());
/// assert_eq!(planner.needs(), Edit::default().needs());
/// ```
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
