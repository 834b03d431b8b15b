//! Hybrid logical time: physical milliseconds followed by a logical counter.
//!
//! After Kulkarni et al., *Logical Physical Clocks* (2014): a timestamp stays close to the wall clock, and an effect is
//! always later than its causes, whatever the clocks of the nodes show.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::text::serde_as_text;

const COUNTER_BITS: u32 = 16;

/// A hybrid logical timestamp: 48 bits of Unix milliseconds and 16 bits of counter, ordered as one number.
///
/// Its text form is `millis-counter`, for example `1764000000000-3`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The earliest timestamp.
    pub const ZERO: Timestamp = Timestamp(0);
    /// How far ahead of the correct time an event may be, unless configured otherwise.
    pub const DEFAULT_DRIFT: Duration = Duration::from_secs(24 * 3600);

    /// Creates a timestamp from these milliseconds and counter 0. Milliseconds beyond 48 bits become the maximum.
    pub fn from_millis(unix_millis: u64) -> Self {
        Timestamp(unix_millis.min((1 << 48) - 1) << COUNTER_BITS)
    }

    /// Creates a timestamp from its packed form: milliseconds in the upper 48 bits, the counter in the lower 16.
    pub fn from_bits(bits: u64) -> Self {
        Timestamp(bits)
    }

    /// Returns the packed form.
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// Returns the physical part, in Unix milliseconds.
    pub fn millis(self) -> u64 {
        self.0 >> COUNTER_BITS
    }

    /// Returns the logical part.
    pub fn counter(self) -> u16 {
        (self.0 & 0xffff) as u16
    }

    /// Returns the next timestamp, one tick later. A full counter carries into the milliseconds.
    pub fn next(self) -> Self {
        Timestamp(self.0.saturating_add(1))
    }

    /// Returns the timestamp of a new event: the wall clock, or later if the events it follows require that.
    pub fn after(unix_millis: u64, follows: impl IntoIterator<Item = Timestamp>) -> Self {
        follows.into_iter().fold(Timestamp::from_millis(unix_millis), |time, cause| time.max(cause.next()))
    }

    /// Returns whether this timestamp is further ahead of the wall clock than `limit`.
    pub fn drifts(self, unix_millis: u64, limit: Duration) -> bool {
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        self.millis() > unix_millis.saturating_add(limit)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.millis(), self.counter())
    }
}

impl FromStr for Timestamp {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let (millis, counter) = text.split_once('-')?;
            let millis: u64 = millis.parse().ok()?;
            let counter: u16 = counter.parse().ok()?;
            (millis < 1 << 48).then_some(Timestamp(millis << COUNTER_BITS | u64::from(counter)))
        };
        parse().ok_or_else(|| {
            Error::invalid("a timestamp is written as millis-counter, such as 1764000000000-0")
        })
    }
}

serde_as_text!(Timestamp, |value, serializer| serializer.collect_str(value));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_effect_is_later_than_its_causes_even_with_a_slow_clock() {
        let cause = Timestamp::from_millis(5_000);
        let effect = Timestamp::after(1_000, [cause]);
        assert!(effect > cause);
        assert_eq!((effect.millis(), effect.counter()), (5_000, 1));
        assert_eq!(Timestamp::after(9_000, [cause]), Timestamp::from_millis(9_000));
    }

    #[test]
    fn a_full_counter_carries() {
        let full = Timestamp::from_bits(7 << 16 | 0xffff);
        assert_eq!((full.next().millis(), full.next().counter()), (8, 0));
        assert_eq!(Timestamp::from_bits(u64::MAX).next().to_bits(), u64::MAX);
    }

    #[test]
    fn text_round_trips_and_bad_text_is_refused() {
        let time = Timestamp::from_bits(1_764_000_000_000 << 16 | 3);
        assert_eq!(time.to_string(), "1764000000000-3");
        assert_eq!(time.to_string().parse::<Timestamp>().expect("parses"), time);
        for bad in ["", "1", "1-", "-1", "1-65536", "281474976710656-0", "1-2-3"] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad}");
        }
    }

    #[test]
    fn drift_is_measured_against_the_wall_clock() {
        let hour = Duration::from_secs(3600);
        assert!(!Timestamp::from_millis(3_600_000).drifts(0, hour));
        assert!(Timestamp::from_millis(3_600_001).drifts(0, hour));
        assert!(!Timestamp::from_millis(0).drifts(9_999_999, Duration::ZERO));
    }
}
