//! Calling a resolver, which is foreign code: it may panic, and it may never return.
//!
//! It runs on a separate thread, off the runtime. A thread that exceeds its time is abandoned and never waited for; the
//! remaining conflicts go to another thread. **Invariant**: at most [`Resolving::MAX_STUCK`] threads of one manager are
//! abandoned at a time; while that many are, no resolver is called.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use synckit_core::{Error, ErrorKind, Result};
use synckit_plan::{Conflict, ConflictResolver, Ruling};

/// A resolver, its time limit per conflict, and the threads that have not returned.
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

/// The progress of one thread, and whether anybody still waits for it.
struct Run {
    rulings: Vec<Result<Result<Ruling>, Panicked>>,
    /// When it started its current conflict.
    since: Instant,
    abandoned: bool,
    ended: bool,
}

struct Panicked;

/// Marks the end of a thread, however it ends.
struct End {
    run: Arc<(Mutex<Run>, Condvar)>,
    stuck: Arc<AtomicUsize>,
}

impl Drop for End {
    fn drop(&mut self) {
        let mut run = locked(&self.run.0);
        run.ended = true;
        if run.abandoned {
            self.stuck.fetch_sub(1, Ordering::AcqRel);
        }
        self.run.1.notify_all();
    }
}

fn locked(run: &Mutex<Run>) -> MutexGuard<'_, Run> {
    run.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Resolving {
    /// The maximum number of abandoned threads at a time.
    pub(crate) const MAX_STUCK: usize = 4;

    pub(crate) fn new(resolver: Arc<dyn ConflictResolver>) -> Self {
        Resolving { resolver, limit: Duration::from_secs(5), stuck: Arc::default() }
    }

    /// Calls the resolver for each of these, in order. Blocks, but no longer than its limits allow.
    pub(crate) fn ask(&self, conflicts: &Arc<Vec<Conflict>>) -> Vec<Result<Ruling>> {
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

    /// Takes rulings from one thread until it has decided all conflicts or exceeds its time.
    fn ask_from(&self, conflicts: &Arc<Vec<Conflict>>, rulings: &mut Vec<Result<Ruling>>) {
        let run = Run { rulings: Vec::new(), since: Instant::now(), abandoned: false, ended: false };
        let run = Arc::new((Mutex::new(run), Condvar::new()));
        let (resolver, asked, first) = (self.resolver.clone(), conflicts.clone(), rulings.len());
        let end = End { run: run.clone(), stuck: self.stuck.clone() };
        let thread = std::thread::Builder::new().name("synckit-resolver".to_owned()).spawn(move || {
            let end = end;
            for conflict in &asked[first..] {
                let ruling = catch_unwind(AssertUnwindSafe(|| resolver.resolve(conflict)));
                let mut run = locked(&end.run.0);
                run.rulings.push(ruling.map_err(|_| Panicked));
                run.since = Instant::now();
                // Nobody waits for an abandoned thread any more.
                if run.abandoned {
                    break;
                }
            }
        });
        if let Err(error) = thread {
            rulings
                .push(Err(self.error(ErrorKind::Internal, "no thread for the resolver").with_source(error)));
            return;
        }
        let mut state = locked(&run.0);
        while !state.ended && !state.abandoned {
            match self.limit.checked_sub(state.since.elapsed()).filter(|left| !left.is_zero()) {
                Some(left) => {
                    let waited = run.1.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
                    state = waited.0;
                }
                None => {
                    state.abandoned = true;
                    self.stuck.fetch_add(1, Ordering::AcqRel);
                }
            }
        }
        let panicked = |_| Err(self.error(ErrorKind::Internal, "the resolver panicked"));
        rulings.extend(
            std::mem::take(&mut state.rulings).into_iter().map(|ruling| ruling.unwrap_or_else(panicked)),
        );
        if rulings.len() < conflicts.len() {
            let limit = format!("{:?}", self.limit);
            rulings.push(Err(match state.abandoned {
                true => self.error(ErrorKind::Timeout, "the resolver took too long").with("limit", limit),
                false => self.error(ErrorKind::Internal, "the resolver ended its thread"),
            }));
        }
    }

    fn error(&self, kind: ErrorKind, message: &str) -> Error {
        Error::new(kind, message).with("resolver", self.resolver.name())
    }
}
