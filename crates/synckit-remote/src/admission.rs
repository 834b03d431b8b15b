//! How much may arrive and how many requests may run at once, and for how long.

use std::future::Future;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use synckit_core::{Error, ErrorKind, Limits, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::ServerConfig;

/// How many of those whose stream ends are asked to come back within a second.
const A_SECOND: u32 = 500;

/// The earliest time to come back after a stream has ended.
const FIRST_BACK: Duration = Duration::from_millis(200);

/// The room for calls, the deadlines and the limits of one server. Clones share the room.
///
/// ```
/// use synckit_remote::{Admission, ServerConfig};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> synckit_core::Result<()> {
/// let admission = Admission::new(ServerConfig { requests: 1, ..ServerConfig::default() });
/// let turn = admission.begin(None).await?;
/// assert_eq!(turn.within(async { Ok(7) }).await?, 7);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Admission {
    config: Arc<ServerConfig>,
    arriving: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    lasting: Arc<Semaphore>,
    closing: watch::Receiver<bool>,
}

/// A request that arrives, and the memory it takes. It has no room among the requests that run, so a caller that sends
/// slowly keeps nobody from being served.
#[derive(Debug)]
pub struct Arrival {
    admission: Admission,
    memory: Option<OwnedSemaphorePermit>,
    until: Instant,
}

/// Room for one request, released on drop, and the deadline of the request.
#[derive(Debug)]
pub struct Turn {
    _room: OwnedSemaphorePermit,
    _memory: Option<OwnedSemaphorePermit>,
    until: Instant,
}

impl Admission {
    /// Creates an admission with the limits of this configuration.
    pub fn new(config: ServerConfig) -> Self {
        let permits = |most: usize| Arc::new(Semaphore::new(most.clamp(1, Semaphore::MAX_PERMITS)));
        Admission {
            arriving: permits(config.arriving_bytes.max(config.limits.body_bytes)),
            requests: permits(config.requests),
            lasting: permits(config.subscriptions),
            config: Arc::new(config),
            closing: watch::channel(false).1,
        }
    }

    /// Ends lasting streams when this flag is raised.
    pub fn with_closing(mut self, closing: watch::Receiver<bool>) -> Self {
        self.closing = closing;
        self
    }

    /// Returns its configuration.
    pub fn config(&self) -> &ServerConfig {
        &self.config
    }

    /// Returns the flag that is raised when the server shuts down.
    pub fn closing(&self) -> watch::Receiver<bool> {
        self.closing.clone()
    }

    /// Begins to receive a request. It must have arrived within the time limit of requests, and by the caller's deadline
    /// if there is one.
    pub fn arrive(&self, deadline: Option<Instant>) -> Arrival {
        Arrival { admission: self.clone(), memory: None, until: self.until(deadline) }
    }

    /// Waits for room for one more request. The request must be done within the time limit of requests, and by the
    /// caller's deadline if there is one.
    ///
    /// # Errors
    /// `Busy` when there is no room within [`ServerConfig::queue_ms`].
    pub async fn begin(&self, deadline: Option<Instant>) -> Result<Turn> {
        let full = || {
            Error::new(ErrorKind::Busy, "the server is working on as many requests as it allows; try again")
        };
        let waiting = timeout(self.config.queue(), self.requests.clone().acquire_owned());
        let room = waiting.await.map_err(|_| full())?.map_err(|_| full())?;
        Ok(Turn { _room: room, _memory: None, until: self.until(deadline) })
    }

    fn until(&self, deadline: Option<Instant>) -> Instant {
        let own = Instant::now() + self.config.timeouts.request();
        deadline.map_or(own, |deadline| deadline.min(own))
    }

    /// Takes room for one more lasting stream, such as a subscription.
    ///
    /// # Errors
    /// `Busy` when there is none.
    pub fn lasting(&self) -> Result<OwnedSemaphorePermit> {
        let full = || Error::new(ErrorKind::Busy, "the server has as many subscribers as it allows");
        self.lasting.clone().try_acquire_owned().map_err(|_| full())
    }

    /// Returns the error that ends a lasting stream when the server shuts down. It names a random time to come back, the
    /// later the more streams there are, so that not all callers come back in the same second.
    pub fn goodbye(&self) -> Error {
        let open = self.config.subscriptions.saturating_sub(self.lasting.available_permits());
        // A hasher of the standard library starts from random keys.
        let random = std::hash::RandomState::new().build_hasher().finish();
        let spread = Duration::from_secs(1) * u32::try_from(open).unwrap_or(u32::MAX) / A_SECOND;
        let delay = FIRST_BACK + spread.mul_f64(random as f64 / u64::MAX as f64);
        Error::new(ErrorKind::Unavailable, "the server is shutting down; continue at the last cursor")
            .with_retry_after(delay)
    }

    /// Returns the limits of this side: of each, the stricter of what the transport accepts and what the wire lets
    /// through.
    pub fn offered(&self, limits: Limits) -> Limits {
        Limits { drift_seconds: limits.drift_seconds, ..limits.min(self.config.limits.limits) }
    }
}

impl Arrival {
    /// Takes memory for further bytes of the request, before they are kept.
    ///
    /// # Errors
    /// `Busy` when there is none within [`ServerConfig::queue_ms`]: too much arrives at once.
    pub async fn make_room(&mut self, bytes: usize) -> Result<()> {
        let full = || Error::new(ErrorKind::Busy, "the server is receiving as much as it allows; try again");
        let bytes = u32::try_from(bytes).map_err(|_| full())?;
        let waiting = self.admission.arriving.clone().acquire_many_owned(bytes);
        let waiting = timeout(self.admission.config.queue(), waiting);
        let more = waiting.await.map_err(|_| full())?.map_err(|_| full())?;
        match &mut self.memory {
            Some(memory) => memory.merge(more),
            None => self.memory = Some(more),
        }
        Ok(())
    }

    /// Returns the time by which the request must have arrived.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// Waits for room to carry the request out, now that it has arrived. Its memory is kept until it is done.
    ///
    /// # Errors
    /// As [`Admission::begin`].
    pub async fn begin(self, deadline: Option<Instant>) -> Result<Turn> {
        let turn = self.admission.begin(deadline).await?;
        Ok(Turn { _memory: self.memory, ..turn })
    }
}

impl Turn {
    /// Returns the time by which the request must be done.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// Runs a part of the request, until its deadline.
    ///
    /// # Errors
    /// `Timeout` after the deadline, and those of the work.
    pub async fn within<A>(&self, work: impl Future<Output = Result<A>>) -> Result<A> {
        let late = || Error::new(ErrorKind::Timeout, "the call took too long; it may have been carried out");
        timeout_at(self.until, work).await.unwrap_or_else(|_| Err(late()))
    }
}

#[cfg(test)]
mod tests {
    use synckit_wire::WireLimits;

    use super::*;

    fn small() -> Admission {
        Admission::new(ServerConfig { requests: 1, subscriptions: 1, ..ServerConfig::default() })
    }

    #[tokio::test(start_paused = true)]
    async fn room_is_waited_for_and_given_back() {
        let admission = small();
        let first = admission.begin(None).await.expect("there is room");
        let clone = admission.clone();
        assert_eq!(clone.begin(None).await.expect_err("full").kind(), ErrorKind::Busy);
        drop(first);
        clone.begin(None).await.expect("there is room again");
        let room = admission.lasting().expect("there is room");
        assert_eq!(clone.lasting().expect_err("full").kind(), ErrorKind::Busy);
        drop(room);
        drop(clone.lasting().expect("there is room again"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_arrives_takes_memory_and_no_place_among_the_requests() {
        let admission = Admission::new(ServerConfig {
            limits: WireLimits { body_bytes: 1, ..WireLimits::default() },
            requests: 1,
            arriving_bytes: 10,
            ..ServerConfig::default()
        });
        let mut slow = admission.arrive(None);
        slow.make_room(6).await.expect("there is memory");
        let mut quick = admission.arrive(None);
        quick.make_room(4).await.expect("there is memory");
        assert_eq!(quick.make_room(1).await.expect_err("none is left").kind(), ErrorKind::Busy);
        let turn = quick.begin(None).await.expect("the slow one has no place");
        let mut next = admission.arrive(None);
        assert_eq!(next.make_room(4).await.expect_err("it is in use").kind(), ErrorKind::Busy);
        drop(turn);
        next.make_room(4).await.expect("it is free again");
    }

    #[tokio::test(start_paused = true)]
    async fn the_shorter_deadline_counts() {
        let admission = small();
        let now = Instant::now();
        let soon = now + Duration::from_millis(50);
        let own = admission.config().timeouts.request();
        for (deadline, until) in [(None, now + own), (Some(soon), soon), (Some(now + 2 * own), now + own)] {
            let turn = admission.begin(deadline).await.expect("there is room");
            assert_eq!(turn.until(), until);
        }
        let turn = admission.begin(Some(soon)).await.expect("there is room");
        let late = turn.within(std::future::pending::<Result<()>>()).await.expect_err("late");
        assert_eq!(late.kind(), ErrorKind::Timeout);
    }

    #[test]
    fn many_who_lose_their_stream_come_back_one_after_another() {
        let admission = Admission::new(ServerConfig { subscriptions: 10_000, ..ServerConfig::default() });
        let back = || admission.goodbye().retry_after().expect("a time");
        assert_eq!(back(), FIRST_BACK);
        let _open: Vec<_> = (0..10_000).map(|_| admission.lasting().expect("there is room")).collect();
        let mut seconds = [0; 21];
        for _ in 0..10_000 {
            seconds[usize::try_from(back().as_secs()).expect("small")] += 1;
        }
        assert!(seconds.iter().all(|count| *count < 700), "{seconds:?}");
    }
}
