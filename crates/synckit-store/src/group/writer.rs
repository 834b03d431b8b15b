//! The thread that commits group by group.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use synckit_core::{Error, ErrorKind, Planner, Result};

use super::{Job, Queue, share_error};

/// What became of each job of a group, in order.
pub type Answers = Vec<Result<Box<dyn Any + Send>>>;

/// A thread that commits what waits, each group in one durable transaction.
///
/// Within a group, each job is planned on what those before it write. A job whose plan fails writes nothing. Nothing is
/// returned before the group is durable, since an outcome may rest on what others of the group have written; when the
/// group fails, all of it fails.
///
/// ```
/// use synckit_core::{Edit, Facts, LogHead, StoreId};
/// use synckit_store::group::GroupWriter;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> synckit_core::Result<()> {
/// let head = LogHead { store: StoreId::from_bytes([7; 16]), position: 0, mark: None };
/// let writer = GroupWriter::start("writer", move |jobs| {
///     let plan = |job: &mut synckit_store::group::Job| Ok(job.plan(|_| Ok(Facts::at(head)))?.1);
///     // Here the plans are written, and made durable.
///     Ok(jobs.iter_mut().map(plan).collect())
/// })?;
/// writer.commit(Edit::default()).await?;
/// writer.refuse();
/// writer.end();
/// # Ok(()) }
/// ```
pub struct GroupWriter {
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl GroupWriter {
    /// Starts the thread. `commit` plans the jobs of a group, makes their plans durable, and returns their outcomes.
    ///
    /// # Errors
    /// `Internal` when the system has no thread to spare.
    pub fn start(
        name: &str,
        mut commit: impl FnMut(&mut [Job]) -> Result<Answers> + Send + 'static,
    ) -> Result<Self> {
        let queue = Arc::new(Queue::new());
        let waiting = Arc::clone(&queue);
        let work = move || {
            // However the thread ends, nobody is left waiting for it.
            let _end = CloseAtEnd(&waiting);
            while let Some(mut group) = waiting.wait() {
                // What a panic leaves undone is rolled back by the engine, and the next group is not this one.
                match catch_unwind(AssertUnwindSafe(|| commit(&mut group)))
                    .unwrap_or_else(|_| Err(panicked()))
                {
                    Ok(answers) => {
                        group.into_iter().zip(answers).for_each(|(job, answer)| job.answer(answer))
                    }
                    Err(error) => {
                        let mut error = share_error(error);
                        group.into_iter().for_each(|job| job.answer(Err(error())));
                    }
                }
            }
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|error| {
            Error::new(ErrorKind::Internal, "no thread can be started").with_source(error)
        })?;
        Ok(GroupWriter { queue, thread: Mutex::new(Some(thread)) })
    }

    /// Commits what this planner plans. A future that is dropped leaves the commit made as a whole, or not at all.
    ///
    /// # Errors
    /// Those of the planner and of `commit`; `Closed` once nothing may begin.
    pub async fn commit<P: Planner>(&self, planner: P) -> Result<P::Outcome> {
        let (job, answer) = Job::new(planner);
        self.queue.push(job).await?;
        answer.await
    }

    /// Lets nothing begin any more; what waits ends with `Closed`.
    pub fn refuse(&self) {
        self.queue.close();
    }

    /// Whether nothing may begin any more.
    pub fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// Waits for the group that runs; blocks. Only after [`GroupWriter::refuse`].
    pub fn end(&self) {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            // A panic of the thread was told to those who waited for it.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for GroupWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupWriter").field("closed", &self.is_closed()).finish()
    }
}

impl Drop for GroupWriter {
    fn drop(&mut self) {
        self.refuse();
    }
}

fn panicked() -> Error {
    Error::new(
        ErrorKind::Internal,
        "the store failed while it committed; nothing of this commit is there, or all of it",
    )
}

struct CloseAtEnd<'a>(&'a Queue);

impl Drop for CloseAtEnd<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use synckit_core::{Edit, Facts, LogHead, StoreId};

    use super::*;

    #[tokio::test]
    async fn a_panic_fails_one_group_and_the_next_is_committed() {
        let head = LogHead { store: StoreId::from_bytes([7; 16]), position: 0, mark: None };
        let mut damaged = true;
        let writer = GroupWriter::start("writer", move |jobs| {
            if std::mem::take(&mut damaged) {
                panic!("a damaged page");
            }
            Ok(jobs.iter_mut().map(|job| Ok(job.plan(|_| Ok(Facts::at(head)))?.1)).collect())
        });
        let writer = writer.expect("starts");
        let error = writer.commit(Edit::default()).await.expect_err("it panicked");
        assert_eq!(error.kind(), ErrorKind::Internal);
        writer.commit(Edit::default()).await.expect("commits");
        writer.refuse();
        writer.end();
    }
}
