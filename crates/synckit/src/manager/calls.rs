//! Calls to the peer: counted, timed out, and tried again by the kind of the error.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};

use synckit_core::{
    Error, ErrorKind, HelloRequest, HelloResponse, MissingRequest, MissingResponse, PullRequest,
    PullResponse, PushRequest, PushResponse, Result, Transport,
};

use crate::manager::builder::Settings;

/// The way to the peer.
pub(crate) struct Calls<'a, T> {
    transport: &'a T,
    settings: &'a Settings,
    made: AtomicU64,
}

impl<'a, T: Transport> Calls<'a, T> {
    pub(crate) fn new(transport: &'a T, settings: &'a Settings) -> Self {
        Calls { transport, settings, made: AtomicU64::new(0) }
    }

    /// How many calls were made, the repeated ones included.
    pub(crate) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    pub(crate) async fn hello(&self, request: HelloRequest) -> Result<HelloResponse> {
        self.retried("hello", || self.transport.hello(request.clone())).await
    }

    pub(crate) async fn pull(&self, request: PullRequest) -> Result<PullResponse> {
        self.retried("pull", || self.transport.pull(request.clone())).await
    }

    pub(crate) async fn push(&self, request: PushRequest) -> Result<PushResponse> {
        self.retried("push", || self.transport.push(request.clone())).await
    }

    pub(crate) async fn missing(&self, request: MissingRequest) -> Result<MissingResponse> {
        self.retried("missing", || self.transport.missing(request.clone())).await
    }

    async fn retried<R, F>(&self, name: &'static str, call: impl Fn() -> F) -> Result<R>
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
            let environment = &*self.settings.environment;
            let wait =
                ceilings.next().and_then(|ceiling| self.settings.retry.wait(&error, ceiling, environment));
            let Some(wait) = wait else { return Err(error) };
            tracing::debug!(call = name, %error, ?wait, "a call failed and is tried again");
            tokio::time::sleep(wait).await;
        }
    }
}
