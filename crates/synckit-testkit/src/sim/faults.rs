//! Crashing stores, lossy links, skewed clocks.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use synckit::Environment;
use synckit_core::notes::Note;
use synckit_core::plan::{Intent, Outcome};
use synckit_core::{
    Error, ErrorKind, EventStore, HelloRequest, HelloResponse, LogHead, MissingRequest, MissingResponse, NoteQuery,
    Page, PageStream, PullRequest, PullResponse, PushRequest, PushResponse, Query, Result, Traffic, Transport,
};
use synckit_memory::MemoryStore;

use crate::Rng;

/// A store whose process dies at a given call: before it, or right after it has committed.
#[derive(Clone, Debug)]
pub(super) struct CrashStore {
    store: MemoryStore,
    /// How many calls are answered before the crash. Counts down; negative after the crash.
    left: Arc<AtomicI64>,
    after_commit: bool,
    pub(super) crashed: Arc<AtomicBool>,
}

impl CrashStore {
    pub(super) fn new(store: MemoryStore, calls: Option<usize>, after_commit: bool) -> Self {
        let left = calls.map_or(i64::MAX, |calls| calls as i64);
        let left = Arc::new(AtomicI64::new(left));
        CrashStore { store, left, after_commit, crashed: Arc::default() }
    }

    fn call(&self, commits: bool) -> Result<bool> {
        let left = self.left.fetch_sub(1, Ordering::Relaxed);
        if left > 0 {
            return Ok(false);
        }
        let first = !self.crashed.swap(true, Ordering::Relaxed);
        if first && commits && self.after_commit { Ok(true) } else { Err(dead()) }
    }
}

fn dead() -> Error {
    Error::new(ErrorKind::Internal, "the process died")
}

impl EventStore for CrashStore {
    async fn commit(&self, intent: Intent) -> Result<Outcome> {
        let last = self.call(true)?;
        let outcome = self.store.commit(intent).await?;
        if last { Err(dead()) } else { Ok(outcome) }
    }

    async fn read(&self, query: Query) -> Result<Page> {
        self.call(false)?;
        self.store.read(query).await
    }

    async fn notes(&self, query: NoteQuery) -> Result<Vec<Note>> {
        self.call(false)?;
        self.store.notes(query).await
    }

    async fn head(&self) -> Result<LogHead> {
        self.call(false)?;
        self.store.head().await
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// A link that loses requests and answers and delivers some twice.
#[derive(Clone, Debug)]
pub(super) struct Link<T> {
    to: T,
    rng: Arc<Mutex<Rng>>,
    percent: usize,
}

impl<T: Transport> Link<T> {
    pub(super) fn new(to: T, rng: Rng, percent: usize) -> Self {
        Link { to, rng: Arc::new(Mutex::new(rng)), percent }
    }

    /// Carries one call, more or less well.
    async fn carry<R, F>(&self, call: impl Fn() -> F) -> Result<R>
    where
        F: Future<Output = Result<R>> + Send,
    {
        let lost = |what| Err(Error::new(ErrorKind::Unavailable, what));
        let fate = {
            let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
            if rng.chance(self.percent) { rng.below(3) } else { 3 }
        };
        match fate {
            0 => lost("the request was lost"),
            1 => {
                call().await?;
                lost("the answer was lost")
            }
            2 => {
                call().await?;
                call().await
            }
            _ => call().await,
        }
    }
}

impl<T: Transport> Transport for Link<T> {
    async fn hello(&self, request: HelloRequest) -> Result<HelloResponse> {
        self.carry(|| self.to.hello(request.clone())).await
    }

    async fn pull(&self, request: PullRequest) -> Result<PullResponse> {
        self.carry(|| self.to.pull(request.clone())).await
    }

    async fn push(&self, request: PushRequest) -> Result<PushResponse> {
        self.carry(|| self.to.push(request.clone())).await
    }

    async fn missing(&self, request: MissingRequest) -> Result<MissingResponse> {
        self.carry(|| self.to.missing(request.clone())).await
    }

    async fn subscribe(&self, request: PullRequest) -> Result<PageStream> {
        self.to.subscribe(request).await
    }

    fn traffic(&self) -> Traffic {
        self.to.traffic()
    }

    async fn close(&self) -> Result<()> {
        self.to.close().await
    }
}

impl Link<synckit::Endpoint<CrashStore>> {
    /// The store at the other end.
    pub(super) fn peer(&self) -> &CrashStore {
        self.to.store()
    }
}

/// A clock that all replicas read with a skew of their own, and their randomness.
#[derive(Clone, Debug)]
pub(super) struct SimEnvironment {
    pub(super) now: Arc<AtomicU64>,
    pub(super) skew: Arc<AtomicI64>,
    pub(super) rng: Arc<Mutex<Rng>>,
}

impl Environment for SimEnvironment {
    fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed).saturating_add_signed(self.skew.load(Ordering::Relaxed))
    }

    fn fill_random(&self, buffer: &mut [u8]) -> Result<()> {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        buffer.iter_mut().for_each(|byte| *byte = rng.next() as u8);
        Ok(())
    }
}
