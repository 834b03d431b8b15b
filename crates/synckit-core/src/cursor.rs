//! Places in a log that a reader remembers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::ids::StoreId;
use crate::text::{hex, serde_as_text};

/// The place of an event in one store's log, in order of arrival: 1, 2, 3, without gaps. 0 is before the first event.
pub type Position = u64;

/// A random number drawn by a commit and kept beside each event it appends.
///
/// Two logs that differ anywhere before a position have different marks at that position. So a position and its mark
/// identify the whole log up to there, even when copies of one log diverged and hold the same event at the same
/// position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mark(pub u64);

/// A place in a log: store id, position, and the [`Mark`] there.
///
/// Because it identifies the log up to that place, one lookup detects a log that was wiped, copied or restored from a
/// backup. A cursor at position 0 is the beginning of a known log. The seal lets the store that issued the cursor
/// recognise it; a made-up place proves nothing. The text form is opaque to everyone but that store. It is currently
/// `store.position.` and 32 hex digits: the mark and the seal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    store: StoreId,
    position: Position,
    mark: Mark,
    seal: u64,
}

impl Cursor {
    /// Creates a cursor at the beginning of a log.
    pub fn start(store: StoreId) -> Self {
        Cursor { store, position: 0, mark: Mark(0), seal: 0 }
    }

    /// Creates a cursor without a seal: it can be looked up but proves nothing. `position` is at least 1.
    pub fn at(store: StoreId, position: Position, mark: Mark) -> Self {
        Cursor { store, position, mark, seal: 0 }
    }

    /// Returns the id of the store whose log this is a place in.
    pub fn store(&self) -> StoreId {
        self.store
    }

    /// Returns the position: everything up to and including it has been read.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Returns the mark at the position; `None` at the beginning.
    pub fn mark(&self) -> Option<Mark> {
        (self.position > 0).then_some(self.mark)
    }
}

/// The key with which a store seals places in its own log, to recognise them later: 16 random bytes. Copies of a store
/// share it, and so recognise each other's places.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 16]);

impl Secret {
    /// Creates a secret from these bytes; they must be random.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Secret(bytes)
    }

    /// Returns a sealed cursor for a place in this store's log. At position 0 it is the beginning.
    pub fn cursor(&self, store: StoreId, position: Position, mark: Mark) -> Cursor {
        if position == 0 {
            return Cursor::start(store);
        }
        Cursor { store, position, mark, seal: self.seal(store, position, mark) }
    }

    /// Returns whether this store, or a copy of it, issued this cursor.
    pub fn sealed(&self, cursor: &Cursor) -> bool {
        cursor.position == 0 || cursor.seal == self.seal(cursor.store, cursor.position, cursor.mark)
    }

    /// Returns the first 8 bytes of a SHA-256 over the secret and the place. All fields have a fixed length.
    fn seal(&self, store: StoreId, position: Position, mark: Mark) -> u64 {
        let hash = Sha256::new_with_prefix(b"synckit place 1").chain_update(self.0);
        let hash = hash.chain_update(store.as_bytes()).chain_update(position.to_be_bytes());
        let hash = hash.chain_update(mark.0.to_be_bytes()).finalize();
        hash[..8].iter().fold(0, |seal, byte| seal << 8 | u64::from(*byte))
    }
}

/// Reveals none of the bytes.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl FromStr for Secret {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bytes = hex(text).ok_or_else(|| Error::invalid("a secret has 32 hexadecimal digits"))?;
        Ok(Secret(bytes.to_be_bytes()))
    }
}

serde_as_text!(Secret, |value, serializer| serializer.collect_str(value));

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.", self.store, self.position)?;
        if self.position == 0 {
            return Ok(());
        }
        write!(f, "{:016x}{:016x}", self.mark.0, self.seal)
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad =
            || Error::invalid("this is not a cursor; use one that a synckit endpoint gave out, or none");
        let mut parts = text.splitn(3, '.');
        let mut part = || parts.next().ok_or_else(bad);
        let store = part()?.parse().map_err(|_| bad())?;
        let position = part()?.parse().map_err(|_| bad())?;
        match (position, part()?) {
            (0, "") => Ok(Cursor::start(store)),
            (1.., place) => {
                let place = hex(place).ok_or_else(bad)?;
                Ok(Cursor { store, position, mark: Mark((place >> 64) as u64), seal: place as u64 })
            }
            _ => Err(bad()),
        }
    }
}

serde_as_text!(Cursor, |value, serializer| serializer.collect_str(value));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        let store = StoreId::from_bytes([7; 16]);
        let secret = Secret::from_bytes([9; 16]);
        for mark in [0, 1, u64::MAX] {
            let cursor = secret.cursor(store, 42, Mark(mark));
            assert_eq!(cursor.to_string().parse::<Cursor>().expect("parses"), cursor);
        }
        let start = Cursor::start(store);
        assert_eq!(start.to_string().parse::<Cursor>().expect("parses"), start);
    }

    #[test]
    fn anything_else_is_refused() {
        let store = StoreId::from_bytes([7; 16]);
        for bad in
            ["", "1", "x.1.e", &format!("{store}.0.e"), &format!("{store}.3."), &format!("{store}.-1.e")]
        {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_place_that_was_made_up_has_no_seal() {
        let store = StoreId::from_bytes([7; 16]);
        let (own, other) = (Secret::from_bytes([1; 16]), Secret::from_bytes([2; 16]));
        let place = own.cursor(store, 3, Mark(5));
        assert!(own.sealed(&place) && !other.sealed(&place));
        assert!(!own.sealed(&Cursor::at(store, 3, Mark(5))));
        assert!(!own.sealed(&Cursor { position: 4, ..place.clone() }));
        assert!(!own.sealed(&Cursor { store: StoreId::from_bytes([8; 16]), ..place.clone() }));
        assert_eq!(format!("{own:?}"), "Secret");
    }
}
