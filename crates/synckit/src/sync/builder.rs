//! The settings of a manager.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use synckit_core::{Event, EventStore, Filter, Transport};
use tokio::sync::Mutex;

use crate::remembered::Remembered;
use crate::replica::Replica;
use crate::report::SyncReport;
use crate::retry::RetryPolicy;
use crate::sync::{Inner, SyncManager};

/// Which way events go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// To the peer only.
    PushOnly,
    /// From the peer only.
    PullOnly,
    /// Both ways.
    #[default]
    Both,
}

pub(crate) type Progress = Arc<dyn Fn(&SyncReport) + Send + Sync>;

type Matches = Arc<dyn Fn(&Event) -> bool + Send + Sync>;

pub(crate) struct Settings {
    pub(crate) direction: Direction,
    pub(crate) filter: Filter,
    /// A filter that cannot be sent, and its name.
    local_filter: Option<(String, Matches)>,
    pub(crate) batch_events: Option<usize>,
    pub(crate) retry: RetryPolicy,
    pub(crate) call_timeout: Duration,
    pub(crate) sync_timeout: Option<Duration>,
    pub(crate) progress: Option<Progress>,
}

impl Settings {
    /// Whether the sync is about this event.
    pub(crate) fn passes(&self, event: &Event) -> bool {
        let local = |(_, matches): &(String, Matches)| event.is_derived() || matches(event);
        self.filter.matches(event) && self.local_filter.as_ref().is_none_or(local)
    }

    /// The name under which checkpoints are kept: that of the filter, or of both filters.
    pub(crate) fn fingerprint(&self) -> String {
        let sent = self.filter.fingerprint();
        let Some((name, _)) = &self.local_filter else { return sent };
        let hash = Sha256::new_with_prefix(sent).chain_update([0]).chain_update(name).finalize();
        hash[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("direction", &self.direction)
            .field("filter", &self.filter)
            .field("local_filter", &self.local_filter.as_ref().map(|(name, _)| name))
            .field("batch_events", &self.batch_events)
            .field("retry", &self.retry)
            .field("call_timeout", &self.call_timeout)
            .field("sync_timeout", &self.sync_timeout)
            .finish_non_exhaustive()
    }
}

/// Makes a [`SyncManager`].
#[derive(Debug)]
pub struct SyncManagerBuilder<S, T> {
    replica: Replica<S>,
    transport: T,
    settings: Settings,
}

impl<S: EventStore, T: Transport> SyncManagerBuilder<S, T> {
    pub(super) fn new(replica: Replica<S>, transport: T) -> Self {
        let settings = Settings {
            direction: Direction::Both,
            filter: Filter::new(),
            local_filter: None,
            batch_events: None,
            retry: RetryPolicy::default(),
            call_timeout: Duration::from_secs(60),
            sync_timeout: None,
            progress: None,
        };
        SyncManagerBuilder { replica, transport, settings }
    }

    /// Sets which way [`SyncManager::sync`] goes. Both ways unless set.
    pub fn with_direction(mut self, direction: Direction) -> Self {
        self.settings.direction = direction;
        self
    }

    /// Sets which events are synced. All unless set. Each filter has checkpoints of its own.
    pub fn with_filter(mut self, filter: Filter) -> Self {
        self.settings.filter = filter;
        self
    }

    /// Syncs only events for which the closure is true as well, resolutions aside.
    ///
    /// A closure cannot be sent: it is applied here, to what is pushed and to what was pulled. The name stands for it in
    /// the key of the checkpoints, so change the name when the closure changes.
    pub fn with_local_filter(
        mut self,
        name: impl Into<String>,
        matches: impl Fn(&Event) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.settings.local_filter = Some((name.into(), Arc::new(matches)));
        self
    }

    /// Sets how many events a page or a batch carries at most. As many as the replica's limits allow unless set.
    pub fn with_batch_size(mut self, events: usize) -> Self {
        self.settings.batch_events = Some(events.max(1));
        self
    }

    /// Sets how failed calls are tried again.
    pub fn with_retry(mut self, retry: RetryPolicy) -> Self {
        self.settings.retry = retry;
        self
    }

    /// Limits how long one call may take. 60 s unless set.
    pub fn with_call_timeout(mut self, timeout: Duration) -> Self {
        self.settings.call_timeout = timeout;
        self
    }

    /// Limits how long one sync may take. As long as it needs unless set; what was done by then is kept.
    pub fn with_sync_timeout(mut self, timeout: Duration) -> Self {
        self.settings.sync_timeout = Some(timeout);
        self
    }

    /// Calls this with the report as it stands after each page of a sync.
    pub fn with_progress(mut self, progress: impl Fn(&SyncReport) + Send + Sync + 'static) -> Self {
        self.settings.progress = Some(Arc::new(progress));
        self
    }

    /// Makes the manager.
    pub fn build(self) -> SyncManager<S, T> {
        let SyncManagerBuilder { replica, transport, settings } = self;
        let (syncing, met) = (Mutex::default(), Remembered::default());
        SyncManager { inner: Arc::new(Inner { replica, transport, settings, syncing, met }) }
    }
}
