//! Replicas that stay together with their peer by themselves.

// - this file: the handle
// - `status.rs`: what it says; `eye.rs`: how that is kept
// - `task.rs`: what runs behind it; `backoff.rs`: how long it waits after a failure

mod backoff;
mod eye;
mod status;
mod task;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use synckit_core::{Error, ErrorKind, EventStore, Filter, Result, Transport};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(crate) use eye::Eye;
pub use status::{LiveState, LiveStatus};

use crate::sync::{SyncManager, Way};
use task::Task;

/// What users of a live replica want of it.
#[derive(Clone, Debug)]
struct Wanted {
    stopped: bool,
    paused: bool,
    /// How often somebody said that the network is back.
    nudges: u64,
    /// The number of the last sync that somebody waits for.
    round: u64,
    filter: Filter,
}

/// Keeps a replica and its peer together, until it is stopped or dropped.
///
/// What is recorded here is pushed at once, and what the peer gets arrives at once. Without a network, it waits and tries
/// again: after a quarter of a second at first, later every half minute. [`Live::nudge`] says that the network is back.
///
/// ```
/// use synckit::{Endpoint, NewEvent, NodeId, Replica, SyncManager};
/// use synckit_memory::MemoryStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> synckit::Result<()> {
/// let hub = MemoryStore::new(NodeId::new("hub")?)?;
/// let replica = Replica::new(MemoryStore::new(NodeId::new("till-1")?)?);
/// let live = SyncManager::new(replica.clone(), Endpoint::new(hub.clone())).live()?;
///
/// replica.record([NewEvent::new("Sold", "shift-7", "2 coffees")?]).await?;
/// let status = live.synced().await?;
/// assert!(status.is_up_to_date());
/// live.stop().await;
/// # Ok(()) }
/// ```
pub struct Live {
    wanted: watch::Sender<Wanted>,
    status: watch::Receiver<LiveStatus>,
    /// The number of the last sync that has ended well.
    done: watch::Receiver<u64>,
    _staying: Stays,
    task: Option<JoinHandle<()>>,
}

/// Whether a handle keeps a manager live.
#[derive(Clone, Debug, Default)]
pub(crate) struct Staying(Arc<AtomicBool>);

/// Ends, when dropped, that the manager is live.
struct Stays(Staying);

impl Staying {
    fn begin(&self) -> Option<Stays> {
        (!self.0.swap(true, Ordering::AcqRel)).then(|| Stays(self.clone()))
    }
}

impl Drop for Stays {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Release);
    }
}

impl<S: EventStore, T: Transport> SyncManager<S, T> {
    /// Keeps the replica and the peer together in a background task, with the filters, the direction and the resolver of
    /// this manager. Other syncs of the replica can go on meanwhile, also those of other processes.
    ///
    /// # Errors
    /// `Busy` if this manager is live already.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn live(&self) -> Result<Live> {
        self.stay(Way::Subscription)
    }

    /// Syncs in a background task, again and again. The next sync begins this long after the last one has ended; never
    /// are two under way. What is recorded waits for the next one. Use [`SyncManager::live`] if there is no reason to
    /// wait.
    ///
    /// # Errors
    /// `Invalid` for a period of less than 100 ms, and those of [`SyncManager::live`].
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn start_auto_sync(&self, period: Duration) -> Result<Live> {
        if period < Duration::from_millis(100) {
            return Err(Error::invalid("a sync every few milliseconds; use live() instead")
                .with("period", format!("{period:?}")));
        }
        self.stay(Way::Periods(period))
    }

    fn stay(&self, way: Way) -> Result<Live> {
        let staying = self.inner.staying.begin().ok_or_else(|| {
            Error::new(ErrorKind::Busy, "this manager is live already; stop or drop the other handle first")
        })?;
        let filter = self.inner.settings.filter.clone();
        let wanted = Wanted { stopped: false, paused: false, nudges: 0, round: 0, filter };
        let (wanted, asked) = watch::channel(wanted);
        let (rounds, done) = watch::channel(0);
        let eye = Arc::new(Eye::new());
        let status = eye.watch();
        let task = Task { inner: self.inner.clone(), way, asked, rounds, eye };
        Ok(Live { wanted, status, done, _staying: staying, task: Some(tokio::spawn(task.run())) })
    }
}

impl Live {
    /// Returns the status.
    pub fn status(&self) -> LiveStatus {
        self.status.borrow().clone()
    }

    /// Returns a receiver of the status, which can wait for it to change.
    pub fn watch(&self) -> watch::Receiver<LiveStatus> {
        self.status.clone()
    }

    /// Waits until all that was recorded before this call is at the peer, and all that the peer had is here, except for
    /// what was refused. While the peer cannot be reached or the replica is paused, it waits. Can be dropped at any time.
    ///
    /// # Errors
    /// `Closed` if it is or was stopped.
    pub async fn synced(&self) -> Result<LiveStatus> {
        let mut round = 0;
        self.wanted.send_modify(|wanted| {
            wanted.round += 1;
            round = wanted.round;
        });
        let mut done = self.done.clone();
        let stopped = || Error::new(ErrorKind::Closed, "the replica is not live any more");
        done.wait_for(|done| *done >= round).await.map_err(|_| stopped())?;
        Ok(self.status())
    }

    /// As [`Live::synced`], but not longer than this.
    ///
    /// # Errors
    /// `Timeout`, with what it waits for, and `Closed`.
    pub async fn synced_within(&self, limit: Duration) -> Result<LiveStatus> {
        tokio::time::timeout(limit, self.synced()).await.unwrap_or_else(|_| {
            let status = self.status();
            let error = Error::new(ErrorKind::Timeout, "not in sync within the time")
                .with("limit", format!("{limit:?}"))
                .with("pending", status.pending);
            Err(match status.state {
                LiveState::Waiting { reason, .. } => error.with("because", reason),
                LiveState::Paused => error.with("because", "it is paused"),
                _ => error,
            })
        })
    }

    /// Says that the network may be back, so that nobody waits longer.
    pub fn nudge(&self) {
        self.wanted.send_modify(|wanted| wanted.nudges += 1);
    }

    /// Ends the exchange until [`Live::resume`]. What is recorded meanwhile stays here.
    pub fn pause(&self) {
        self.wanted.send_modify(|wanted| wanted.paused = true);
    }

    /// Goes on after [`Live::pause`].
    pub fn resume(&self) {
        self.wanted.send_modify(|wanted| wanted.paused = false);
    }

    /// Syncs with this filter from now on. Each filter has separate checkpoints, so events that only the new filter lets
    /// through are fetched from the beginning of the peer's log.
    pub fn set_filter(&self, filter: Filter) {
        self.wanted.send_modify(|wanted| wanted.filter = filter);
    }

    /// Stops, and waits until nothing is under way any more. A commit that has begun is durable or has no effect.
    pub async fn stop(mut self) {
        self.wanted.send_modify(|wanted| wanted.stopped = true);
        if let Some(task) = self.task.take() {
            // It ends by itself; if it panicked, it has ended too.
            drop(task.await);
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.wanted.send_modify(|wanted| wanted.stopped = true);
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("status", &*self.status.borrow()).finish_non_exhaustive()
    }
}
