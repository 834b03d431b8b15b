//! Whether two replicas agree: a hash over the events, and a hash over the view.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use synckit_core::{Event, EventStore, Query, Result};
use synckit_plan::{History, Standing, StoreExt};

use crate::blocking::blocking;

/// The number of events of a replica, and hashes over them that do not depend on the order of arrival.
///
/// Each event is hashed separately, and the hashes are added as 256-bit numbers, so one pass with little memory is
/// enough. Equal digests mean equal replicas, unless someone deliberately forged events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Digest {
    /// The number of events.
    pub events: u64,
    /// A hash over all events.
    pub set: SetHash,
    /// A hash over the events that stand, of all aggregates: the view.
    pub view: SetHash,
}

/// A sum of SHA-256 hashes. Displayed as 64 hex digits.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct SetHash([u8; 32]);

impl Digest {
    /// Computes the digest of everything in a store.
    ///
    /// # Errors
    /// Same as [`EventStore::read`].
    pub async fn of(store: &impl EventStore) -> Result<Digest> {
        let mut digest = Digest { events: 0, set: SetHash::default(), view: SetHash::default() };
        let (mut decided, mut after) = (BTreeSet::new(), 0);
        loop {
            let page = store.read(Query::after(after)).await?;
            for stored in &page.events {
                digest.events += 1;
                digest.set.add(stored.event.digest());
                if stored.event.is_restamp() {
                    continue;
                }
                digest.view.add(shown(&stored.event));
                if stored.event.is_resolution() {
                    decided.insert(stored.event.aggregate_id.clone());
                }
            }
            after = page.scanned_to;
            if !page.more {
                break;
            }
        }
        // An event can be superseded only where something was decided.
        for aggregate in decided {
            let events = store.events_of(&aggregate).await?;
            let superseded = blocking(move || {
                let history = History::of(events)?;
                let superseded = history.entries().iter().filter(|entry| entry.standing != Standing::Live);
                Ok(superseded.map(|entry| shown(&entry.event)).collect::<Vec<_>>())
            });
            for hash in superseded.await? {
                digest.view.subtract(hash);
            }
        }
        Ok(digest)
    }
}

fn shown(event: &Event) -> [u8; 32] {
    let mut hash = Sha256::new_with_prefix(b"live");
    hash.update(event.digest());
    hash.finalize().into()
}

impl SetHash {
    fn add(&mut self, other: [u8; 32]) {
        let mut carry = 0;
        for (digit, other) in self.0.iter_mut().zip(other) {
            carry += u16::from(*digit) + u16::from(other);
            *digit = carry as u8;
            carry >>= 8;
        }
    }

    fn subtract(&mut self, other: [u8; 32]) {
        let mut borrow = 0;
        for (digit, other) in self.0.iter_mut().zip(other) {
            let rest = i16::from(*digit) - i16::from(other) - borrow;
            *digit = rest as u8;
            borrow = i16::from(rest < 0);
        }
    }
}

impl fmt::Display for SetHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().rev().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SetHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for SetHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_can_be_subtracted_in_any_order() {
        let (one, two) = ([0xff; 32], [3; 32]);
        let mut hash = SetHash::default();
        hash.add(one);
        hash.add(two);
        hash.subtract(one);
        let mut only = SetHash::default();
        only.add(two);
        assert_eq!(hash, only);
        hash.subtract(two);
        assert_eq!(hash, SetHash::default());
    }
}
