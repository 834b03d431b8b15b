//! Commits: what waits is planned on what is known or asked, and written in one statement where nobody else has written
//! since. Where somebody has, it is planned again; after two misses the row of the log is taken first.

use std::sync::Arc;

use sqlx::{Executor, PgConnection};
use synckit_core::{Error, ErrorKind, Position, Result};
use synckit_store::group::{Answers, Job, Known, share_error};
use synckit_store::random_bytes;
use tokio::sync::OwnedMutexGuard;

use crate::connections::Lease;
use crate::error::{engine, gone, is_lost};
use crate::plan::{self, Planned};
use crate::store::Inner;
use crate::write::{self, Target};

/// The most events of a commit that goes together with others. Larger ones gain little by it.
pub(crate) const LIGHT: usize = 64;
/// How often a commit is tried before the row of the log is taken first.
const MISSES: usize = 2;
/// How often it is tried in all. With the row of the log there is nobody who could be quicker.
const TRIES: usize = 6;
/// The lengths of a log at which the server counts what is in the tables, to plan statements by it.
const COUNTED: [Position; 3] = [1_000, 8_000, 64_000];

/// What is kept from one group to the next.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    known: Option<Known>,
    has_written: bool,
}

/// What came of the first jobs of a group.
struct Done {
    answers: Answers,
    known: Option<Known>,
    /// The last position before and after.
    first: Position,
    last: Position,
}

/// What came of a try.
enum Try {
    Done(Done),
    /// Somebody else was quicker, or what was known is not enough. Nothing was written.
    Again,
    /// The connection broke before the server said whether it was written.
    Unknown(Done, Target, Error),
}

impl Inner {
    /// Commits what waited, and ends every job. What keeps one from being written keeps no other.
    pub(crate) async fn together(self: Arc<Self>, mut turn: OwnedMutexGuard<Writer>, mut jobs: Vec<Job>) {
        let mut at_once = jobs.len();
        let (mut first, mut last) = (None, 0);
        while !jobs.is_empty() {
            let group = &jobs[..at_once.min(jobs.len())];
            let ended = match self.group(&mut turn, group).await {
                Ok(done) => {
                    self.watched.growth.grown_to(done.last);
                    first.get_or_insert(done.first);
                    last = done.last;
                    done.answers
                }
                Err(error) if error.is_retryable() => {
                    let mut error = share_error(error);
                    jobs.drain(..).for_each(|job| job.answer(Err(error())));
                    break;
                }
                // One at a time, it shows whose fault it is.
                Err(_) if group.len() > 1 => {
                    at_once = 1;
                    continue;
                }
                Err(error) => vec![Err(error)],
            };
            jobs.drain(..ended.len()).zip(ended).for_each(|(job, answer)| job.answer(answer));
        }
        drop(turn);
        if let Some(first) = first.filter(|first| *first < last) {
            tokio::spawn(async move {
                self.tell(last).await;
                if COUNTED.iter().any(|length| (first..last).contains(&(length - 1))) {
                    self.count().await;
                }
            });
        }
    }

    /// Commits the first jobs of a group.
    async fn group(&self, writer: &mut Writer, jobs: &[Job]) -> Result<Done> {
        for tries in 0..TRIES {
            let known = writer.known.take();
            let mut lease = self.connections().lease().await?;
            let is_used = lease.is_used;
            let mut done = match self.attempt(&mut lease, known, tries >= MISSES, jobs).await {
                Ok(Try::Done(done)) => {
                    lease.give_back();
                    done
                }
                Ok(Try::Again) => {
                    lease.give_back();
                    continue;
                }
                // The server may have closed it while nobody used it.
                Err(error) if is_lost(&error) && is_used => {
                    self.connections().forget();
                    continue;
                }
                Err(error) => return Err(error),
                Ok(Try::Unknown(done, target, error)) => {
                    drop(lease);
                    match self.was_made(target).await? {
                        true => done,
                        false if is_used => continue,
                        false => return Err(error),
                    }
                }
            };
            if !std::mem::replace(&mut writer.has_written, true) {
                self.forget_writers().await;
            }
            writer.known = done.known.take();
            return Ok(done);
        }
        Err(Error::new(ErrorKind::Busy, "others write this log all the time; try again"))
    }

    /// Plans and writes once. With an error, nothing was written, and the connection is not to be used any more.
    async fn attempt(
        &self,
        lease: &mut Lease<'_>,
        known: Option<Known>,
        locks: bool,
        jobs: &[Job],
    ) -> Result<Try> {
        if locks {
            execute(lease, "BEGIN").await?;
            self.connections().in_time(write::lock(lease, self.log)).await?.ok_or_else(gone)?;
        }
        let planned = self.connections().in_time(plan::plan(lease, self.log, known, jobs)).await?;
        let Some(planned) = planned.filter(|planned| !planned.needs_facts()) else {
            return self.again(lease, locks).await;
        };
        if planned.is_empty() {
            end(lease, locks).await?;
            return Ok(Try::Done(done(planned, None)));
        }
        let begins = !locks && planned.change.is_some();
        if begins {
            execute(lease, "BEGIN").await?;
            let fence = self.connections().in_time(write::lock(lease, self.log)).await?;
            if fence != Some(planned.fence) {
                return self.again(lease, true).await;
            }
        }
        if let Some(change) = &planned.change {
            write::change(lease, self.log, change).await?;
        }
        self.write(lease, planned, locks || begins).await
    }

    /// Writes what was planned, and ends the transaction if there is one.
    async fn write(&self, lease: &mut Lease<'_>, planned: Planned, in_transaction: bool) -> Result<Try> {
        let next = i64::from_be_bytes(*random_bytes()?.first_chunk().unwrap_or(&[0; 8]));
        let target = Target { log: self.log, writer: self.writer, fence: planned.fence, next };
        let write = async {
            let is_written = write::write(lease, target, &planned.pending).await?;
            if in_transaction {
                execute(lease, if is_written { "COMMIT" } else { "ROLLBACK" }).await?;
            }
            Ok(is_written)
        };
        match self.connections().in_time(write).await {
            Ok(true) => Ok(Try::Done(done(planned, Some(next)))),
            Ok(false) => Ok(Try::Again),
            Err(error) if is_lost(&error) => Ok(Try::Unknown(done(planned, Some(next)), target, error)),
            // An id that was taken for new is in the log.
            Err(_) if planned.is_guess && !in_transaction => Ok(Try::Again),
            Err(error) => Err(error),
        }
    }

    async fn again(&self, lease: &mut Lease<'_>, in_transaction: bool) -> Result<Try> {
        end(lease, in_transaction).await?;
        Ok(Try::Again)
    }

    /// Lets the server count what is in the tables, unless it has: before, it plans by guesses. It is no harm if it fails.
    async fn count(&self) {
        let count = async {
            let mut lease = self.connections().lease().await?;
            let sql = "SELECT reltuples::bigint FROM pg_class WHERE oid = 'synckit.events'::regclass";
            let counted: i64 = sqlx::query_scalar(sql).fetch_one(&mut *lease).await.map_err(engine)?;
            let last = self.watched.growth.last().cast_signed();
            if counted < last / 2 {
                execute(&mut lease, "ANALYZE synckit.events, synckit.notes").await?;
            }
            lease.give_back();
            Ok::<(), Error>(())
        };
        let _ = count.await;
    }
}

/// What a group has come to: written under this fence, or without anything to write.
fn done(planned: Planned, next: Option<i64>) -> Done {
    let Planned { answers, pending, known, fence, .. } = planned;
    let known = known.map(|mut known| {
        known.version = next.unwrap_or(fence);
        known
    });
    Done { answers, known, first: pending.first(), last: pending.head().position }
}

/// Ends a transaction that has written nothing, if there is one.
async fn end(connection: &mut PgConnection, in_transaction: bool) -> Result<()> {
    if in_transaction { execute(connection, "ROLLBACK").await } else { Ok(()) }
}

pub(crate) async fn execute(connection: &mut PgConnection, sql: &'static str) -> Result<()> {
    connection.execute(sql).await.map_err(engine)?;
    Ok(())
}
