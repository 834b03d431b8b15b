//! A commit that waits for its turn, and who waits for it.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use synckit_core::{BoxPlanner, Error, ErrorKind, Facts, Needs, Plan, Planner, Planning, Result, Step};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// The outcome of a planner, in a box.
type Outcome = Box<dyn Any + Send>;

/// A commit that waits for its turn. One that is dropped fails with `Internal`.
///
/// ```
/// use synckit_core::{Edit, Facts, LogHead, StoreId};
/// use synckit_store::group::Job;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> synckit_core::Result<()> {
/// let (mut job, answer) = Job::new(Edit { put: Vec::new(), delete: vec!["k".to_owned()] });
/// let head = LogHead { store: StoreId::from_bytes([7; 16]), position: 0, mark: None };
/// let (plan, outcome) = job.plan(|_needs| Ok(Facts::at(head)))?;
/// assert_eq!(plan.delete, ["k"]);
/// job.answer(Ok(outcome));
/// assert_eq!(answer.await?, ());
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Job {
    /// The planning, which has seen no facts yet.
    pub planning: Planning<BoxPlanner>,
    /// What it needs to know first.
    pub needs: Needs,
    number: u64,
    waiting: oneshot::Sender<Result<Outcome>>,
    /// Bounds how many jobs wait; given back with the answer.
    pub(crate) room: Option<OwnedSemaphorePermit>,
}

impl Job {
    /// Makes the job of a planner; also returns the future of its outcome.
    pub fn new<P: Planner>(planner: P) -> (Self, Answer<P::Outcome>) {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let (planning, needs) = Planning::begin(BoxPlanner::new(planner));
        let (waiting, outcome) = oneshot::channel();
        let job = Job { planning, needs, number, waiting, room: None };
        (job, Answer { outcome, number, planner: PhantomData })
    }

    /// About how many events it commits, at least 1.
    pub fn weight(&self) -> usize {
        self.needs.ids.len().max(1)
    }

    /// Whether somebody still waits for it.
    pub fn is_wanted(&self) -> bool {
        !self.waiting.is_closed()
    }

    /// Plans where facts are fetched without waiting.
    ///
    /// # Errors
    /// Those of the planner, and those of `fetch`.
    pub fn plan(&mut self, fetch: impl Fn(Needs) -> Result<Facts>) -> Result<(Plan, Outcome)> {
        let mut needs = std::mem::take(&mut self.needs);
        loop {
            match self.planning.step(fetch(needs)?)? {
                Step::Fetch(more) => needs = more,
                Step::Write(plan, outcome) => return Ok((plan, outcome)),
            }
        }
    }

    /// Ends the job. Whoever has dropped the future does not want to know.
    pub fn answer(self, outcome: Result<Outcome>) {
        let _ = self.waiting.send(outcome);
    }
}

/// The future of what a job's commit returns.
#[derive(Debug)]
pub struct Answer<T> {
    outcome: oneshot::Receiver<Result<Outcome>>,
    number: u64,
    planner: PhantomData<fn() -> T>,
}

impl<T: 'static> Answer<T> {
    /// Whether this is the future of this job.
    pub fn is_of(&self, job: &Job) -> bool {
        self.number == job.number
    }

    /// Returns the outcome if it is there.
    pub fn try_now(&mut self) -> Option<Result<T>> {
        match self.outcome.try_recv() {
            Ok(outcome) => Some(open(outcome)),
            Err(oneshot::error::TryRecvError::Empty) => None,
            Err(oneshot::error::TryRecvError::Closed) => Some(Err(broken_off())),
        }
    }
}

impl<T: 'static> Future for Answer<T> {
    type Output = Result<T>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<T>> {
        let outcome = std::pin::Pin::new(&mut self.outcome).poll(context);
        outcome.map(|outcome| outcome.map_or_else(|_| Err(broken_off()), open))
    }
}

fn open<T: 'static>(outcome: Result<Outcome>) -> Result<T> {
    let other = |_| Error::new(ErrorKind::Internal, "the writer returned the outcome of another planner");
    Ok(*outcome?.downcast().map_err(other)?)
}

fn broken_off() -> Error {
    Error::new(ErrorKind::Internal, "the commit was broken off")
}

/// Makes an error for each of several callers out of one, with the same kind, message, context and causes.
pub fn share_error(error: Error) -> impl FnMut() -> Error {
    let error = Arc::new(error);
    move || {
        let mut shared = Error::new(error.kind(), error.message());
        for (key, value) in error.context() {
            shared = shared.with(key, value);
        }
        if let Some(delay) = error.retry_after() {
            shared = shared.with_retry_after(delay);
        }
        if error.source().is_some() { shared.with_source(Cause(Arc::clone(&error))) } else { shared }
    }
}

/// The cause of an error that several callers get.
struct Cause(Arc<Error>);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.source().map_or(Ok(()), |cause| write!(f, "{cause}"))
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.source().fmt(f)
    }
}

impl StdError for Cause {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        // An error of synckit shows its own causes.
        self.0.source().filter(|cause| !cause.is::<Error>())?.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_several_callers_gets_the_whole_error() {
        let deep = Error::invalid("deep").with_source(std::io::Error::other("deeper"));
        let error = Error::corrupt("failed").with("position", 7).with_source(deep);
        let text = error.to_string();
        let mut shared = share_error(error);
        for error in [shared(), shared()] {
            assert_eq!((error.kind(), error.to_string()), (ErrorKind::Corrupt, text.clone()));
        }
        let mut shared = share_error(Error::invalid("no cause"));
        assert_eq!(shared().to_string(), "no cause");
    }
}
