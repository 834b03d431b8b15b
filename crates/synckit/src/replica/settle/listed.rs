//! Which of the listed conflicts a pass hands to the resolver.

use sha2::{Digest, Sha256};
use synckit_core::{Cursor, EventStore, LogHead, Needs, Result};
use synckit_plan::{Fingerprint, notes};

use crate::peer_notes::text;
use crate::replica::Replica;

/// What the notebook says about listed conflicts.
pub(crate) struct Listed {
    /// The number of listed conflicts.
    pub(crate) count: u64,
    /// The value of the note [`notes::ASKED`].
    pub(super) asked: Option<Vec<u8>>,
    /// The resolver in use, as in that note.
    pub(super) resolver: String,
    /// The value of the note [`notes::WAITING`].
    pub(super) waiting: Option<Vec<u8>>,
}

impl Listed {
    /// The keys of the notes that it is read from.
    pub(crate) const KEYS: [&str; 3] = [notes::ASKED, notes::CONFLICT_COUNT, notes::WAITING];

    /// Returns whether there is something to ask the resolver.
    pub(crate) fn needs_resolver(&self) -> bool {
        self.count > 0 && (self.all() || self.waiting.is_some())
    }

    /// Returns whether all of them are handed to the resolver, because another one has left some; if not, those that
    /// wait.
    pub(super) fn all(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked != self.resolver.as_bytes())
    }
}

impl<S: EventStore> Replica<S> {
    /// Returns the number of open conflicts.
    pub(crate) async fn conflicts_on_record(&self) -> Result<u64> {
        Ok(self.listed().await?.0.count)
    }

    /// Reads what the notebook says about listed conflicts. Returns also the end of the log then.
    pub(super) async fn listed(&self) -> Result<(Listed, Cursor)> {
        let notes = Listed::KEYS.map(str::to_owned).into();
        let facts = self.store().facts(Needs { notes, ..Needs::default() }).await?;
        let LogHead { store, position, mark } = facts.head;
        let end = mark.map_or_else(|| Cursor::start(store), |mark| Cursor::at(store, position, mark));
        Ok((self.listed_in(|key| facts.note(key))?, end))
    }

    /// Returns what these notes say about listed conflicts.
    pub(crate) fn listed_in<'n>(&self, note: impl Fn(&str) -> Option<&'n [u8]>) -> Result<Listed> {
        let count =
            note(notes::CONFLICT_COUNT).map(|value| text(notes::CONFLICT_COUNT, value)).transpose()?;
        Ok(Listed {
            count: count.unwrap_or(0),
            asked: note(notes::ASKED).map(<[u8]>::to_vec),
            resolver: self.resolver_in_use()?,
            waiting: note(notes::WAITING).map(<[u8]>::to_vec),
        })
    }

    /// Returns the name and the fingerprint of the resolver as one text. One that nobody else knows is told from
    /// others by a random number of this replica.
    fn resolver_in_use(&self) -> Result<String> {
        let resolver = &self.settings().resolving.resolver;
        let name = resolver.name();
        Ok(match resolver.fingerprint() {
            Fingerprint::Lasting(text) => {
                let hash: String =
                    Sha256::digest(text)[..16].iter().map(|byte| format!("{byte:02x}")).collect();
                format!("{name} lasting {hash}")
            }
            Fingerprint::Passing(number) => format!("{name} passing {:016x} {number}", self.instance()?),
        })
    }

    /// Returns a random number of this replica in this process.
    fn instance(&self) -> Result<u64> {
        if let Some(known) = self.inner.instance.get() {
            return Ok(*known);
        }
        let mut random = [0; 8];
        self.settings().environment.fill_random(&mut random)?;
        Ok(*self.inner.instance.get_or_init(|| u64::from_be_bytes(random)))
    }
}
