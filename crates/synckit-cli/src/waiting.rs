//! Saying what is waited for, if it takes long.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::output;

/// How long nothing is said.
const LONG: Duration = Duration::from_secs(2);

/// When something is said next: after two seconds, and then each time after twice as long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    since: Instant,
    next: Duration,
}

impl Patience {
    pub(crate) fn new() -> Self {
        Patience { since: Instant::now(), next: LONG }
    }

    /// Returns whether both began at the same moment.
    pub(crate) fn is_of(&self, other: &Patience) -> bool {
        self.since == other.since
    }

    /// Waits until something is to be said, and returns for how long it has been waited.
    pub(crate) async fn lost(&mut self) -> Duration {
        sleep_until(self.since + self.next).await;
        let waited = self.next;
        self.next *= 2;
        waited
    }
}

/// Lets something be said at once, and then at most once a second.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Often(Option<Instant>);

impl Often {
    /// Returns whether it is time to say something, which is then taken as said.
    pub(crate) fn is_due(&mut self) -> bool {
        let due = self.0.is_none_or(|before| before.elapsed() >= Duration::from_secs(1));
        if due {
            self.0 = Some(Instant::now());
        }
        due
    }
}

/// Does work, and says what is waited for if it takes long.
pub(crate) async fn saying<T>(what: impl Display, work: impl Future<Output = T>) -> T {
    let mut patience = Patience::new();
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            waited = patience.lost() => say(&what, waited),
        }
    }
}

/// Says what is waited for.
pub(crate) fn say(what: impl Display, waited: Duration) {
    output::message(format_args!("waiting for {what} ({} s)", waited.as_secs()));
}
