//! The place in a caller's log up to which it has pushed, as kept here.
//!
//! Callers choose their filters and their store ids, so the number of filters that are kept of each is bounded, and so is
//! the number of callers. Below these bounds places do not expire: a place is evidence, by which a copy of the caller's
//! log is recognised however late it comes. A caller whose place is gone is a stranger again: it offers what it has.
//!
//! What a caller pushes counts as held by it. If a copy of it pushes while this store syncs with it from its own side, that
//! would leave out what came from the copy. So a push ends the turn of such an exchange, which starts over with a hello.

use std::collections::BTreeMap;
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
    /// Places in this log that the caller knows. If one is not there, nothing is stored: this log was restored, and may
    /// lack what the caller left out.
    pub known: Vec<Cursor>,
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

    /// The number of callers that are kept, within a few. Beyond it one goes for each that comes: of about two dozen at
    /// random, the one that pushed least recently.
    pub const MAX_CALLERS: u64 = 100_000;
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

    /// Checks that the place on record is the one the caller expects, and that this log has the places it knows.
    pub(crate) fn check(&self, facts: &Facts) -> Result<()> {
        check_known(facts, &self.known)?;
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

    /// Whether the caller has no place on record, and gets one.
    fn is_new(&self, facts: &Facts) -> bool {
        self.of_caller().is_some_and(|caller| !facts.notes.keys().any(|key| key.starts_with(&caller)))
    }

    /// Returns the key of the number of callers, if there is one more.
    pub(crate) fn count(&self, facts: &Facts) -> Option<String> {
        self.is_new(facts).then(|| notes::CALLERS.to_owned())
    }

    /// Returns the prefix of the keys of some callers, one of which is to go for this one.
    pub(crate) fn sample(&self, facts: &Facts, entropy: &Entropy) -> Result<Option<String>> {
        let is_full = self.is_new(facts) && callers(facts)? >= Pushed::MAX_CALLERS;
        Ok(is_full.then(|| format!("{}{:03x}", notes::PUSHED, entropy.suffix() % 4_096)))
    }

    /// Puts the place on record, and takes off the record what is too much. Returns the notes.
    pub(crate) fn put(self, facts: &Facts, now: u64, plan: &mut Plan) -> Result<Vec<Note>> {
        let (is_new, caller) = (self.is_new(facts), self.of_caller());
        let OnRecord { key: own, upto: Some(place), .. } = self else { return Ok(Vec::new()) };
        let (mut its, mut others) = (Vec::new(), BTreeMap::<&str, Vec<(Pushed, &String)>>::new());
        for key in facts.notes.keys().filter(|key| **key != own && key.starts_with(notes::PUSHED)) {
            let Some(pushed) = ledger::text::<Pushed>(facts, key)? else { continue };
            match caller.as_ref().is_some_and(|caller| key.starts_with(caller)) {
                true => its.push((pushed, key)),
                false => others.entry(notes::caller(key)).or_default().push((pushed, key)),
            }
        }
        plan.delete.extend(too_much(its, &place));
        let mut notes = vec![ledger::put(own, Pushed { place, at: now }.to_string())];
        if is_new {
            let last = |places: &Vec<(Pushed, &String)>| places.iter().map(|(pushed, _)| pushed.at).max();
            let goes = others.into_values().min_by_key(last);
            let count = callers(facts)? + u64::from(goes.is_none());
            notes.push(ledger::put(notes::CALLERS.to_owned(), count.to_string()));
            plan.delete.extend(goes.into_iter().flatten().map(|(_, key)| key.clone()));
        }
        Ok(notes)
    }
}

/// Checks that the log has places that a caller knows.
///
/// # Errors
/// `CursorUnknown` if it lacks one: it was restored since the caller said hello.
pub fn check_known(facts: &Facts, known: &[Cursor]) -> Result<()> {
    let Some(place) = known.iter().find(|place| !facts.holds(place)) else { return Ok(()) };
    let message = "this log was restored since the caller said hello; say hello again";
    Err(Error::new(ErrorKind::CursorUnknown, message).with("position", place.position()))
}

/// Returns the number of callers on record.
fn callers(facts: &Facts) -> Result<u64> {
    Ok(ledger::text(facts, notes::CALLERS)?.unwrap_or(0))
}

/// Returns the keys of a caller's other places that go, now that this one is put.
fn too_much(mut others: Vec<(Pushed, &String)>, place: &Cursor) -> impl Iterator<Item = String> {
    others.sort_unstable_by(|(left, key), (right, other)| (right.at, key).cmp(&(left.at, other)));
    let mut room = Pushed::MAX_FILTERS - 1;
    let furthest = others.iter().enumerate().max_by_key(|(_, (pushed, _))| pushed.place.position());
    let furthest = furthest.map(|(at, (pushed, _))| (at, pushed.place.position()));
    if let Some((at, _)) = furthest.filter(|(_, position)| *position > place.position()) {
        // It is evidence of how long the caller's log has been.
        others.remove(at);
        room -= 1;
    }
    others.into_iter().skip(room).map(|(_, key)| key.clone())
}
