//! Planning a group: each job on top of those before it.

use sqlx::PgConnection;
use synckit_core::{Facts, Needs, Plan, Result, Step};
use synckit_store::group::{Answers, Job, Known, Pending};

use crate::facts::{self, Asked};
use crate::write::changes_log;

/// The most ids that are taken for new without asking.
const SMALL: usize = 64;

/// What the first jobs of a group write.
pub(crate) struct Planned {
    /// The outcome of each of them.
    pub(crate) answers: Answers,
    pub(crate) pending: Pending,
    /// The one plan, if it changes what is in the log.
    pub(crate) change: Option<Plan>,
    /// What is known once it is written.
    pub(crate) known: Option<Known>,
    /// The fence of the log that was planned on.
    pub(crate) fence: i64,
    /// Whether what is needed first was not asked: then the fence may be another by now, and an id may be in the log.
    pub(crate) is_guess: bool,
}

impl Planned {
    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.change.is_none()
    }

    /// Whether it can be told only by asking that this is so.
    pub(crate) fn needs_facts(&self) -> bool {
        self.is_guess
            && (self.pending.is_empty() || self.change.is_some() || self.answers.iter().any(Result::is_err))
    }

    /// Takes in a plan.
    fn add(&mut self, plan: Plan) -> Result<()> {
        self.known = self.known.take().and_then(|known| known.after(&plan));
        if changes_log(&plan) {
            self.change = Some(plan.clone());
        }
        self.pending.add(plan)
    }
}

/// Plans the first jobs of a group, up to one that changes what is in the log: that one goes by itself. Returns `None`
/// where somebody else has written meanwhile.
pub(crate) async fn plan(
    connection: &mut PgConnection,
    log: i32,
    known: Option<Known>,
    jobs: &[Job],
) -> Result<Option<Planned>> {
    let mut planned = begin(connection, log, known, &first_needs(jobs)).await?;
    for job in jobs {
        let (mut planning, mut needs) = (job.planning.clone(), job.needs.clone());
        let answer = loop {
            if let Some(missing) = planned.pending.missing(&needs) {
                let Asked { facts, fence } = facts::ask(connection, log, &missing).await?;
                if fence != planned.fence {
                    return Ok(None);
                }
                planned.pending.learn(&missing, facts);
            }
            match planning.step(planned.pending.facts(&needs)) {
                Ok(Step::Fetch(more)) => needs = more,
                Ok(Step::Write(plan, _)) if changes_log(&plan) && !planned.answers.is_empty() => {
                    return Ok(Some(planned));
                }
                Ok(Step::Write(plan, outcome)) => break planned.add(plan).map(|()| outcome),
                Err(error) => break Err(error),
            }
        };
        planned.answers.push(answer);
        if planned.change.is_some() {
            break;
        }
    }
    Ok(Some(planned))
}

/// Starts with what all jobs need first: as it is known, or else as the log has it.
async fn begin(
    connection: &mut PgConnection,
    log: i32,
    known: Option<Known>,
    needs: &Needs,
) -> Result<Planned> {
    let start = |facts: Facts, known: Known, is_guess| {
        let mut pending = Pending::new(facts.head);
        pending.learn(needs, facts);
        let fence = known.version;
        Planned { answers: Vec::new(), pending, change: None, known: Some(known), fence, is_guess }
    };
    let guess = known.filter(|_| needs.ids.len() <= SMALL);
    match guess.and_then(|known| Some((known.facts(needs)?, known))) {
        Some((facts, known)) => Ok(start(facts, known, true)),
        None => {
            let Asked { facts, fence } = facts::ask(connection, log, needs).await?;
            let mut known = Known::new(fence, facts.head);
            known.learn(needs, &facts);
            Ok(start(facts, known, false))
        }
    }
}

/// What the jobs ask for first, together.
fn first_needs(jobs: &[Job]) -> Needs {
    let mut all = Needs::default();
    for Needs { ids, dots, notes, under, places, histories } in jobs.iter().map(|job| &job.needs) {
        all.ids.extend_from_slice(ids);
        all.dots.extend_from_slice(dots);
        all.notes.extend_from_slice(notes);
        all.under.extend_from_slice(under);
        all.places.extend_from_slice(places);
        all.histories.extend_from_slice(histories);
    }
    if jobs.len() > 1 {
        unique(&mut all.ids);
        unique(&mut all.dots);
        unique(&mut all.notes);
        unique(&mut all.under);
        unique(&mut all.places);
        unique(&mut all.histories);
    }
    all
}

fn unique<T: Ord>(all: &mut Vec<T>) {
    all.sort_unstable();
    all.dedup();
}
