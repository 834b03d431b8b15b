//! The place in a caller's log up to which it has pushed, as kept here.
//!
//! Callers choose their filters, so the number of filters that are kept of each is bounded. Places do not expire: a place
//! is evidence, by which a copy of the caller's log is recognised however late it comes.
//!
//! What a caller pushes counts as held by it. If a copy of it pushes while this store syncs with it from its own side, that
//! would leave out what came from the copy. So a push ends the turn of such an exchange, which starts over with a hello.

use std::fmt;
use std::str::FromStr;

use synckit_core::{Cursor, Error, ErrorKind, Facts, Note, Plan, Result};

use crate::{Entropy, ledger, notes};

/// A place in the pusher's log that is put on record.
#[derive(Clone, Debug)]
pub struct OnRecord {
    /// The key of the note.
    pub key: String,
    /// The place on record before. If the place on record is neither this nor `upto`, nothing is stored: another device
    /// has pushed under the same name, or this push came late.
    pub from: Option<Cursor>,
    /// The place on record afterwards, unless an event was refused.
    pub upto: Option<Cursor>,
}

/// How far a caller says it has pushed here, and when it last did. Its text form is `cursor millis`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The place in the caller's log.
    pub place: Cursor,
    /// When the caller last pushed, in Unix milliseconds.
    pub at: u64,
}

impl Pushed {
    /// The maximum number of filters of one caller that are kept. Of more, those that were pushed with least recently
    /// go, except for the one with the furthest place.
    pub const MAX_FILTERS: usize = 256;
}

impl fmt::Display for Pushed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.place, self.at)
    }
}

impl FromStr for Pushed {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts =
            text.split_once(' ').and_then(|(place, at)| Some((place.parse().ok()?, at.parse().ok()?)));
        let (place, at) = parts.ok_or_else(|| Error::corrupt("this is not a place and a time"))?;
        Ok(Pushed { place, at })
    }
}

impl OnRecord {
    /// Returns the prefix of the keys of all places that the caller has on record, if this one moves.
    pub(crate) fn of_caller(&self) -> Option<String> {
        let (caller, _) = self.key.rsplit_once('/').filter(|_| self.upto.is_some())?;
        Some(format!("{caller}/"))
    }

    /// Returns the key of the turn of the exchange with the caller.
    pub(crate) fn turn(&self) -> Option<String> {
        let caller = self.key.split('/').nth(1)?.parse().ok()?;
        Some(notes::turn(caller))
    }

    /// Returns a note that ends the turn of the exchange with the caller, if there has been one.
    pub(crate) fn end_turn(&self, facts: &Facts, entropy: &Entropy) -> Option<Note> {
        self.turn().filter(|key| facts.note(key).is_some()).map(|key| entropy.note(key))
    }

    /// Checks that the place on record is the one the caller expects.
    pub(crate) fn check(&self, facts: &Facts) -> Result<()> {
        let known = ledger::text::<Pushed>(facts, &self.key)?.map(|pushed| pushed.place);
        if known == self.from || (self.upto.is_some() && known == self.upto) {
            return Ok(());
        }
        let message =
            "another place in the caller's log is on record than the caller believes; say hello again";
        let place = |place: &Option<Cursor>| place.as_ref().map_or(0, Cursor::position);
        Err(Error::new(ErrorKind::CursorUnknown, message)
            .with("on record", place(&known))
            .with("believed", place(&self.from)))
    }

    /// Puts the place on record, and takes off the record what is too much of this caller. Returns the note.
    pub(crate) fn put(self, facts: &Facts, now: u64, plan: &mut Plan) -> Result<Option<Note>> {
        let caller = self.of_caller();
        let OnRecord { key, upto: Some(place), .. } = self else { return Ok(None) };
        let mut others: Vec<(Pushed, &String)> = Vec::new();
        for other in facts.notes.keys().filter(|other| **other != key) {
            if caller.as_ref().is_some_and(|caller| other.starts_with(caller)) {
                others.extend(ledger::text::<Pushed>(facts, other)?.map(|pushed| (pushed, other)));
            }
        }
        others.sort_unstable_by(|(left, key), (right, other)| (right.at, key).cmp(&(left.at, other)));
        let mut room = Pushed::MAX_FILTERS - 1;
        let furthest = others.iter().enumerate().max_by_key(|(_, (pushed, _))| pushed.place.position());
        let furthest = furthest.map(|(at, (pushed, _))| (at, pushed.place.position()));
        if let Some((at, _)) = furthest.filter(|(_, position)| *position > place.position()) {
            // It is evidence of how long the caller's log has been.
            others.remove(at);
            room -= 1;
        }
        plan.delete.extend(others.into_iter().skip(room).map(|(_, key)| key.clone()));
        let pushed = Pushed { place, at: now };
        Ok(Some(Note { key, value: pushed.to_string().into_bytes() }))
    }
}
