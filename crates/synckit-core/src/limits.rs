//! The limits that are checked before anything is allocated or stored.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;

/// What an event and a batch may be at most. Both sides of a sync name theirs in `hello`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The most events in one batch or page. 1,000.
    pub batch_events: usize,
    /// The most bytes of events in one batch or page, by [`Event::size`](crate::Event::size). 2 MiB, so that a
    /// page fits into a body even where it is encoded at its worst and not compressed. One event always fits.
    pub batch_bytes: usize,
    /// The largest event, by [`Event::size`](crate::Event::size). 256 KiB.
    pub event_bytes: usize,
    /// How far ahead of the peer's clock an event may be that nobody holds yet, in seconds; one further ahead gets the right
    /// time before it is handed out. 24 hours.
    pub drift_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            batch_events: 1_000,
            batch_bytes: 2 << 20,
            event_bytes: 256 << 10,
            drift_seconds: Timestamp::DEFAULT_DRIFT.as_secs(),
        }
    }
}

impl Limits {
    /// The drift limit as a duration.
    pub fn drift(&self) -> Duration {
        Duration::from_secs(self.drift_seconds)
    }

    /// The stricter of both in every respect.
    pub fn min(self, other: Limits) -> Limits {
        Limits {
            batch_events: self.batch_events.min(other.batch_events).max(1),
            batch_bytes: self.batch_bytes.min(other.batch_bytes).max(1),
            event_bytes: self.event_bytes.min(other.event_bytes),
            drift_seconds: self.drift_seconds.min(other.drift_seconds),
        }
    }
}
