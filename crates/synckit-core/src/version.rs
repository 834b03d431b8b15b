//! What positions, timestamps and vector clocks have in common as versions.

use std::cmp::Ordering;
use std::fmt;

use crate::clock::{Causality, VectorClock};
use crate::timestamp::Timestamp;

/// The place of an event in one store's log, in order of arrival: 1, 2, 3, no gaps. 0 is before the first.
pub type Position = u64;

/// A version that can be compared, shown and told from the beginning.
///
/// Positions and timestamps are totally ordered; vector clocks only partially.
pub trait Version: fmt::Display {
    /// How this version stands to another; `None` when they are concurrent.
    fn compare(&self, other: &Self) -> Option<Ordering>;

    /// Whether this is the version before everything.
    fn is_zero(&self) -> bool;
}

impl Version for Position {
    fn compare(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }

    fn is_zero(&self) -> bool {
        *self == 0
    }
}

impl Version for Timestamp {
    fn compare(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }

    fn is_zero(&self) -> bool {
        *self == Timestamp::ZERO
    }
}

impl Version for VectorClock {
    fn compare(&self, other: &Self) -> Option<Ordering> {
        match VectorClock::compare(self, other) {
            Causality::Before => Some(Ordering::Less),
            Causality::Equal => Some(Ordering::Equal),
            Causality::After => Some(Ordering::Greater),
            Causality::Concurrent => None,
        }
    }

    fn is_zero(&self) -> bool {
        self.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::NodeId;

    #[test]
    fn concurrent_clocks_have_no_order() {
        let mut left = VectorClock::new();
        let mut right = VectorClock::new();
        assert!(left.is_zero() && Version::compare(&left, &right) == Some(Ordering::Equal));
        left.increment(&NodeId::new("a").expect("valid")).expect("room");
        assert_eq!(Version::compare(&left, &right), Some(Ordering::Greater));
        right.increment(&NodeId::new("b").expect("valid")).expect("room");
        assert_eq!(Version::compare(&left, &right), None);
        assert_eq!(Version::compare(&3_u64, &7), Some(Ordering::Less));
        assert!(Timestamp::ZERO.is_zero() && !Timestamp::from_millis(1).is_zero());
    }
}
