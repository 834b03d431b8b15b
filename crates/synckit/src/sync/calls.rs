//! Calls to the peer: counted, timed out, and retried by the kind of the error.
//!
//! Pages and batches adapt to what the connection can carry. One that does not get through is not sent again and again
//! at the same size but in smaller parts, so that a slow or broken link makes a sync slow, not impossible.

use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use synckit_core::{
    Cursor, Error, ErrorKind, HelloRequest, HelloResponse, MissingRequest, MissingResponse, PullRequest,
    PullResponse, PushRequest, PushResponse, Result, Transport,
};
use synckit_plan::notes::PaceNote;
use tokio::time::Instant;
use tracing::Instrument;

use crate::environment::Environment;
use crate::observe::{Call, Notice};
use crate::sync::builder::Settings;
use crate::sync::pace::{Pace, quarter};

/// How often in a row messages may get smaller before a call fails: enough for the largest page, at each size once.
const MOST_FAILURES: usize = 12;

/// The connection to the peer.
pub(crate) struct Calls<'a, T> {
    transport: &'a T,
    settings: &'a Settings,
    environment: Arc<dyn Environment>,
    made: AtomicU64,
    /// When the sync must be done.
    until: Option<Instant>,
    paces: OnceLock<Paces>,
    /// How often in a row a message got smaller.
    failures: AtomicUsize,
}

/// The sizes of messages, each way.
#[derive(Debug)]
pub(crate) struct Paces {
    pub(crate) pull: Pace,
    pub(crate) push: Pace,
}

impl Paces {
    fn new(note: PaceNote) -> Self {
        Paces { pull: Pace::new(note.pull), push: Pace::new(note.push) }
    }
}

impl<'a, T: Transport> Calls<'a, T> {
    pub(crate) fn new(transport: &'a T, settings: &'a Settings, environment: Arc<dyn Environment>) -> Self {
        Calls {
            transport,
            settings,
            environment,
            made: AtomicU64::new(0),
            until: settings.sync_timeout.and_then(|limit| Instant::now().checked_add(limit)),
            paces: OnceLock::new(),
            failures: AtomicUsize::new(0),
        }
    }

    /// Returns the number of calls made, including retries.
    pub(crate) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// Starts with the sizes learned in an earlier sync, unless this one has learned some.
    pub(crate) fn start_with(&self, learned: PaceNote) {
        self.paces.get_or_init(|| Paces::new(learned));
    }

    /// Returns the sizes of messages.
    pub(crate) fn paces(&self) -> &Paces {
        self.paces.get_or_init(|| Paces::new(PaceNote::default()))
    }

    /// Returns the sizes below `most` that were learned.
    pub(crate) fn learned(&self, most: usize) -> PaceNote {
        let Paces { pull, push } = self.paces();
        PaceNote { pull: pull.learned(most), push: push.learned(most) }
    }

    /// Returns what would be learned if the messages now on their way did not get through.
    pub(crate) fn doubted(&self, most: usize) -> PaceNote {
        let Paces { pull, push } = self.paces();
        PaceNote { pull: Some(quarter(pull.size(most))), push: Some(quarter(push.size(most))) }
    }

    /// Says hello. Events are sent with it only once: if that fails, a hello without them may get through.
    pub(crate) async fn hello(&self, mut request: HelloRequest) -> Result<HelloResponse> {
        let heavy = request.ahead.is_some();
        let ahead = Mutex::new(request.ahead.take());
        let say = || {
            let ahead = ahead.lock().unwrap_or_else(PoisonError::into_inner).take();
            self.transport.hello(HelloRequest { ahead, ..request.clone() })
        };
        match self.retried(Call::Hello, 1, say).await {
            Err(error) if heavy && (spoiled(&error) || obstructed(&error)) => {
                self.retried(Call::Hello, 1, say).await
            }
            answer => answer,
        }
    }

    /// Pulls a page of at most `most` events, or fewer if a page is too large for either side or for the connection.
    pub(crate) async fn pull(&self, mut request: PullRequest, most: usize) -> Result<PullResponse> {
        let pace = &self.paces().pull;
        loop {
            let limit = pace.size_within(most, self.left());
            request.limit = Some(limit);
            let begun = Instant::now();
            match self.retried(Call::Pull, limit, || self.transport.pull(request.clone())).await {
                Err(error) if self.can_shrink(&error, limit) => self.shrink(pace, limit),
                Err(error) => return Err(error),
                Ok(page) => {
                    self.got_through(pace, page.events.len(), begun.elapsed());
                    return moves_on(&request, page);
                }
            }
        }
    }

    /// Pushes a batch. The caller makes it smaller with [`Calls::shrink`] if it does not get through.
    pub(crate) async fn push(&self, request: PushRequest) -> Result<PushResponse> {
        let (events, begun) = (request.events.len(), Instant::now());
        let answer = self.retried(Call::Push, events, || self.transport.push(request.clone())).await?;
        self.got_through(&self.paces().push, events, begun.elapsed());
        Ok(answer)
    }

    pub(crate) async fn missing(&self, request: MissingRequest) -> Result<MissingResponse> {
        self.retried(Call::Missing, 1, || self.transport.missing(request.clone())).await
    }

    /// Returns whether a call that failed with `events` events may get through with fewer.
    pub(crate) fn can_shrink(&self, error: &Error, events: usize) -> bool {
        let size = match error.kind() {
            ErrorKind::TooLarge => true,
            ErrorKind::Timeout => self.settings.retry.attempts > 1 && !self.is_nearly_over(),
            ErrorKind::Unavailable => self.settings.retry.attempts > 1 && error.is_in_transit(),
            _ => false,
        };
        size && events > 1 && self.failures.load(Ordering::Relaxed) < MOST_FAILURES
    }

    /// Makes the next messages smaller than this number of events, which did not get through.
    pub(crate) fn shrink(&self, pace: &Pace, events: usize) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        pace.failed(events);
    }

    fn got_through(&self, pace: &Pace, events: usize, took: Duration) {
        self.failures.store(0, Ordering::Relaxed);
        pace.passed(events, took);
    }

    /// Returns how many events to push next, at most `most`: what gets through, in the time that is left.
    pub(crate) fn to_push(&self, most: usize) -> usize {
        self.paces().push.size_within(most, self.left())
    }

    /// Returns whether so little of the time of the sync is left that a call which takes longer shows nothing.
    fn is_nearly_over(&self) -> bool {
        self.left().zip(self.settings.sync_timeout).is_some_and(|(left, whole)| left < whole / 4)
    }

    /// Returns the time that is left, if the sync has a limit.
    fn left(&self) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(Instant::now()))
    }

    /// Returns how long a call may take. One that can be made smaller takes at most half of the time that is left.
    fn time_limit(&self, events: usize) -> Duration {
        let left = self.left().map(|left| if events > 1 { left / 2 } else { left });
        left.map_or(self.settings.call_timeout, |left| left.min(self.settings.call_timeout))
    }

    /// Makes a call once. The future is in a box, as in an endpoint.
    pub(crate) async fn call<R>(
        &self,
        call: Call,
        events: usize,
        answer: impl Future<Output = Result<R>> + Send,
    ) -> Result<R> {
        let span = tracing::debug_span!("call", %call, events);
        let (limit, begun) = (self.time_limit(events), Instant::now());
        let answer = match tokio::time::timeout(limit, answer.instrument(span).boxed()).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::new(ErrorKind::Timeout, "the peer did not answer in time")
                .with("waited", format!("{limit:?}"))),
        };
        let answer = answer.map_err(|error| error.at("transport", call.as_str()));
        let (took, error) = (begun.elapsed(), answer.as_ref().err());
        self.settings.observers.notify(Notice::Called { call, events, took, error });
        answer
    }

    async fn retried<R, F>(&self, name: Call, events: usize, call: impl Fn() -> F) -> Result<R>
    where
        F: Future<Output = Result<R>> + Send,
    {
        let again = name != Call::Hello || self.settings.hello_again;
        let mut ceilings = self.settings.retry.ceilings().filter(|_| again);
        let mut broken = 0;
        loop {
            self.made.fetch_add(1, Ordering::Relaxed);
            let error = match self.call(name, events, call()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            // A connection breaks for many reasons. If it breaks twice, the size may be one of them.
            broken += usize::from(error.kind() == ErrorKind::Unavailable);
            if broken != 1 && self.can_shrink(&error, events) {
                return Err(error);
            }
            let wait = ceilings
                .next()
                .and_then(|ceiling| self.settings.retry.wait(&error, ceiling, &*self.environment));
            let Some(wait) = wait else { return Err(error) };
            tracing::debug!(call = %name, %error, ?wait, "a call failed and is tried again");
            tokio::time::sleep(wait).await;
        }
    }
}

/// Checks that a page which is followed by others ends beyond the place after which it was requested, so that pulling
/// ends. A peer that has a fresh id counts its places from the beginning.
fn moves_on(request: &PullRequest, page: PullResponse) -> Result<PullResponse> {
    let (before, next) = (request.cursor.as_ref(), &page.next);
    let same_log = before.is_none_or(|before| before.store() == next.store());
    if page.more && same_log && before.map_or(0, Cursor::position) >= next.position() {
        let message =
            "the peer says there is more, but its cursor does not move on; its log or its software is broken";
        return Err(Error::corrupt(message).with("position", next.position()));
    }
    Ok(page)
}

/// Returns whether an error is the peer's judgement on the content of the batch, so that a part of it may pass.
pub(crate) fn spoiled(error: &Error) -> bool {
    !error.is_in_transit() && matches!(error.kind(), ErrorKind::TooLarge | ErrorKind::Invalid)
}

/// Returns whether something between the two sides refuses the call, and will go on to.
pub(crate) fn obstructed(error: &Error) -> bool {
    error.is_in_transit() && !error.is_retryable()
}
