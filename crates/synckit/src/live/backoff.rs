//! How long a live replica waits before it calls its peer again.

use std::time::Duration;

use synckit_core::{Error, Result};

use crate::environment::Environment;

/// The wait after the first failure is at most this.
const FIRST: Duration = Duration::from_millis(250);

/// The longest wait, unless the peer names a longer one.
const LONGEST: Duration = Duration::from_secs(30);

/// The wait after a failure that does not pass by itself, such as a denied access.
const STANDING: Duration = Duration::from_secs(60);

/// The longest wait that a peer may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(3_600);

/// Exponential backoff: each wait is between one half and the whole of a ceiling that doubles. (Brooker, *Exponential
/// Backoff And Jitter*, 2015, "equal jitter".)
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Begins with short waits again.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Returns how long to wait after this error.
    pub(super) fn next(&mut self, error: &Error, environment: &dyn Environment) -> Result<Duration> {
        let mut random = [0; 4];
        environment.fill_random(&mut random)?;
        let random = f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX);
        let ceiling = match error.is_retryable() {
            true => FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST),
            false => STANDING,
        };
        self.failures = self.failures.saturating_add(1);
        let wait = ceiling.mul_f64(0.5 + random / 2.0);
        // Many are asked to come back after the same time.
        let asked = error.retry_after().map(|asked| asked.min(LONGEST_ASKED).mul_f64(1.0 + random / 4.0));
        Ok(asked.map_or(wait, |asked| wait.max(asked)))
    }
}

#[cfg(test)]
mod tests {
    use synckit_core::ErrorKind;

    use super::*;
    use crate::environment::SystemEnvironment;

    #[test]
    fn waits_grow_and_the_peer_is_heard() {
        let mut backoff = Backoff::default();
        let mut next = |error: &Error| backoff.next(error, &SystemEnvironment).expect("randomness");
        let gone = Error::new(ErrorKind::Unavailable, "gone");
        let waits: Vec<Duration> = (0..10).map(|_| next(&gone)).collect();
        assert!(waits[0] >= FIRST / 2 && waits[0] <= FIRST, "{waits:?}");
        assert!(waits[9] >= LONGEST / 2 && waits[9] <= LONGEST, "{waits:?}");
        let busy = Error::new(ErrorKind::Busy, "later").with_retry_after(Duration::from_secs(100));
        let wait = next(&busy);
        assert!(wait >= Duration::from_secs(100) && wait <= Duration::from_secs(125), "{wait:?}");
        let denied = next(&Error::new(ErrorKind::Denied, "no"));
        assert!(denied >= STANDING / 2, "{denied:?}");
        backoff.reset();
        assert!(backoff.next(&gone, &SystemEnvironment).expect("randomness") <= FIRST);
    }
}
