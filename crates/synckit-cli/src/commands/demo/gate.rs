//! A transport that commits a push and holds back the answer.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use synckit::{
    Error, ErrorKind, Result, Transport,
    transport::{
        HelloRequest, HelloResponse, MissingRequest, MissingResponse, PageStream, PullRequest, PullResponse,
        PushRequest, PushResponse, Traffic,
    },
};
use tokio::sync::{oneshot, watch};

/// Stands in front of a hub. Clones share the gate.
#[derive(Clone)]
pub(super) struct Gate<T> {
    inner: T,
    armed: Arc<Mutex<Option<Armed>>>,
    open: Arc<watch::Sender<bool>>,
}

/// The push that is held back.
struct Armed {
    node: String,
    pushes: usize,
    reached: oneshot::Sender<()>,
}

impl<T: Transport> Gate<T> {
    pub(super) fn new(inner: T) -> Self {
        Gate { inner, armed: Arc::default(), open: Arc::new(watch::Sender::new(true)) }
    }

    /// Holds back the answer to the n-th push of events by this node from now on. The receiver resolves when that
    /// push is committed.
    pub(super) fn arm(&self, node: &str, pushes: usize) -> oneshot::Receiver<()> {
        let (reached, when_reached) = oneshot::channel();
        self.open.send_replace(false);
        *self.armed() = Some(Armed { node: node.to_owned(), pushes, reached });
        when_reached
    }

    /// Stops holding anything back.
    pub(super) fn open(&self) {
        *self.armed() = None;
        self.open.send_replace(true);
    }

    fn armed(&self) -> std::sync::MutexGuard<'_, Option<Armed>> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a push that was committed, and returns whether it is the one to be held back.
    fn is_held_back(&self, node: &str) -> bool {
        let mut armed = self.armed();
        let Some(mut counting) = armed.take_if(|armed| armed.node == node) else { return false };
        counting.pushes = counting.pushes.saturating_sub(1);
        if counting.pushes > 0 {
            *armed = Some(counting);
            return false;
        }
        // Whoever armed the gate may have given up; then the gate is open.
        let _ = counting.reached.send(());
        true
    }
}

impl<T: Transport> Transport for Gate<T> {
    async fn hello(&self, request: HelloRequest) -> Result<HelloResponse> {
        self.inner.hello(request).await
    }

    async fn pull(&self, request: PullRequest) -> Result<PullResponse> {
        self.inner.pull(request).await
    }

    async fn push(&self, request: PushRequest) -> Result<PushResponse> {
        let (node, empty) = (request.caller.node.clone(), request.events.is_empty());
        let answer = self.inner.push(request).await?;
        if empty || !self.is_held_back(node.as_str()) {
            return Ok(answer);
        }
        // The sender lives as long as the gate.
        let _ = self.open.subscribe().wait_for(|open| *open).await;
        Err(Error::new(ErrorKind::Unavailable, "the answer was held back"))
    }

    async fn missing(&self, request: MissingRequest) -> Result<MissingResponse> {
        self.inner.missing(request).await
    }

    async fn subscribe(&self, request: PullRequest) -> Result<PageStream> {
        self.inner.subscribe(request).await
    }

    fn traffic(&self) -> Traffic {
        self.inner.traffic()
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}

impl<T> fmt::Debug for Gate<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("open", &*self.open.borrow()).finish_non_exhaustive()
    }
}
