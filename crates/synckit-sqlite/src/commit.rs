//! Commits: one group at a time, with a connection that is kept from one to the next.
//!
//! A commit waits in a queue and for its turn to write. Whoever has the turn commits what waits by then, in one transaction;
//! the others find their outcome there. What waits alone is most often small, and takes one visit to the connection's thread.

use std::any::Any;
use std::sync::Arc;

use sqlx::SqliteConnection;
use synckit_core::{ErrorKind, Planner, Position, Result, Step};
use synckit_store::group::{Job, Known, share_error};
use tokio::sync::OwnedMutexGuard;

use crate::connections::{Connections, Lease};
use crate::error::{engine, had_no_transaction};
use crate::facts::{self, Begin};
use crate::group;
use crate::store::Inner;
use crate::write;

/// The most events of a commit that goes together with others. Larger ones gain little by it.
const LIGHT: usize = 64;

/// What is kept from one commit to the next.
#[derive(Default)]
pub(crate) struct Writer {
    connection: Option<sqlx::SqliteConnection>,
    /// What the connection knows. **Invariant**: of the connection that is kept.
    pub(crate) known: Option<Known>,
}

impl Writer {
    /// Keeps a connection that is in no transaction, and what it knows.
    pub(crate) fn keep(&mut self, connection: SqliteConnection, known: Option<Known>) {
        (self.connection, self.known) = (Some(connection), known);
    }

    /// Lets go of the connection.
    pub(crate) fn release(&mut self) -> Option<SqliteConnection> {
        self.known = None;
        self.connection.take()
    }
}

/// The outcome of a planner, in a box.
type Outcome = Box<dyn Any + Send>;

/// What came of a transaction, what is known now, and the last position.
pub(crate) type Written<T> = (T, Option<Known>, Position);

impl Inner {
    /// Commits what a planner plans, together with what waits.
    ///
    /// A caller that drops the future leaves the commit made as a whole or not at all: not yet begun it is left out, alone
    /// its connection is closed with it, which rolls back what was not committed, and in a group it goes on. The connection
    /// of a pool may be the only one there is, so with a pool it always goes on.
    pub(crate) async fn commit<P: Planner>(self: &Arc<Self>, planner: P) -> Result<P::Outcome> {
        let (job, mut answer) = Job::new(planner);
        self.queue.push(job).await?;
        loop {
            let mut writer = tokio::select! {
                biased;
                outcome = &mut answer => return outcome,
                writer = Arc::clone(&self.writer).lock_owned() => writer,
            };
            if let Some(outcome) = answer.try_now() {
                return outcome;
            }
            let mut jobs = self.queue.take(LIGHT);
            match (jobs.pop(), &self.connections) {
                (Some(job), Connections::Own(_)) if jobs.is_empty() && answer.is_of(&job) => {
                    let outcome = self.alone(&mut writer, &job).await;
                    drop(writer);
                    self.answer(job, outcome);
                }
                (Some(job), _) => {
                    jobs.push(job);
                    // An error of the task was told to those who waited for it.
                    let _ = tokio::spawn(Arc::clone(self).together(writer, jobs)).await;
                }
                (None, _) => {}
            }
        }
    }

    /// Commits what waited together. What keeps one of them from being written keeps no other.
    async fn together(self: Arc<Self>, mut writer: OwnedMutexGuard<Writer>, mut jobs: Vec<Job>) {
        if let [_, _, ..] = &mut jobs[..] {
            let committed = async {
                writer.known = None;
                let lease = self.connections.writer(writer.connection.take()).await.map_err(engine)?;
                let write = async |lease: &mut Lease<'_>| group::commit(lease, &jobs).await;
                self.written(&mut writer, lease, write).await
            };
            match committed.await {
                Ok((answers, last)) => {
                    drop(writer);
                    self.growth.grown_to(last);
                    return jobs.into_iter().zip(answers).for_each(|(job, answer)| job.answer(answer));
                }
                Err(error) if error.kind() == ErrorKind::Busy => {
                    let mut error = share_error(error);
                    return jobs.into_iter().for_each(|job| job.answer(Err(error())));
                }
                // One at a time, it shows whose fault it is.
                Err(_) => {}
            }
        }
        for job in jobs {
            let outcome = self.alone(&mut writer, &job).await;
            self.answer(job, outcome);
        }
    }

    /// Wakes those who wait for the log to grow, and answers. Where the writer was let go before, they find it idle.
    fn answer(&self, job: Job, outcome: Result<(Outcome, Position)>) {
        job.answer(outcome.map(|(outcome, last)| {
            self.growth.grown_to(last);
            outcome
        }));
    }

    /// Commits one job. Returns also the last position of the log.
    async fn alone(&self, writer: &mut Writer, job: &Job) -> Result<(Outcome, Position)> {
        let known = writer.known.take();
        let mut lease = self.connections.writer(writer.connection.take()).await.map_err(engine)?;
        if let Some(known) = known {
            let attempt = whole(&mut lease, known, job).await;
            let failed = attempt.is_err();
            if let Ok(Some((outcome, known, last))) = attempt {
                (writer.connection, writer.known) = (lease.into_kept(), known);
                return Ok((outcome, last));
            }
            // Somebody else has written, or an id is taken: it is asked for as usual.
            if failed && !rolled_back(&mut lease).await {
                lease.give_up().await;
                lease = self.connections.writer(None).await.map_err(engine)?;
            }
        }
        self.written(writer, lease, async |lease| plan(lease, job).await).await
    }

    /// Writes with the connection, and keeps it and what is known. A transaction that failed is rolled back.
    async fn written<T>(
        &self,
        writer: &mut Writer,
        mut lease: Lease<'_>,
        write: impl AsyncFnOnce(&mut Lease<'_>) -> Result<Written<T>>,
    ) -> Result<(T, Position)> {
        let written = write(&mut lease).await;
        if written.is_ok() || rolled_back(&mut lease).await {
            writer.connection = lease.into_kept();
        } else {
            lease.give_up().await;
        }
        let (done, known, last) = written?;
        writer.known = known.filter(|_| writer.connection.is_some());
        Ok((done, last))
    }
}

/// Ends a transaction that is not to be committed, if there is one; returns whether there is none any more.
pub(crate) async fn rolled_back(connection: &mut SqliteConnection) -> bool {
    match sqlx::query("ROLLBACK").execute(connection).await {
        Ok(_) => true,
        Err(error) => had_no_transaction(&error),
    }
}

/// Commits a job by what is known, in one visit. `None` where that is not enough; then nothing was begun.
///
/// Every error means that the usual way has to be gone: also what the plan finds wrong, since it may rest on what is no
/// longer so.
async fn whole(
    connection: &mut SqliteConnection,
    known: Known,
    job: &Job,
) -> Result<Option<Written<Outcome>>> {
    if job.needs.ids.len() > write::SMALL {
        return Ok(None);
    }
    let Some(facts) = known.facts(&job.needs) else { return Ok(None) };
    let head = facts.head;
    match job.planning.clone().step(facts) {
        Ok(Step::Write(plan, outcome)) if write::is_small(&plan) => {
            let (version, last) = (known.version, head.after(&plan).position);
            let after = known.after(&plan);
            write::write_whole(connection, version, head.position, plan).await?;
            Ok(Some((outcome, after, last)))
        }
        _ => Ok(None),
    }
}

/// Plans a job in a transaction that writes, writes the plan and commits.
async fn plan(connection: &mut SqliteConnection, job: &Job) -> Result<Written<Outcome>> {
    let mut planning = job.planning.clone();
    let (facts, version) = facts::all(connection, Begin::Writing, &job.needs).await?;
    let head = facts.head;
    let mut known = Known::new(version, head);
    known.learn(&job.needs, &facts);
    let mut step = planning.step(facts)?;
    loop {
        match step {
            Step::Fetch(needs) => {
                let facts = facts::all(connection, Begin::Nothing, &needs).await?.0;
                known.learn(&needs, &facts);
                step = planning.step(facts)?;
            }
            Step::Write(plan, outcome) => {
                let (last, known) = (head.after(&plan).position, known.after(&plan));
                write::write(connection, head.position, plan.into(), true).await?;
                return Ok((outcome, known, last));
            }
        }
    }
}
