//! A wire to a hub that can be cut, kept silent, and led to another hub.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use synckit::transport::{
    HelloRequest, HelloResponse, MissingRequest, MissingResponse, PageStream, PullRequest, PullResponse,
    PushRequest, PushResponse, Traffic,
};
use synckit::{Endpoint, Error, ErrorKind, Result, Transport};
use synckit_memory::MemoryStore;
use tokio::sync::watch;

/// How the wire is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Is {
    Good,
    /// Every call fails, and streams break.
    Cut,
    /// Calls that are made, and streams that are open, never hear anything again.
    HalfOpen,
}

#[derive(Clone)]
pub(crate) struct Wire(Arc<State>);

struct State {
    hub: Mutex<Endpoint<MemoryStore>>,
    is: watch::Sender<Is>,
    /// Subscriptions bring nothing.
    buffers: AtomicBool,
    /// How many answers are still to be lost.
    losses: AtomicUsize,
    hellos: AtomicU64,
    pushes: AtomicU64,
}

impl Wire {
    pub(crate) fn to(hub: &MemoryStore) -> Wire {
        Wire(Arc::new(State {
            hub: Mutex::new(Endpoint::new(hub.clone())),
            is: watch::Sender::new(Is::Good),
            buffers: AtomicBool::new(false),
            losses: AtomicUsize::new(0),
            hellos: AtomicU64::new(0),
            pushes: AtomicU64::new(0),
        }))
    }

    pub(crate) fn set(&self, is: Is) {
        self.0.is.send_replace(is);
    }

    /// Loses the next answers: what they answer was done.
    pub(crate) fn lose_answers(&self, count: usize) {
        self.0.losses.store(count, Ordering::Relaxed);
    }

    /// Keeps back what subscriptions bring, as some proxies do.
    pub(crate) fn buffer(&self) {
        self.0.buffers.store(true, Ordering::Relaxed);
    }

    /// Leads to another hub from now on.
    pub(crate) async fn lead_to(&self, hub: &MemoryStore) {
        self.set(Is::Cut);
        tokio::time::sleep(Duration::from_millis(1)).await;
        *self.0.hub.lock().expect("no panic while it is locked") = Endpoint::new(hub.clone());
        self.set(Is::Good);
    }

    pub(crate) fn hellos(&self) -> u64 {
        self.0.hellos.load(Ordering::Relaxed)
    }

    /// Returns the number of calls that may bring events to the hub.
    pub(crate) fn pushes(&self) -> u64 {
        self.hellos() + self.0.pushes.load(Ordering::Relaxed)
    }

    /// Makes a call, unless the wire is or gets broken.
    async fn call<R>(&self, call: impl AsyncFnOnce(Endpoint<MemoryStore>) -> Result<R>) -> Result<R> {
        let mut is = self.0.is.subscribe();
        let hub = self.0.hub.lock().expect("no panic while it is locked").clone();
        tokio::select! {
            biased;
            broken = broken(&mut is) => Err(broken.await),
            answer = call(hub) => match self.0.losses.load(Ordering::Relaxed) {
                0 => answer,
                left => {
                    self.0.losses.store(left - 1, Ordering::Relaxed);
                    Err(Error::new(ErrorKind::Unavailable, "the answer was lost"))
                }
            },
        }
    }
}

/// Waits until the wire is not good. Returns the error of a wire that is cut, which never comes from one that was half
/// open.
async fn broken(is: &mut watch::Receiver<Is>) -> impl Future<Output = Error> + Send + use<> {
    let now = *is.wait_for(|is| *is != Is::Good).await.expect("the wire is there");
    async move {
        match now {
            Is::Cut => Error::new(ErrorKind::Unavailable, "the wire is cut"),
            _ => std::future::pending().await,
        }
    }
}

impl Transport for Wire {
    async fn hello(&self, request: HelloRequest) -> Result<HelloResponse> {
        self.0.hellos.fetch_add(1, Ordering::Relaxed);
        self.call(async |hub| hub.hello(request).await).await
    }

    async fn pull(&self, request: PullRequest) -> Result<PullResponse> {
        self.call(async |hub| hub.pull(request).await).await
    }

    async fn push(&self, request: PushRequest) -> Result<PushResponse> {
        self.0.pushes.fetch_add(1, Ordering::Relaxed);
        self.call(async |hub| hub.push(request).await).await
    }

    async fn missing(&self, request: MissingRequest) -> Result<MissingResponse> {
        self.call(async |hub| hub.missing(request).await).await
    }

    async fn subscribe(&self, request: PullRequest) -> Result<PageStream> {
        let pages = self.call(async |hub| hub.subscribe(request).await).await?;
        if self.0.buffers.load(Ordering::Relaxed) {
            return Ok(Box::pin(stream::pending()));
        }
        let is = self.0.is.subscribe();
        Ok(Box::pin(stream::unfold(Some((pages, is)), async |state| {
            let (mut pages, mut is) = state?;
            tokio::select! {
                biased;
                broken = broken(&mut is) => Some((Err(broken.await), None)),
                page = pages.next() => Some((page?, Some((pages, is)))),
            }
        })))
    }

    fn traffic(&self) -> Traffic {
        Traffic::default()
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}
