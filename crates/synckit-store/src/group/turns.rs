//! Commits by turns, for engines that are waited for without a thread.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use synckit_core::{Planner, Result};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::{Job, Queue};

/// Who may write a log: whoever has the turn commits what waits by then, in a task of its own; the others find their
/// outcome there. `W` is what the writer keeps from one turn to the next.
///
/// ```
/// use synckit_core::{Edit, Facts, LogHead, StoreId};
/// use synckit_store::group::Turns;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> synckit_core::Result<()> {
/// let turns = Turns::new(0);
/// let run = |mut groups: tokio::sync::OwnedMutexGuard<u32>, jobs: Vec<synckit_store::group::Job>| async move {
///     *groups += 1;
///     let head = LogHead { store: StoreId::from_bytes([7; 16]), position: 0, mark: None };
///     for mut job in jobs {
///         // Here the plans of all are written, and made durable.
///         let planned = job.plan(|_| Ok(Facts::at(head))).map(|(_plan, outcome)| outcome);
///         job.answer(planned);
///     }
/// };
/// turns.commit(Edit::default(), usize::MAX, run).await?;
/// turns.refuse();
/// assert_eq!(*turns.end().await, 1);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Turns<W> {
    queue: Queue,
    turn: Arc<Mutex<W>>,
}

impl<W: Send + 'static> Turns<W> {
    /// Makes the turns of a log whose writer starts with this.
    pub fn new(writer: W) -> Self {
        Turns { queue: Queue::new(), turn: Arc::new(Mutex::new(writer)) }
    }

    /// Commits what this planner plans, together with what waits. A job that weighs more than `heavy` goes by itself.
    /// `run` commits a group and ends every job of it. A future that is dropped leaves the commit made as a whole, or
    /// not at all.
    ///
    /// # Errors
    /// Those of the planner and those `run` ends the job with; `Closed` once nothing may begin.
    pub async fn commit<P: Planner, F: Future<Output = ()> + Send + 'static>(
        &self,
        planner: P,
        heavy: usize,
        run: impl Fn(OwnedMutexGuard<W>, Vec<Job>) -> F + Send,
    ) -> Result<P::Outcome> {
        let (job, mut answer) = Job::new(planner);
        self.queue.push(job).await?;
        loop {
            let mut lock = pin!(Arc::clone(&self.turn).lock_owned());
            let turn_or_outcome = poll_fn(|context| match Pin::new(&mut answer).poll(context) {
                Poll::Ready(outcome) => Poll::Ready(Err(outcome)),
                Poll::Pending => lock.as_mut().poll(context).map(Ok),
            });
            let turn = match turn_or_outcome.await {
                Ok(turn) => turn,
                Err(outcome) => return outcome,
            };
            if let Some(outcome) = answer.try_now() {
                return outcome;
            }
            let jobs = self.queue.take(heavy);
            if !jobs.is_empty() {
                // A panic of the task is told to those who waited for it: their jobs are dropped.
                let _ = tokio::spawn(run(turn, jobs)).await;
            }
        }
    }

    /// Lets nothing begin any more; what waits ends with `Closed`.
    pub fn refuse(&self) {
        self.queue.close();
    }

    /// Whether nothing may begin any more.
    pub fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// Waits for the group that runs, and takes the turn.
    pub async fn end(&self) -> OwnedMutexGuard<W> {
        Arc::clone(&self.turn).lock_owned().await
    }
}
