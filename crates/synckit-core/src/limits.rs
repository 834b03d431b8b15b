//! Limits that are checked before anything is allocated or stored.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;

/// The maximum sizes of events and batches. Each side of a sync states its limits in `hello`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The maximum number of events in one batch or page. Default: 1,000.
    pub batch_events: usize,
    /// The maximum size of the events in one batch or page, in bytes by [`Event::size`](crate::Event::size). Default: 2
    /// MiB, so that a page fits into a body even in its least compact encoding and uncompressed. A single event always
    /// fits.
    pub batch_bytes: usize,
    /// The maximum size of one event, in bytes by [`Event::size`](crate::Event::size). Default: 256 KiB.
    pub event_bytes: usize,
    /// How far ahead of the peer's clock an event may be that nobody else holds yet, in seconds. The time of one
    /// further ahead is corrected before it is handed out. Default: 24 hours.
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
    /// Returns the drift limit as a duration.
    pub fn drift(&self) -> Duration {
        Duration::from_secs(self.drift_seconds)
    }

    /// Returns the stricter of both, limit by limit.
    pub fn min(self, other: Limits) -> Limits {
        Limits {
            batch_events: self.batch_events.min(other.batch_events).max(1),
            batch_bytes: self.batch_bytes.min(other.batch_bytes).max(1),
            event_bytes: self.event_bytes.min(other.event_bytes),
            drift_seconds: self.drift_seconds.min(other.drift_seconds),
        }
    }
}
