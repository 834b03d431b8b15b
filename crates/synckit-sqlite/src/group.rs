//! Commits that waited, in one transaction.
//!
//! What all of them ask for first is asked at once, and what they write is written at once: a commit more takes no visit
//! more to the connection's thread. Only one that asks for what is not known then, such as an event that an earlier one has
//! appended, makes what was planned before it be written first.

use std::collections::{BTreeMap, HashMap, HashSet};

use sqlx::SqliteConnection;
use synckit_core::{Dot, EventId, Facts, LogHead, Needs, Note, Plan, Position, Result, Step};
use synckit_store::group::{Answers, Job, Known};

use crate::commit::Written;
use crate::facts::{self, Begin};
use crate::write::{self, Writing};

/// Plans the jobs one on top of the other, writes all of it, and commits. A job whose plan fails writes nothing.
pub(crate) async fn commit(connection: &mut SqliteConnection, jobs: &[Job]) -> Result<Written<Answers>> {
    let needs = first_needs(jobs);
    let (facts, version) = facts::all(connection, Begin::Writing, &needs).await?;
    let mut group = Group::new(facts.head);
    group.learn(&needs, facts);
    let mut answers = Vec::with_capacity(jobs.len());
    for job in jobs {
        let (mut planning, mut needs) = (job.planning.clone(), job.needs.clone());
        let answer = loop {
            let facts = match group.facts(&needs) {
                Some(facts) => facts,
                None => {
                    group.write(connection, false).await?;
                    let facts = facts::all(connection, Begin::Nothing, &needs).await?.0;
                    group.learn(&needs, facts.clone());
                    facts
                }
            };
            match planning.step(facts) {
                Ok(Step::Fetch(more)) => needs = more,
                Ok(Step::Write(plan, outcome)) => {
                    group.take(connection, plan).await?;
                    break Ok(outcome);
                }
                Err(error) => break Err(error),
            }
        };
        answers.push(answer);
    }
    group.write(connection, true).await?;
    let (head, notes) = (group.head, group.notes);
    Ok((answers, Some(Known::of(version, head, notes)), head.position))
}

/// What the jobs ask for first, together. What is asked for rarely is left for later.
fn first_needs(jobs: &[Job]) -> Needs {
    let mut all = Needs::default();
    for Needs { ids, dots, notes, under: _, places, histories: _ } in jobs.iter().map(|job| &job.needs) {
        all.ids.extend_from_slice(ids);
        all.dots.extend_from_slice(dots);
        all.notes.extend_from_slice(notes);
        all.places.extend_from_slice(places);
    }
    all.ids.sort_unstable();
    all.ids.dedup();
    all.notes.sort_unstable();
    all.notes.dedup();
    all
}

/// What is known of the log within the transaction, and what is to be written.
struct Group {
    /// As it is once everything is written.
    head: LogHead,
    /// The notes that are known, with what is to be written; `None` where there is none.
    notes: HashMap<String, Option<Vec<u8>>>,
    /// What was found, and of what it is known whether there is something to be found.
    found: Facts,
    ids: HashSet<EventId>,
    dots: HashSet<Dot>,
    places: HashSet<Position>,
    /// Rows to append.
    writing: Writing,
    /// Notes to put or delete.
    changed: BTreeMap<String, Option<Vec<u8>>>,
}

impl Group {
    fn new(head: LogHead) -> Self {
        Group {
            head,
            notes: HashMap::new(),
            found: Facts::at(head),
            ids: HashSet::new(),
            dots: HashSet::new(),
            places: HashSet::new(),
            writing: Writing::default(),
            changed: BTreeMap::new(),
        }
    }

    /// Takes in what was asked for and found, while nothing waits to be written.
    fn learn(&mut self, needs: &Needs, facts: Facts) {
        for key in &needs.notes {
            self.notes.insert(key.clone(), facts.notes.get(key).cloned());
        }
        self.ids.extend(needs.ids.iter().cloned());
        self.dots.extend(needs.dots.iter().cloned());
        self.places.extend(needs.places.iter().copied());
        self.found.held.extend(facts.held);
        self.found.damaged.extend(facts.damaged);
        self.found.dots.extend(facts.dots);
        self.found.places.extend(facts.places);
    }

    /// The facts that are needed, if all of them are known.
    fn facts(&self, needs: &Needs) -> Option<Facts> {
        let Needs { ids, dots, notes, under, places, histories } = needs;
        if !(under.is_empty() && histories.is_empty()) {
            return None;
        }
        let mut facts = Facts::at(self.head);
        for key in notes {
            if let Some(value) = self.notes.get(key)? {
                facts.notes.insert(key.clone(), value.clone());
            }
        }
        for id in ids {
            let held = self.found.held.get(self.ids.get(id)?);
            facts.held.extend(held.map(|held| (id.clone(), held.clone())));
            facts.damaged.extend(self.found.damaged.get(id).map(|position| (id.clone(), *position)));
        }
        for dot in dots {
            let named = self.found.dots.get(self.dots.get(dot)?);
            facts.dots.extend(named.map(|id| (dot.clone(), id.clone())));
        }
        for position in places {
            let mark = self.found.places.get(self.places.get(position)?);
            facts.places.extend(mark.map(|mark| (*position, *mark)));
        }
        Some(facts)
    }

    /// Takes in a plan. What it appends is not known any more: it has to be asked for.
    async fn take(&mut self, connection: &mut SqliteConnection, mut plan: Plan) -> Result<()> {
        for (event, _) in plan.rows() {
            self.ids.remove(&event.id);
            event.dot.as_ref().map(|dot| self.dots.remove(dot));
        }
        if plan.appends() > 0 {
            self.places.clear();
        }
        let before = self.head.position;
        self.head = self.head.after(&plan);
        for Note { key, value } in plan.put.drain(..) {
            if key == Note::STORE {
                self.head.store = Note::read_store_id(Some(&value))?;
            }
            self.notes.insert(key.clone(), Some(value.clone()));
            self.changed.insert(key, Some(value));
        }
        for key in plan.delete.drain(..) {
            self.notes.insert(key.clone(), None);
            self.changed.insert(key, None);
        }
        if plan.replace.is_empty() && plan.remark.is_none() {
            self.writing.add(plan);
            return Ok(());
        }
        // It changes events of the log, perhaps some that are only now written.
        self.found = Facts::at(self.head);
        self.ids.clear();
        self.dots.clear();
        self.places.clear();
        self.write_upto(connection, before, false).await?;
        write::write(connection, before, plan.into(), false).await
    }

    /// Writes what is to be written, and commits where that is asked for.
    async fn write(&mut self, connection: &mut SqliteConnection, commit: bool) -> Result<()> {
        self.write_upto(connection, self.head.position, commit).await
    }

    /// Writes what is to be written, up to this position.
    async fn write_upto(
        &mut self,
        connection: &mut SqliteConnection,
        last: Position,
        commit: bool,
    ) -> Result<()> {
        let mut writing = std::mem::take(&mut self.writing);
        for (key, value) in std::mem::take(&mut self.changed) {
            writing.note(key, value);
        }
        if writing.is_empty() && !commit {
            return Ok(());
        }
        write::write(connection, last - writing.appends(), writing, commit).await
    }
}
