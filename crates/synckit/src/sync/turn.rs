//! Exchanges with one peer that do not disturb each other, also if several processes share the log.
//!
//! A hello compares what each side knows of the other. If another exchange with this peer, or with a copy of it that has
//! the same id, stored something since, the comparison no longer holds: what came from the copy would count as held by
//! the peer. So whatever an exchange stores, it stores with a ticket of its own and a number that grows, and only if no
//! other exchange has stored anything since what the hello compares was read. What it pushes was read from the log while
//! that still was so. This is optimistic concurrency control: an exchange that was overtaken starts over with a hello, and
//! so does one whose log was set back to what it was before the last commit of the exchange.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

use synckit_core::{
    Edit, Error, ErrorKind, EventStore, Facts, Needs, Note, Plan, Planner, Result, Step, StoreId, Transport,
};
use synckit_plan::notes;

use crate::sync::peer::Peer;
use crate::sync::session::Session;

/// The number of bytes of a ticket.
pub(crate) const TICKET: usize = 8;

/// The right of an exchange to store what follows from its hello.
#[derive(Debug)]
pub(crate) struct Turn {
    key: String,
    ticket: [u8; TICKET],
    /// How often this exchange has stored something, and what the note of turns says as far as it knows.
    known: Mutex<(u64, Option<Vec<u8>>)>,
}

impl Turn {
    /// Begins a turn with a peer from the facts that its hello compares. They contain the note of turns.
    pub(crate) fn begin(peer: StoreId, facts: &Facts, ticket: [u8; TICKET]) -> Self {
        let key = notes::turn(peer);
        let before = facts.note(&key).map(<[u8]>::to_vec);
        Turn { key, ticket, known: Mutex::new((0, before)) }
    }

    fn needs(&self) -> Needs {
        Needs { notes: vec![self.key.clone()], ..Needs::default() }
    }

    /// Returns whether the exchange that wrote this last is the last that has stored anything.
    pub(crate) fn is_last(peer: StoreId, facts: &Facts, wrote: &[u8]) -> bool {
        facts.note(&notes::turn(peer)) == Some(wrote)
    }

    /// Returns what the note of turns says as far as this exchange knows.
    pub(crate) fn wrote(&self) -> Option<Vec<u8>> {
        self.known().1.clone()
    }

    fn known(&self) -> MutexGuard<'_, (u64, Option<Vec<u8>>)> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a commit that is made only if no other exchange has stored anything since, and the note that it writes.
    fn commit<P>(&self, planner: P) -> (InTurn<P>, Note) {
        let (number, before) = self.known().clone();
        let note = Note { key: self.key.clone(), value: [self.ticket, number.to_be_bytes()].concat() };
        (InTurn { before, note: note.clone(), planner }, note)
    }

    /// Takes note of a commit that was made.
    fn committed(&self, note: Note) {
        let mut known = self.known();
        *known = (known.0 + 1, Some(note.value));
    }
}

/// A commit that is made only if the turn lasts; its outcome is `None` if it does not.
#[derive(Clone, Debug)]
struct InTurn<P> {
    before: Option<Vec<u8>>,
    note: Note,
    planner: P,
}

impl<P: Planner> Planner for InTurn<P> {
    type Outcome = Option<P::Outcome>;

    fn needs(&mut self) -> Needs {
        let mut needs = self.planner.needs();
        needs.notes.push(self.note.key.clone());
        needs
    }

    fn plan(&mut self, facts: &Facts, round: usize) -> Result<Step<Self::Outcome>> {
        if facts.note(&self.note.key) != self.before.as_deref() {
            return Ok(Step::Write(Plan::default(), None));
        }
        Ok(match self.planner.plan(facts, round)? {
            Step::Fetch(needs) => Step::Fetch(needs),
            Step::Write(mut plan, outcome) => {
                let place = plan.put.partition_point(|other| other.key < self.note.key);
                plan.put.insert(place, self.note.clone());
                Step::Write(plan, Some(outcome))
            }
        })
    }
}

impl<S: EventStore, T: Transport> Session<'_, S, T> {
    /// Commits in turn.
    ///
    /// # Errors
    /// Those of the store, and an error after which the sync starts over if the exchange was overtaken.
    pub(super) async fn commit<P: Planner>(&self, turn: &Turn, planner: P) -> Result<P::Outcome> {
        let (planner, note) = turn.commit(planner);
        let outcome = self.store.commit(planner).await?.ok_or_else(|| self.overtaken())?;
        turn.committed(note);
        Ok(outcome)
    }

    /// Changes notes in turn.
    ///
    /// # Errors
    /// Same as [`Session::commit`].
    pub(super) async fn edit(&self, peer: &Peer, put: Vec<Note>, delete: Vec<String>) -> Result<()> {
        self.commit(&peer.turn, Edit { put, delete }).await
    }

    /// Checks that what was read from the log until now may be pushed.
    pub(super) async fn check(&self, turn: &Turn) -> Result<()> {
        if self.lasts(turn).await? { Ok(()) } else { Err(self.overtaken()) }
    }

    /// Returns whether no other exchange has stored anything since the turn began.
    pub(super) async fn lasts(&self, turn: &Turn) -> Result<bool> {
        let facts = self.store.facts(turn.needs()).await?;
        Ok(facts.note(&turn.key) == turn.known().1.as_deref())
    }

    pub(super) fn overtaken(&self) -> Error {
        self.overtaken.store(true, Ordering::Relaxed);
        let message = "another program syncs this replica with the same peer at this moment, or has restored its log; sync again";
        Error::new(ErrorKind::Busy, message)
    }
}

#[cfg(test)]
mod tests {
    use synckit_core::{LogHead, Planning};

    use super::*;

    #[test]
    fn a_commit_is_made_only_while_no_other_exchange_has_stored_anything() {
        let peer = StoreId::from_bytes([7; 16]);
        let value = |ticket: &[u8; TICKET], number: u64| [*ticket, number.to_be_bytes()].concat();
        let mine = |number| value(b"its mine", number);
        let facts = |note: Option<&[u8]>| {
            let mut facts = Facts::at(LogHead { store: StoreId::from_bytes([1; 16]), position: 9 });
            facts.notes.extend(note.map(|value| (notes::turn(peer), value.into())));
            facts
        };
        let put = ["a", "z"].map(|key| Note { key: key.to_owned(), value: Vec::new() }).to_vec();
        let (none, first, second, other, later) =
            (None, Some(mine(0)), Some(mine(1)), Some(value(b"another!", 0)), Some(value(b"another!", 1)));
        for (before, stored, now, written) in [
            (&none, 0, &none, Some(&first)),
            (&none, 1, &first, Some(&second)),
            (&other, 0, &other, Some(&first)),
            (&other, 1, &first, Some(&second)),
            (&none, 0, &other, None),
            (&other, 0, &later, None),
            (&first, 0, &other, None),
            (&none, 1, &none, None),
            (&none, 2, &first, None),
        ] {
            let turn = Turn::begin(peer, &facts(before.as_deref()), *b"its mine");
            let edit = Edit { put: put.clone(), delete: Vec::new() };
            for _ in 0..stored {
                turn.committed(turn.commit(edit.clone()).1);
            }
            let planner = turn.commit(edit).0;
            let (plan, outcome) = Planning::run(planner, |_| Ok(facts(now.as_deref()))).expect("plans");
            assert_eq!(outcome.is_some(), written.is_some(), "{before:?} {now:?}");
            let noted = plan.put.iter().find(|note| note.key == notes::turn(peer)).map(|note| &note.value);
            assert_eq!(noted, written.and_then(Option::as_ref), "{before:?} {now:?}");
            assert!(plan.put.is_sorted_by_key(|note| note.key.clone()));
        }
    }
}
