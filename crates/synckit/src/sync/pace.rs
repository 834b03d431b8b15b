//! How large the next page or batch is, so that it gets through.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How often a message of the largest size must get through before a larger one is tried.
const PATIENCE: usize = 32;

/// The size of messages in one direction, in events. It falls when one does not get through, and grows with success.
#[derive(Debug)]
pub(crate) struct Pace(Mutex<State>);

#[derive(Clone, Copy, Debug)]
struct State {
    size: usize,
    /// The size up to which it grows at once: half of what did not get through.
    ceiling: usize,
    /// How often the ceiling got through.
    passed: usize,
    /// How long the last message with events took, for each event.
    each: Duration,
}

impl Pace {
    /// Creates a pace with this size, as it was learned before.
    pub(crate) fn new(learned: Option<usize>) -> Self {
        let size = learned.unwrap_or(usize::MAX).max(1);
        Pace(Mutex::new(State { size, ceiling: size.saturating_mul(2), passed: 0, each: Duration::ZERO }))
    }

    /// Returns the size of the next message, at most `most`.
    pub(crate) fn size(&self, most: usize) -> usize {
        self.with(|state| state.size).min(most)
    }

    /// Returns the size of the next message, at most `most`. It fits three times into the time that is left, as far as
    /// can be told from the last one.
    pub(crate) fn size_within(&self, most: usize, left: Option<Duration>) -> usize {
        let (size, each) = self.with(|state| (state.size, state.each));
        let fitting = left.filter(|_| !each.is_zero()).map(|left| left.as_nanos() / (3 * each.as_nanos()));
        let fitting = fitting.map_or(usize::MAX, |fitting| usize::try_from(fitting).unwrap_or(usize::MAX));
        size.min(most).min(fitting.max(1))
    }

    /// Returns the size if it is below `most`.
    pub(crate) fn learned(&self, most: usize) -> Option<usize> {
        Some(self.with(|state| state.size)).filter(|size| *size < most)
    }

    /// Records that a message of this size did not get through.
    pub(crate) fn failed(&self, events: usize) {
        self.with(|state| {
            *state = State { size: quarter(events), ceiling: (events / 2).max(1), passed: 0, ..*state };
        });
        tracing::debug!(events, "a message did not get through; the next are smaller");
    }

    /// Records that a message of this size got through in this time. One below the present size does not show that a
    /// larger one would.
    pub(crate) fn passed(&self, events: usize, took: Duration) {
        self.with(|state| {
            if let Some(each) = u32::try_from(events).ok().and_then(|events| took.checked_div(events)) {
                state.each = each;
            }
            if events < state.size {
                return;
            }
            if state.size >= state.ceiling {
                state.passed += 1;
                if state.passed < PATIENCE {
                    return;
                }
                state.passed = 0;
                state.ceiling = state.ceiling.saturating_mul(2);
            }
            state.size = state.size.saturating_mul(2).min(state.ceiling);
        });
    }

    fn with<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        // No code that can panic runs while the lock is held.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Returns the size to try after this one did not get through.
pub(crate) fn quarter(events: usize) -> usize {
    (events / 4).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_falls_at_once_and_grows_with_success() {
        let pace = Pace::new(None);
        assert_eq!((pace.size(1_000), pace.learned(1_000)), (1_000, None));
        pace.failed(1_000);
        assert_eq!(pace.size(1_000), 250);
        pace.passed(10, Duration::ZERO);
        assert_eq!(pace.size(1_000), 250, "a short message shows nothing");
        pace.passed(250, Duration::ZERO);
        assert_eq!(pace.size(1_000), 500);
        for _ in 1..PATIENCE {
            pace.passed(500, Duration::ZERO);
        }
        assert_eq!((pace.size(1_000), pace.learned(1_000)), (500, Some(500)));
        pace.passed(500, Duration::ZERO);
        assert_eq!((pace.size(1_000), pace.learned(1_000)), (1_000, None));
    }

    #[test]
    fn a_message_fits_into_the_time_that_is_left() {
        let pace = Pace::new(None);
        assert_eq!(pace.size_within(1_000, Some(Duration::from_secs(1))), 1_000, "nothing is known");
        pace.passed(100, Duration::from_secs(1));
        assert_eq!(pace.size_within(1_000, None), 1_000);
        assert_eq!(pace.size_within(1_000, Some(Duration::from_secs(3))), 100);
        assert_eq!(pace.size_within(1_000, Some(Duration::ZERO)), 1);
    }

    #[test]
    fn a_pace_never_falls_below_one_and_starts_where_it_was_learned() {
        let pace = Pace::new(Some(3));
        assert_eq!(pace.size(1_000), 3);
        for _ in 0..5 {
            pace.failed(pace.size(1_000));
        }
        assert_eq!(pace.size(1_000), 1);
        pace.passed(1, Duration::ZERO);
        assert_eq!(pace.size(1_000), 1, "two did not get through");
    }
}
