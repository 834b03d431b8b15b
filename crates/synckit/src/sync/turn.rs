//! Exchanges with one peer that do not disturb each other, also if several processes share the log.
//!
//! A hello compares what each side knows of the other. If another exchange with this peer, or with a copy of it that has
//! the same id, stored something since, the comparison no longer holds: what came from the copy would count as held by
//! the peer. So whatever an exchange stores, it stores with a ticket of its own and a number that grows, and only if no
//! other exchange has stored anything since what the hello compares was read. What it pushes was read from the log while
//! that still was so. This is optimistic concurrency control: an exchange that was overtaken starts over with a hello.

use std::sync::atomic::Ordering;

use synckit_core::{
    Edit, Error, ErrorKind, EventStore, Facts, Needs, Note, Plan, Planner, Result, Step, StoreId, Transport,
};
use synckit_plan::notes;

use crate::sync::peer::Peer;
use crate::sync::session::Session;

/// The number of bytes of a ticket.
pub(crate) const TICKET: usize = 8;

/// The right of an exchange to store what follows from its hello.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    key: String,
    /// What the exchange before wrote last.
    before: Option<Vec<u8>>,
    ticket: [u8; TICKET],
}

impl Turn {
    /// Begins a turn with a peer from the facts that its hello compares. They contain the note of turns.
    pub(crate) fn begin(peer: StoreId, facts: &Facts, ticket: [u8; TICKET]) -> Self {
        let key = notes::turn(peer);
        let before = facts.note(&key).map(<[u8]>::to_vec);
        Turn { key, before, ticket }
    }

    fn needs(&self) -> Needs {
        Needs { notes: vec![self.key.clone()], ..Needs::default() }
    }

    /// Returns whether the exchange with this ticket is the last that has stored anything.
    pub(crate) fn is_last(peer: StoreId, facts: &Facts, ticket: [u8; TICKET]) -> bool {
        facts.note(&notes::turn(peer)).is_some_and(|now| now.starts_with(&ticket))
    }

    /// Returns what tells this exchange from every other.
    pub(crate) fn ticket(&self) -> [u8; TICKET] {
        self.ticket
    }

    /// Returns the next number of this turn, if no other exchange has stored anything since.
    fn number(&self, facts: &Facts) -> Option<u64> {
        let now = facts.note(&self.key);
        match now.and_then(|now| now.strip_prefix(&self.ticket)) {
            Some(number) => Some(number.try_into().map_or(0, u64::from_be_bytes) + 1),
            None => (now == self.before.as_deref()).then_some(0),
        }
    }

    fn note(&self, number: u64) -> Note {
        Note { key: self.key.clone(), value: [self.ticket, number.to_be_bytes()].concat() }
    }
}

/// A commit that is made only if the turn lasts; its outcome is `None` if it does not.
#[derive(Clone, Debug)]
struct InTurn<P> {
    turn: Turn,
    planner: P,
}

impl<P: Planner> Planner for InTurn<P> {
    type Outcome = Option<P::Outcome>;

    fn needs(&mut self) -> Needs {
        let mut needs = self.planner.needs();
        needs.notes.extend(self.turn.needs().notes);
        needs
    }

    fn plan(&mut self, facts: &Facts, round: usize) -> Result<Step<Self::Outcome>> {
        let Some(number) = self.turn.number(facts) else {
            return Ok(Step::Write(Plan::default(), None));
        };
        Ok(match self.planner.plan(facts, round)? {
            Step::Fetch(needs) => Step::Fetch(needs),
            Step::Write(mut plan, outcome) => {
                let note = self.turn.note(number);
                let place = plan.put.partition_point(|other| other.key < note.key);
                plan.put.insert(place, note);
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
        let planner = InTurn { turn: turn.clone(), planner };
        self.store.commit(planner).await?.ok_or_else(|| self.overtaken())
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
        Ok(turn.number(&self.store.facts(turn.needs()).await?).is_some())
    }

    fn overtaken(&self) -> Error {
        self.overtaken.store(true, Ordering::Relaxed);
        let message = "another program syncs this replica with the same peer at this moment; sync again";
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
        for (before, now, written) in [
            (&none, &none, Some(&first)),
            (&none, &first, Some(&second)),
            (&other, &other, Some(&first)),
            (&other, &first, Some(&second)),
            (&none, &other, None),
            (&other, &later, None),
            (&first, &other, None),
        ] {
            let turn = Turn::begin(peer, &facts(before.as_deref()), *b"its mine");
            let planner = InTurn { turn, planner: Edit { put: put.clone(), delete: Vec::new() } };
            let (plan, outcome) = Planning::run(planner, |_| Ok(facts(now.as_deref()))).expect("plans");
            assert_eq!(outcome.is_some(), written.is_some(), "{before:?} {now:?}");
            let noted = plan.put.iter().find(|note| note.key == notes::turn(peer)).map(|note| &note.value);
            assert_eq!(noted, written.and_then(Option::as_ref), "{before:?} {now:?}");
            assert!(plan.put.is_sorted_by_key(|note| note.key.clone()));
        }
    }
}
