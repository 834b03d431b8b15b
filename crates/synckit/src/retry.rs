//! When to retry a failed call, and how long to wait.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use serde::{Deserialize, Serialize};
use synckit_core::Error;

use crate::environment::Environment;

/// How to retry calls that failed with a retryable error.
///
/// The wait before the n-th retry is random between zero and `base × 2ⁿ⁻¹`, at most `longest`. This is full jitter, so
/// that many replicas that lost one hub do not come back all at once. (Brooker, *Exponential Backoff And Jitter*,
/// 2015.) If the peer says when to come back, that wait is used instead, provided it is within `longest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// The maximum number of attempts, including the first. Default: 4.
    pub attempts: usize,
    /// The upper bound of the first wait. Default: 250 ms.
    pub base: Duration,
    /// The longest wait. Default: 10 s.
    pub longest: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy { attempts: 4, base: Duration::from_millis(250), longest: Duration::from_secs(10) }
    }
}

impl RetryPolicy {
    /// Creates a policy without retries.
    pub fn never() -> Self {
        RetryPolicy { attempts: 1, ..RetryPolicy::default() }
    }

    /// Returns the waits before the retries, without jitter.
    pub(crate) fn ceilings(&self) -> impl Iterator<Item = Duration> + Send + use<> {
        ExponentialBuilder::new()
            .with_factor(2.0)
            .with_min_delay(self.base)
            .with_max_delay(self.longest)
            .with_max_times(self.attempts.saturating_sub(1))
            .build()
    }

    /// Returns how long to wait after this error, below this ceiling; `None` if the call should not be retried.
    pub(crate) fn wait(
        &self,
        error: &Error,
        ceiling: Duration,
        environment: &dyn Environment,
    ) -> Option<Duration> {
        if !error.is_retryable() {
            return None;
        }
        if let Some(wanted) = error.retry_after() {
            return (wanted <= self.longest).then_some(wanted);
        }
        let mut random = [0; 4];
        environment.fill_random(&mut random).ok()?;
        Some(ceiling.mul_f64(f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::SystemEnvironment;
    use synckit_core::ErrorKind;

    #[test]
    fn waits_grow_up_to_the_longest_and_end() {
        let policy =
            RetryPolicy { attempts: 5, base: Duration::from_secs(1), longest: Duration::from_secs(5) };
        let seconds: Vec<u64> = policy.ceilings().map(|wait| wait.as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 5]);
        assert_eq!(RetryPolicy::never().ceilings().count(), 0);
    }

    #[test]
    fn only_retryable_errors_are_waited_for_and_the_peer_is_heard() {
        let policy = RetryPolicy::default();
        let ceiling = Duration::from_secs(1);
        let wait = |error: Error| policy.wait(&error, ceiling, &SystemEnvironment);
        assert_eq!(wait(Error::invalid("no")), None);
        let busy = || Error::new(ErrorKind::Busy, "later");
        assert!(wait(busy()).expect("retryable") <= ceiling);
        let named = Duration::from_secs(3);
        assert_eq!(wait(busy().with_retry_after(named)), Some(named));
        assert_eq!(wait(busy().with_retry_after(Duration::from_secs(3600))), None);
    }
}
