//! Exchanges with one peer that do not disturb each other, also if several processes share the log.
//!
//! A hello compares what each side knows of the other. If another exchange with this peer, or with a copy of it that has
//! the same id, stored something since, the comparison no longer holds: what came from the copy would count as held by
//! the peer. So whatever an exchange stores, it stores with a ticket of its own and a number that grows, and only if no
//! other exchange has stored anything since what the hello compares was read. What it leaves out of a push was read while
//! that still was so. This is optimistic concurrency control: an exchange that was overtaken starts over with a hello, and
//! so does one whose log was set back: where it ended, there is another mark. A backup may have the same note of turns,
//! so whatever an exchange reads of its log moves this end on to where the log ended then.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

use synckit_core::{
    Edit, Error, ErrorKind, EventStore, Facts, LogHead, Needs, Note, Plan, Planner, Position, Query, Result,
    Step, StoreId, StoredEvent, Transport,
};
use synckit_plan::notes;

use crate::bound::Place;
use crate::damage::read_over;
use crate::sync::peer::Peer;
use crate::sync::session::Session;

/// The number of bytes of a ticket.
pub(crate) const TICKET: usize = 8;

/// The right of an exchange to store what follows from its hello.
#[derive(Debug)]
pub(crate) struct Turn {
    key: String,
    ticket: [u8; TICKET],
    known: Mutex<Known>,
}

/// The log as far as an exchange knows it.
#[derive(Clone, Debug)]
struct Known {
    /// How often this exchange has stored something.
    stored: u64,
    /// What the note of turns says.
    note: Option<Vec<u8>>,
    /// Where the log ends. A log with another mark there was set back.
    end: LogHead,
}

impl Known {
    /// Adds what [`Known::holds`] needs.
    fn needs(&self, key: &str, mut needs: Needs) -> Needs {
        needs.notes.push(key.to_owned());
        needs.places.push(self.end.position);
        needs
    }

    /// Returns whether the log is still the one that is known, and no other exchange has stored anything.
    fn holds(&self, key: &str, facts: &Facts) -> bool {
        let mark = facts.places.get(&self.end.position).copied();
        facts.note(key) == self.note.as_deref() && mark == self.end.mark
    }
}

impl Turn {
    /// Begins a turn with a peer from the facts that its hello compares. They contain the note of turns.
    pub(crate) fn begin(peer: StoreId, facts: &Facts, ticket: [u8; TICKET]) -> Self {
        let key = notes::turn(peer);
        let note = facts.note(&key).map(<[u8]>::to_vec);
        Turn { key, ticket, known: Mutex::new(Known { stored: 0, note, end: facts.head }) }
    }

    /// Returns whether the exchange that wrote this last is the last that has stored anything.
    pub(crate) fn is_last(peer: StoreId, facts: &Facts, wrote: &[u8]) -> bool {
        facts.note(&notes::turn(peer)) == Some(wrote)
    }

    /// Moves the end on over what was read of the log between two places, if it begins there. Returns whether it does.
    pub(crate) fn reads_on(&self, from: Place, (position, mark): Place) -> bool {
        let end = &mut self.known().end;
        let follows = (end.position, end.mark) == from;
        if follows {
            (end.position, end.mark) = (position, mark);
        }
        follows
    }

    /// Returns whether the log was not known beyond this position.
    pub(crate) fn is_beyond(&self, position: Position) -> bool {
        position > self.known().end.position
    }

    /// Returns what the note of turns says as far as this exchange knows.
    pub(crate) fn wrote(&self) -> Option<Vec<u8>> {
        self.known().note.clone()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a commit that is made only if no other exchange has stored anything since, and the note that it writes.
    fn commit<P>(&self, planner: P) -> (InTurn<P>, Note) {
        let known = self.known().clone();
        let note = Note { key: self.key.clone(), value: [self.ticket, known.stored.to_be_bytes()].concat() };
        (InTurn { known, note: note.clone(), planner }, note)
    }

    /// Takes note of a commit that was made, and of where the log ends since.
    fn committed(&self, note: Note, end: LogHead) {
        let mut known = self.known();
        *known = Known { stored: known.stored + 1, note: Some(note.value), end };
    }
}

/// A commit that is made only if the turn lasts. Its outcome also says where the log ends; it is `None` if the turn does
/// not last.
#[derive(Clone, Debug)]
struct InTurn<P> {
    known: Known,
    note: Note,
    planner: P,
}

impl<P: Planner> Planner for InTurn<P> {
    type Outcome = Option<(P::Outcome, LogHead)>;

    fn needs(&mut self) -> Needs {
        self.known.needs(&self.note.key, self.planner.needs())
    }

    fn plan(&mut self, facts: &Facts, round: usize) -> Result<Step<Self::Outcome>> {
        if !self.known.holds(&self.note.key, facts) {
            return Ok(Step::Write(Plan::default(), None));
        }
        Ok(match self.planner.plan(facts, round)? {
            Step::Fetch(needs) => Step::Fetch(needs),
            Step::Write(mut plan, outcome) => {
                let place = plan.put.partition_point(|other| other.key < self.note.key);
                plan.put.insert(place, self.note.clone());
                let end = facts.head.after(&plan);
                Step::Write(plan, Some((outcome, end)))
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
        let (outcome, end) = self.store.commit(planner).await?.ok_or_else(|| self.overtaken())?;
        turn.committed(note, end);
        Ok(outcome)
    }

    /// Changes notes in turn.
    ///
    /// # Errors
    /// Same as [`Session::commit`].
    pub(super) async fn edit(&self, peer: &Peer, put: Vec<Note>, delete: Vec<String>) -> Result<()> {
        self.commit(&peer.turn, Edit { put, delete }).await
    }

    /// Makes sure that a push by a copy of the peer since the hello does not go unnoticed. From the first commit of the
    /// first exchange on, it ends the turn; until then, its events are looked for in the log.
    pub(super) async fn look_for_copies(&self, peer: &mut Peer) -> Result<()> {
        let Some(LogHead { position: mut after, mut mark, .. }) = peer.unseen_after.take() else {
            return Ok(());
        };
        self.edit(peer, Vec::new(), Vec::new()).await?;
        loop {
            let (page, _) = read_over(self.store, Query::after(after)).await?;
            let from_peer = |stored: &StoredEvent| stored.source == Some(peer.store);
            if page.from != mark || page.events.iter().any(from_peer) {
                return Err(self.overtaken());
            }
            if !page.more {
                return Ok(());
            }
            (after, mark) = (page.scanned_to, page.upto);
        }
    }

    /// Reads facts of the log in turn. `None` if the turn does not last.
    pub(super) async fn facts_in(&self, turn: &Turn, needs: Needs) -> Result<Option<Facts>> {
        let known = turn.known().clone();
        let facts = self.store.facts(known.needs(&turn.key, needs)).await?;
        if !known.holds(&turn.key, &facts) {
            return Ok(None);
        }
        turn.known().end = facts.head;
        Ok(Some(facts))
    }

    /// Returns whether no other exchange has stored anything since the turn began.
    pub(super) async fn lasts(&self, turn: &Turn) -> Result<bool> {
        Ok(self.facts_in(turn, Needs::default()).await?.is_some())
    }

    /// Returns whether the log has these places in turn: then what was read up to them was read in turn, too.
    pub(super) async fn holds_in(&self, turn: &Turn, places: &[Place]) -> Result<bool> {
        let needs = Needs { places: places.iter().map(|(at, _)| *at).collect(), ..Needs::default() };
        let facts = self.facts_in(turn, needs).await?;
        let held = |facts: Facts| places.iter().all(|(at, mark)| facts.places.get(at).copied() == *mark);
        Ok(facts.is_some_and(held))
    }

    pub(super) fn overtaken(&self) -> Error {
        self.overtaken.store(true, Ordering::Relaxed);
        let message = "another program syncs this replica with the same peer at this moment, or has restored its log; sync again";
        Error::new(ErrorKind::Busy, message)
    }
}

#[cfg(test)]
mod tests {
    use synckit_core::{Mark, Planning};

    use super::*;

    #[test]
    fn a_commit_is_made_only_while_no_other_exchange_has_stored_anything() {
        let peer = StoreId::from_bytes([7; 16]);
        let value = |ticket: &[u8; TICKET], number: u64| [*ticket, number.to_be_bytes()].concat();
        let mine = |number| value(b"its mine", number);
        let head = LogHead { store: StoreId::from_bytes([1; 16]), position: 0, mark: None };
        let facts = |note: Option<&[u8]>| {
            let mut facts = Facts::at(head);
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
                turn.committed(turn.commit(edit.clone()).1, head);
            }
            let planner = turn.commit(edit).0;
            let (plan, outcome) = Planning::run(planner, |_| Ok(facts(now.as_deref()))).expect("plans");
            assert_eq!(outcome.is_some(), written.is_some(), "{before:?} {now:?}");
            let noted = plan.put.iter().find(|note| note.key == notes::turn(peer)).map(|note| &note.value);
            assert_eq!(noted, written.and_then(Option::as_ref), "{before:?} {now:?}");
            assert!(plan.put.is_sorted_by_key(|note| note.key.clone()));
        }
    }

    #[test]
    fn a_commit_is_not_made_to_a_log_with_another_mark_where_it_ended() {
        let head = |position, mark| LogHead {
            store: StoreId::from_bytes([1; 16]),
            position,
            mark: (position > 0).then_some(Mark(mark)),
        };
        let turn = Turn::begin(StoreId::from_bytes([7; 16]), &Facts::at(head(9, 1)), *b"its mine");
        for (end, there, made) in
            [(9, Some(1), true), (12, Some(1), true), (8, None, false), (0, None, false), (9, Some(2), false)]
        {
            let planner = turn.commit(Edit::default()).0;
            let fetch = |needs: Needs| {
                assert_eq!(needs.places, [9]);
                let mut facts = Facts::at(head(end, 3));
                facts.places.extend(there.map(|mark| (9, Mark(mark))));
                Ok(facts)
            };
            let (plan, outcome) = Planning::run(planner, fetch).expect("plans");
            assert_eq!(outcome.map(|(_, end)| end), made.then_some(head(end, 3)));
            assert_eq!(plan.put.len(), usize::from(made));
        }
    }
}
