//! The commits that wait.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use synckit_core::Result;
use tokio::sync::Semaphore;

use super::Job;
use crate::closed;

/// How many jobs wait in the queue, or are being committed; more wait before it.
const ROOM: usize = 256;
/// The weight at which a group is full.
const GROUP: usize = 4_096;

/// The commits that wait. **Invariant**: a closed queue is empty and stays so.
///
/// ```
/// use synckit_core::Edit;
/// use synckit_store::group::{Job, Queue};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> synckit_core::Result<()> {
/// let queue = Queue::new();
/// let (first, _answer) = Job::new(Edit::default());
/// let (second, _answer_too) = Job::new(Edit::default());
/// queue.push(first).await?;
/// queue.push(second).await?;
/// assert_eq!(queue.take(usize::MAX).len(), 2);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    room: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl Queue {
    /// Makes an empty queue.
    pub fn new() -> Self {
        Queue { state: Mutex::default(), changed: Condvar::new(), room: Arc::new(Semaphore::new(ROOM)) }
    }

    /// Adds a job, when there is room for it. A future that is dropped before adds nothing.
    ///
    /// # Errors
    /// `Closed` when the queue is.
    pub async fn push(&self, mut job: Job) -> Result<()> {
        job.room = Some(Arc::clone(&self.room).acquire_owned().await.map_err(|_| closed())?);
        let mut state = self.locked();
        if state.closed {
            return Err(closed());
        }
        state.jobs.push_back(job);
        self.changed.notify_one();
        Ok(())
    }

    /// Takes the next group from those that wait: in order, until it is full. A job that weighs more than `heavy` is a
    /// group by itself. Jobs for which nobody waits any more are dropped. Empty when none wait.
    pub fn take(&self, heavy: usize) -> Vec<Job> {
        self.locked().group(heavy)
    }

    /// Waits for the next group; `None` once the queue is closed.
    pub fn wait(&self) -> Option<Vec<Job>> {
        loop {
            let idle = |state: &mut State| state.jobs.is_empty() && !state.closed;
            let waited = self.changed.wait_while(self.locked(), idle);
            let mut state = waited.unwrap_or_else(PoisonError::into_inner);
            if state.closed {
                return None;
            }
            let group = state.group(usize::MAX);
            if !group.is_empty() {
                return Some(group);
            }
        }
    }

    /// Whether the queue is closed.
    pub fn is_closed(&self) -> bool {
        self.locked().closed
    }

    /// Ends all that wait with `Closed`, and lets nothing in any more.
    pub fn close(&self) {
        self.room.close();
        let mut state = self.locked();
        state.closed = true;
        state.jobs.drain(..).for_each(|job| job.answer(Err(closed())));
        self.changed.notify_all();
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Queue {
    fn default() -> Self {
        Queue::new()
    }
}

impl State {
    fn group(&mut self, heavy: usize) -> Vec<Job> {
        let (mut group, mut weight) = (Vec::new(), 0);
        while weight < GROUP
            && let Some(job) = self.jobs.pop_front_if(|job| group.is_empty() || job.weight() <= heavy)
        {
            if job.is_wanted() {
                weight += if job.weight() > heavy { GROUP } else { job.weight() };
                group.push(job);
            }
        }
        group
    }
}

#[cfg(test)]
mod tests {
    use synckit_core::{ErrorKind, EventId, Facts, Needs, Planner, Step};

    use super::*;

    /// Asks for this many ids.
    #[derive(Clone)]
    struct Weighs(usize);

    impl Planner for Weighs {
        type Outcome = ();

        fn needs(&mut self) -> Needs {
            let id = |n| EventId::new(format!("e{n}")).expect("valid");
            Needs { ids: (0..self.0).map(id).collect(), ..Needs::default() }
        }

        fn plan(&mut self, _: &Facts, _: usize) -> Result<Step<()>> {
            unreachable!("the job is only moved around")
        }
    }

    async fn queue(weights: &[usize]) -> (Queue, Vec<super::super::Answer<()>>) {
        let (queue, mut answers) = (Queue::new(), Vec::new());
        for weight in weights {
            let (job, answer) = Job::new(Weighs(*weight));
            queue.push(job).await.expect("is open");
            answers.push(answer);
        }
        (queue, answers)
    }

    fn weights(group: Vec<Job>) -> Vec<usize> {
        group.iter().map(Job::weight).collect()
    }

    #[tokio::test]
    async fn a_group_ends_when_it_is_full() {
        let (queue, _answers) = queue(&[1, 4_000, 200, 0, 5_000, 1]).await;
        assert_eq!(weights(queue.wait().expect("is open")), [1, 4_000, 200]);
        assert_eq!(weights(queue.take(usize::MAX)), [1, 5_000]);
        assert_eq!(weights(queue.take(usize::MAX)), [1]);
        assert_eq!(weights(queue.take(usize::MAX)), [0; 0]);
    }

    #[tokio::test]
    async fn a_heavy_job_is_a_group_by_itself_and_keeps_its_turn() {
        let (queue, _answers) = queue(&[1, 2, 9, 3, 9]).await;
        let groups: Vec<_> = std::iter::repeat_with(|| weights(queue.take(8))).take(4).collect();
        assert_eq!(groups, [vec![1, 2], vec![9], vec![3], vec![9]]);
    }

    #[tokio::test]
    async fn a_job_that_nobody_waits_for_is_dropped() {
        let (queue, mut answers) = queue(&[1, 2, 3]).await;
        answers.remove(1);
        assert_eq!(weights(queue.take(8)), [1, 3]);
    }

    #[tokio::test]
    async fn closing_ends_what_waits() {
        let (queue, answers) = queue(&[1, 2]).await;
        queue.close();
        for answer in answers {
            assert_eq!(answer.await.expect_err("is closed").kind(), ErrorKind::Closed);
        }
        assert!(queue.is_closed() && queue.wait().is_none() && queue.take(1).is_empty());
        let late = queue.push(Job::new(Weighs(1)).0).await;
        assert_eq!(late.expect_err("is closed").kind(), ErrorKind::Closed);
    }
}
