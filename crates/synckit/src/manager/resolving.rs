//! Asking a resolver, which is somebody else's code: it may panic, and it may never come back.
//!
//! It runs on a thread of its own, off the runtime. A thread that takes longer than its time is left behind, never
//! waited for; the conflicts after it go to another. **Invariant**: at most [`Resolving::MAX_STUCK`] threads of one
//! manager are left behind at a time; while there are as many, no resolver is asked.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use synckit_core::{Conflict, ConflictResolver, Error, ErrorKind, Result, Ruling};

/// A resolver, the time it has for one conflict, and the threads that did not come back.
#[derive(Clone)]
pub(crate) struct Resolving {
    pub(crate) resolver: Arc<dyn ConflictResolver>,
    pub(crate) limit: Duration,
    stuck: Arc<AtomicUsize>,
}

impl fmt::Debug for Resolving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolving")
            .field("resolver", &self.resolver.name())
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// How far one thread has come, and whether it is still waited for.
#[derive(Default)]
struct Run {
    abandoned: bool,
    ended: bool,
}

impl Resolving {
    /// The most threads that are left behind at a time.
    pub(crate) const MAX_STUCK: usize = 4;

    pub(crate) fn new(resolver: Arc<dyn ConflictResolver>) -> Self {
        Resolving { resolver, limit: Duration::from_secs(5), stuck: Arc::default() }
    }

    /// Asks the resolver about each of these, in order. When the future is dropped, the answers are.
    pub(crate) async fn ask(&self, conflicts: Vec<Conflict>) -> (Arc<[Conflict]>, Vec<Result<Ruling>>) {
        let conflicts: Arc<[Conflict]> = conflicts.into();
        if conflicts.is_empty() {
            return (conflicts, Vec::new());
        }
        let (this, asked) = (self.clone(), conflicts.clone());
        // What blocks here always ends: it waits with a limit, and for a bounded number of threads.
        let rulings = match tokio::task::spawn_blocking(move || this.ask_all(&asked)).await {
            Ok(rulings) => rulings,
            Err(error) => {
                let failed = |_: &Conflict| {
                    let message = format!("the resolver could not be asked: {error}");
                    Err(Error::new(ErrorKind::Internal, message))
                };
                conflicts.iter().map(failed).collect()
            }
        };
        (conflicts, rulings)
    }

    fn ask_all(&self, conflicts: &Arc<[Conflict]>) -> Vec<Result<Ruling>> {
        let mut rulings = Vec::with_capacity(conflicts.len());
        while rulings.len() < conflicts.len() {
            if self.stuck.load(Ordering::Acquire) >= Self::MAX_STUCK {
                let message =
                    "too many calls of the resolver have never ended; it is not asked until one does";
                rulings.push(Err(self.error(ErrorKind::Busy, message)));
                continue;
            }
            self.ask_from(conflicts, &mut rulings);
        }
        rulings
    }

    /// Takes rulings from one thread until all are there, or it does not answer in time.
    fn ask_from(&self, conflicts: &Arc<[Conflict]>, rulings: &mut Vec<Result<Ruling>>) {
        let (answers, arriving) = mpsc::channel();
        let run = Arc::new(Mutex::new(Run::default()));
        let (resolver, asked, first) = (self.resolver.clone(), conflicts.clone(), rulings.len());
        let (its_run, stuck) = (run.clone(), self.stuck.clone());
        let thread = std::thread::Builder::new().name("synckit-resolver".to_owned()).spawn(move || {
            for conflict in &asked[first..] {
                let ruling = catch_unwind(AssertUnwindSafe(|| resolver.resolve(conflict)));
                // Nobody waits any more for a thread that was left behind.
                if answers.send(ruling.map_err(drop)).is_err() {
                    break;
                }
            }
            let mut run = its_run.lock().unwrap_or_else(PoisonError::into_inner);
            run.ended = true;
            if run.abandoned {
                stuck.fetch_sub(1, Ordering::AcqRel);
            }
        });
        if let Err(error) = thread {
            rulings
                .push(Err(self.error(ErrorKind::Internal, "no thread for the resolver").with_source(error)));
            return;
        }
        while rulings.len() < conflicts.len() {
            match arriving.recv_timeout(self.limit) {
                Ok(Ok(ruling)) => rulings.push(ruling),
                Ok(Err(())) => rulings.push(Err(self.error(ErrorKind::Internal, "the resolver panicked"))),
                Err(RecvTimeoutError::Disconnected) => {
                    rulings.push(Err(self.error(ErrorKind::Internal, "the resolver ended its thread")));
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {
                    let mut run = run.lock().unwrap_or_else(PoisonError::into_inner);
                    if !run.ended {
                        run.abandoned = true;
                        self.stuck.fetch_add(1, Ordering::AcqRel);
                    }
                    let error = self.error(ErrorKind::Timeout, "the resolver took too long");
                    rulings.push(Err(error.with("limit", format!("{:?}", self.limit))));
                    return;
                }
            }
        }
    }

    fn error(&self, kind: ErrorKind, message: &str) -> Error {
        Error::new(kind, message).with("resolver", self.resolver.name())
    }
}
