//! The randomness of one commit.

use std::fmt;

use synckit_core::{Mark, Note, StoreId};

/// The randomness of one commit: 32 random bytes, used once.
#[derive(Clone)]
pub struct Entropy([u8; Entropy::BYTES]);

impl Entropy {
    /// The number of bytes a commit needs.
    pub const BYTES: usize = 32;

    /// Creates it from these bytes, which must be random and never used before.
    pub fn from_bytes(bytes: [u8; Entropy::BYTES]) -> Self {
        Entropy(bytes)
    }

    /// Returns the mark for the appended events.
    pub(super) fn mark(&self) -> Mark {
        Mark(self.number(0))
    }

    /// Returns a note whose value no other commit writes: the mark.
    pub(super) fn note(&self, key: String) -> Note {
        Note { key, value: self.number(0).to_string().into_bytes() }
    }

    /// Returns a suffix for a fresh name.
    pub(super) fn suffix(&self) -> u64 {
        self.number(8)
    }

    /// Returns a fresh id for the store.
    pub(super) fn store(&self) -> StoreId {
        let mut id = [0; 16];
        id.copy_from_slice(&self.0[16..]);
        StoreId::from_bytes(id)
    }

    fn number(&self, at: usize) -> u64 {
        self.0[at..at + 8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy")
    }
}
