//! The thread that commits: everything that waits goes into one transaction, which is made durable once.
//!
//! Within a group, each intent is planned on what those before it have written. One whose plan fails writes
//! nothing. Nobody is answered before the group is durable, since an answer may rest on what others of the group
//! have written; when the group fails, all of it fails.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use redb::{Database, Durability};
use synckit_core::plan::{Intent, Outcome, Planning};
use synckit_core::{Plan, Position, Result};
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

use crate::error::{closed, shared};
use crate::tables::Tables;

/// After how many events a group is full.
const GROUP: usize = 4_096;

/// An intent that waits for its turn, and who waits for it.
pub(crate) struct Job {
    pub(crate) intent: Intent,
    pub(crate) answer: oneshot::Sender<Result<Outcome>>,
    /// What bounds the number of jobs; given back with the answer.
    pub(crate) room: OwnedSemaphorePermit,
}

/// The jobs that wait. **Invariant**: a closed queue is empty and stays so.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl Queue {
    /// Lets a job wait; a closed queue answers it with `Closed` at once.
    pub(crate) fn push(&self, job: Job) {
        let mut state = self.locked();
        if state.closed {
            refuse(job);
        } else {
            state.jobs.push_back(job);
            self.changed.notify_one();
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.locked().closed
    }

    /// Answers all that wait with `Closed`, and lets nothing in any more.
    pub(crate) fn close(&self) {
        let mut state = self.locked();
        state.closed = true;
        state.jobs.drain(..).for_each(refuse);
        self.changed.notify_all();
    }

    /// Waits for the next group; `None` once the queue is closed.
    fn next_group(&self) -> Option<Vec<Job>> {
        let idle = |state: &mut State| state.jobs.is_empty() && !state.closed;
        let waited = self.changed.wait_while(self.locked(), idle);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        let (mut group, mut weight) = (Vec::new(), 0);
        while weight < GROUP
            && let Some(job) = state.jobs.pop_front()
        {
            weight += weight_of(&job.intent);
            group.push(job);
        }
        (!group.is_empty()).then_some(group)
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refuse(job: Job) {
    // Whoever has dropped the future does not want to know.
    let _ = job.answer.send(Err(closed()));
}

fn weight_of(intent: &Intent) -> usize {
    match intent {
        Intent::Record(record) => record.events.len().max(1),
        Intent::Receive(receive) => receive.events.len().max(1),
        Intent::Adopt(adopt) => adopt.events.len().max(1),
        Intent::Renumber(renumber) => renumber.events.len().max(1),
        Intent::Recount(recount) => recount.aggregates.len().max(1),
        Intent::Renew(_) | Intent::Edit(_) | Intent::Ask(_) => 1,
    }
}

/// Commits group by group until the queue is closed, and tells of every new head.
pub(crate) fn run(database: &Database, queue: &Queue, head: &watch::Sender<Position>) {
    // However the thread ends, nobody is left waiting for it.
    let _end = CloseAtEnd(queue);
    while let Some(group) = queue.next_group() {
        let mut intents = Vec::with_capacity(group.len());
        let mut waiting = Vec::with_capacity(group.len());
        for Job { intent, answer, room } in group {
            intents.push(intent);
            waiting.push((answer, room));
        }
        match commit(database, intents) {
            Ok((position, outcomes)) => {
                head.send_if_modified(|last| std::mem::replace(last, position) != position);
                for ((answer, _room), outcome) in waiting.into_iter().zip(outcomes) {
                    let _ = answer.send(outcome);
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                for (answer, _room) in waiting {
                    let _ = answer.send(Err(shared(&error)));
                }
            }
        }
    }
}

struct CloseAtEnd<'a>(&'a Queue);

impl Drop for CloseAtEnd<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Commits the intents in one transaction; answers with the last position and what became of each.
fn commit(
    database: &Database,
    intents: Vec<Intent>,
) -> Result<(Position, Vec<Result<Outcome>>), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    let mut outcomes = Vec::with_capacity(intents.len());
    let mut changed = false;
    let mut tables = Tables::open(&transaction)?;
    let mut position = tables.last()?;
    for intent in intents {
        match Planning::run(intent, |needs| tables.facts(needs)) {
            Ok((plan, outcome)) => {
                tables.write(position, &plan)?;
                position += plan.appends() as Position;
                changed |= plan != Plan::default();
                outcomes.push(Ok(outcome));
            }
            Err(error) => outcomes.push(Err(error)),
        }
    }
    drop(tables);
    // What is answered without having changed anything was durable before.
    if changed {
        transaction.commit()?
    } else {
        transaction.abort()?
    }
    Ok((position, outcomes))
}
