//! Calls to the peer: counted, timed out, and retried by the kind of the error.
//!
//! Pages and batches adapt to what the connection can carry. One that does not get through in time is not sent again at
//! the same size but in smaller parts, so that a slow link makes a sync slow, not impossible.

use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use synckit_core::{
    Error, ErrorKind, HelloRequest, HelloResponse, MissingRequest, MissingResponse, PullRequest,
    PullResponse, PushRequest, PushResponse, Result, Transport,
};

use crate::environment::Environment;
use crate::sync::builder::Settings;

/// The connection to the peer.
pub(crate) struct Calls<'a, T> {
    transport: &'a T,
    settings: &'a Settings,
    environment: Arc<dyn Environment>,
    made: AtomicU64,
    /// The current maximum number of events in one page or batch.
    pace: AtomicUsize,
    /// The upper bound of the pace: half of the smallest size that did not get through.
    ceiling: AtomicUsize,
}

impl<'a, T: Transport> Calls<'a, T> {
    pub(crate) fn new(transport: &'a T, settings: &'a Settings, environment: Arc<dyn Environment>) -> Self {
        let unlimited = || AtomicUsize::new(usize::MAX);
        Calls {
            transport,
            settings,
            environment,
            made: AtomicU64::new(0),
            pace: unlimited(),
            ceiling: unlimited(),
        }
    }

    /// Returns the number of calls made, including retries.
    pub(crate) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// Returns how many events to put into one page or batch, at most `most`.
    pub(crate) fn pace(&self, most: usize) -> usize {
        self.pace.load(Ordering::Relaxed).min(most)
    }

    /// Makes the next pages and batches smaller than this number of events, which did not get through.
    pub(crate) fn slow_down(&self, events: usize) {
        let fewer = (events / 4).max(1);
        self.ceiling.store((events / 2).max(1), Ordering::Relaxed);
        self.pace.store(fewer, Ordering::Relaxed);
        tracing::debug!(events, fewer, "a page did not get through; the next are smaller");
    }

    fn speed_up(&self) {
        let more = self.pace.load(Ordering::Relaxed).saturating_mul(2);
        self.pace.store(more.min(self.ceiling.load(Ordering::Relaxed)), Ordering::Relaxed);
    }

    /// Says hello. Events are sent with it only once: if that fails, a hello without them may get through.
    pub(crate) async fn hello(&self, mut request: HelloRequest) -> Result<HelloResponse> {
        let heavy = request.ahead.is_some();
        let ahead = Mutex::new(request.ahead.take());
        let say = || {
            let ahead = ahead.lock().unwrap_or_else(PoisonError::into_inner).take();
            self.transport.hello(HelloRequest { ahead, ..request.clone() })
        };
        match self.retried("hello", 1, say).await {
            Err(error) if heavy && spoiled(&error) => self.retried("hello", 1, say).await,
            answer => answer,
        }
    }

    /// Pulls a page of at most `most` events, or fewer if a page is too large for either side or for the connection.
    pub(crate) async fn pull(&self, mut request: PullRequest, most: usize) -> Result<PullResponse> {
        loop {
            let limit = self.pace(most);
            request.limit = Some(limit);
            match self.retried("pull", limit, || self.transport.pull(request.clone())).await {
                Err(error) if self.can_shrink(&error, limit) => self.slow_down(limit),
                Err(error) => return Err(error),
                Ok(page) => {
                    self.speed_up();
                    return Ok(page);
                }
            }
        }
    }

    pub(crate) async fn push(&self, request: PushRequest) -> Result<PushResponse> {
        let answer =
            self.retried("push", request.events.len(), || self.transport.push(request.clone())).await?;
        self.speed_up();
        Ok(answer)
    }

    pub(crate) async fn missing(&self, request: MissingRequest) -> Result<MissingResponse> {
        self.retried("missing", 1, || self.transport.missing(request.clone())).await
    }

    /// Returns whether a call that failed with `events` events may get through with fewer.
    pub(crate) fn can_shrink(&self, error: &Error, events: usize) -> bool {
        let late = error.kind() == ErrorKind::Timeout && self.settings.retry.attempts > 1;
        events > 1 && (late || error.kind() == ErrorKind::TooLarge)
    }

    async fn retried<R, F>(&self, name: &'static str, events: usize, call: impl Fn() -> F) -> Result<R>
    where
        F: Future<Output = Result<R>>,
    {
        let mut ceilings = self.settings.retry.ceilings();
        loop {
            self.made.fetch_add(1, Ordering::Relaxed);
            let error = match tokio::time::timeout(self.settings.call_timeout, call()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => error.at("transport", name),
                Err(_) => Error::new(ErrorKind::Timeout, "the peer did not answer in time")
                    .with("waited", format!("{:?}", self.settings.call_timeout))
                    .at("transport", name),
            };
            if self.can_shrink(&error, events) {
                return Err(error);
            }
            let wait = ceilings
                .next()
                .and_then(|ceiling| self.settings.retry.wait(&error, ceiling, &*self.environment));
            let Some(wait) = wait else { return Err(error) };
            tracing::debug!(call = name, %error, ?wait, "a call failed and is tried again");
            tokio::time::sleep(wait).await;
        }
    }
}

/// Returns whether an error is about the content of the batch, so that a part of it may pass.
pub(crate) fn spoiled(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::TooLarge | ErrorKind::Invalid)
}
