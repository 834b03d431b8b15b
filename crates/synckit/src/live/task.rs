//! The task that keeps a replica and its peer together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use synckit_core::{Error, ErrorKind, EventStore, Result, StoreId, Transport};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::live::backoff::Backoff;
use crate::live::{Eye, LiveState, Wanted};
use crate::observe::Notice;
use crate::sync::{Inner, Session, Settings, Way, due};

/// An exchange that lasted this long was a good one: after it, waits begin short again.
const GOOD: Duration = Duration::from_secs(10);

/// An exchange that starts over is not started again sooner than this after the last.
const SOON: Duration = Duration::from_millis(20);

/// How many subscriptions in a row may bring nothing until the peer is asked from time to time instead.
const SILENT: u32 = 2;

/// A subscription that lasted this long has brought heartbeats: what breaks it is not something that keeps them back.
const HEARD: Duration = Duration::from_secs(20);

/// How long the peer is asked from time to time until a subscription is tried again.
const ASK: Duration = Duration::from_secs(600);

pub(super) struct Task<S, T> {
    pub(super) inner: Arc<Inner<S, T>>,
    pub(super) way: Way,
    pub(super) asked: watch::Receiver<Wanted>,
    pub(super) rounds: watch::Sender<u64>,
    pub(super) eye: Arc<Eye>,
}

/// Whether subscriptions get through.
#[derive(Debug, Default)]
struct Subscriptions {
    silent: u32,
    /// Until when the peer is asked from time to time.
    asking: Option<Instant>,
}

/// However the task ends, nothing says that it goes on: also if its runtime is dropped, or it panics.
impl<S, T> Drop for Task<S, T> {
    fn drop(&mut self) {
        self.eye.ended();
    }
}

impl<S: EventStore, T: Transport> Task<S, T> {
    /// Runs until it is stopped.
    pub(super) async fn run(mut self) {
        let why = self.stay().await;
        self.eye.state(match why {
            Ok(()) => LiveState::Stopped { reason: None },
            Err(error) => {
                tracing::error!(%error, "the replica is not live any more");
                LiveState::stopped_by(&error)
            }
        });
    }

    async fn stay(&mut self) -> Result<()> {
        let environment = self.inner.replica.settings().environment.clone();
        let (mut backoff, mut subscriptions) = (Backoff::default(), Subscriptions::default());
        let mut counted = None;
        loop {
            let wanted = self.asked.borrow_and_update().clone();
            if wanted.stopped {
                return Ok(());
            }
            let settings = self.settings(&wanted);
            if counted.as_ref() != Some(&wanted.filter) {
                match self.eye.begin(self.inner.replica.store(), &settings).await {
                    Ok(()) => counted = Some(wanted.filter.clone()),
                    Err(error) => tracing::warn!(%error, "what is to be pushed cannot be counted"),
                }
            }
            if wanted.paused {
                self.eye.state(LiveState::Paused);
                self.wait(&wanted, &settings, None).await?;
                continue;
            }
            self.eye.connecting();
            let begun = Instant::now();
            let result = self.exchange(&wanted, &settings, subscriptions.way(self.way)).await;
            let lasted = begun.elapsed();
            if lasted >= GOOD {
                backoff.reset();
            }
            let error = match result {
                Ok(is_same) => {
                    if !is_same {
                        // What was counted is not known to be there.
                        counted = None;
                        self.eye.state(LiveState::Connecting);
                    }
                    if lasted < SOON {
                        sleep(SOON).await;
                    }
                    continue;
                }
                Err(error) => error,
            };
            // That of the peer may be open again later, and any other failure of the store here passes too.
            if error.kind() == ErrorKind::Closed
                && let Err(error) = self.inner.replica.store().head().await
                && error.kind() == ErrorKind::Closed
            {
                return Err(error);
            }
            subscriptions.failed(&error, self.eye.is_together(), lasted);
            let wait = backoff.next(&error, &*environment)?;
            tracing::info!(%error, ?wait, "the peer is called again later");
            let until = environment.now() + u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            self.eye.state(LiveState::Waiting {
                until,
                passes: error.is_retryable(),
                reason: error.message().to_owned(),
            });
            if self.wait(&wanted, &settings, Some(wait)).await? {
                backoff.reset();
                self.eye.called();
            }
        }
    }

    /// Returns the settings of the manager with the filter that is wanted now.
    fn settings(&self, wanted: &Wanted) -> Settings {
        let mut settings = self.inner.settings.clone();
        settings.filter = wanted.filter.clone();
        settings.hello_again = false;
        // It is for a sync that ends.
        settings.sync_timeout = None;
        let eye = self.eye.clone();
        settings.observers.add(move |notice: &Notice<'_>| {
            if let Notice::Progress(report) = notice {
                eye.progress(report);
            }
        });
        settings
    }

    /// Syncs and stays with the peer, until something else is wanted. Returns whether both logs are still the same.
    async fn exchange(&mut self, wanted: &Wanted, settings: &Settings, way: Way) -> Result<bool> {
        let Inner { replica, transport, met, syncing, .. } = &*self.inner;
        // A sync of the manager that is under way ends first.
        drop(syncing.lock().await);
        let session = Session::new(replica, transport, settings, met, settings.direction);
        let (eye, rounds) = (self.eye.clone(), &self.rounds);
        let caught_up = AtomicBool::new(false);
        let asked = self.asked.clone();
        // A sync that is wanted while one catches up begins when that has ended.
        let synced = || {
            rounds.send_replace(wanted.round);
            caught_up.store(true, Ordering::Relaxed);
            asked.borrow().round == wanted.round
        };
        let other = |now: &Wanted| {
            let again = now.round != wanted.round && caught_up.load(Ordering::Relaxed);
            // A call that hangs on a network that was gone is made again over the one that is back.
            let nudged = now.nudges != wanted.nudges;
            now.stopped || now.paused || now.filter != wanted.filter || nudged || again
        };
        // The manager may be dropped at any await, so this may too.
        tokio::select! {
            biased;
            _ = self.asked.wait_for(other) => Ok(true),
            result = session.live(way, &eye, synced) => result,
        }
    }

    /// Waits, and counts what is recorded meanwhile. Returns whether somebody wants the next try at once.
    async fn wait(&mut self, wanted: &Wanted, settings: &Settings, limit: Option<Duration>) -> Result<bool> {
        let store = self.inner.replica.store();
        let peer: Option<StoreId> = self.inner.met.get().map(|met| met.peer);
        let until = limit.map(|limit| Instant::now() + limit);
        let other = |now: &Wanted| {
            now.stopped
                || now.paused != wanted.paused
                || now.nudges != wanted.nudges
                || now.filter != wanted.filter
        };
        let mut counts = true;
        loop {
            tokio::select! {
                biased;
                _ = self.asked.wait_for(other) => return Ok(true),
                () = due(until) => return Ok(false),
                counted = async {
                    let head = store.moved(self.eye.counted_to()).await?;
                    self.eye.set_back_to(head);
                    self.eye.count(store, settings, peer).await
                }, if counts => match counted {
                    Err(error) if error.kind() == ErrorKind::Closed => return Err(error),
                    // The next sync fails as well, and says why.
                    counted => counts = counted.is_ok(),
                }
            }
        }
    }
}

impl Subscriptions {
    /// Returns the way to stay with the peer now.
    fn way(&mut self, wanted: Way) -> Way {
        if self.asking.is_some_and(|until| until <= Instant::now()) {
            *self = Subscriptions::default();
        }
        if self.asking.is_some() && wanted == Way::Subscription { Way::Polling } else { wanted }
    }

    /// Records a failure.
    fn failed(&mut self, error: &Error, subscribed: bool, lasted: Duration) {
        let silent = match error.operation() {
            "subscribe" => !error.is_retryable() || error.kind() == ErrorKind::Timeout,
            _ => subscribed && error.kind() == ErrorKind::Timeout && lasted < HEARD,
        };
        if !silent {
            self.silent = 0;
            return;
        }
        self.silent += 1;
        if self.silent >= SILENT {
            tracing::info!("subscriptions do not get through; the peer is asked from time to time");
            self.asking = Some(Instant::now() + ASK);
        }
    }
}
