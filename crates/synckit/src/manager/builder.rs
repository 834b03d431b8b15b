//! The settings of a manager.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use synckit_core::{ConflictResolver, EventStore, Filter, Limits, Transport};

use crate::environment::{Environment, SystemEnvironment};
use crate::manager::remembered::Remembered;
use crate::manager::settle::{ConflictHook, ConflictNotice, Resolving};
use crate::manager::{Inner, SyncManager};
use crate::report::SyncReport;
use crate::resolvers::LastWriteWins;
use crate::retry::RetryPolicy;

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

pub(crate) struct Settings {
    pub(crate) direction: Direction,
    pub(crate) filter: Filter,
    pub(crate) limits: Limits,
    pub(crate) retry: RetryPolicy,
    pub(crate) call_timeout: Duration,
    pub(crate) sync_timeout: Option<Duration>,
    pub(crate) resolving: Resolving,
    pub(crate) conflict_hook: Option<ConflictHook>,
    pub(crate) environment: Arc<dyn Environment>,
    pub(crate) progress: Option<Progress>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("direction", &self.direction)
            .field("filter", &self.filter)
            .field("limits", &self.limits)
            .field("retry", &self.retry)
            .field("call_timeout", &self.call_timeout)
            .field("sync_timeout", &self.sync_timeout)
            .field("resolving", &self.resolving)
            .finish_non_exhaustive()
    }
}

/// Makes a [`SyncManager`].
#[derive(Debug)]
pub struct SyncManagerBuilder<S, T> {
    store: S,
    transport: T,
    settings: Settings,
}

impl<S: EventStore, T: Transport> SyncManagerBuilder<S, T> {
    pub(crate) fn new(store: S, transport: T) -> Self {
        let settings = Settings {
            direction: Direction::Both,
            filter: Filter::new(),
            limits: Limits::default(),
            retry: RetryPolicy::default(),
            call_timeout: Duration::from_secs(60),
            sync_timeout: None,
            resolving: Resolving::new(Arc::new(LastWriteWins)),
            conflict_hook: None,
            environment: Arc::new(SystemEnvironment),
            progress: None,
        };
        SyncManagerBuilder { store, transport, settings }
    }

    /// Which way [`SyncManager::sync`] goes. Both ways unless set.
    pub fn with_direction(mut self, direction: Direction) -> Self {
        self.settings.direction = direction;
        self
    }

    /// Which events are synced. All unless set. Each filter has checkpoints of its own.
    pub fn with_filter(mut self, filter: Filter) -> Self {
        self.settings.filter = filter;
        self
    }

    /// At most so many events in one page or batch. 1,000 unless set.
    pub fn with_batch_size(mut self, events: usize) -> Self {
        self.settings.limits.batch_events = events.max(1);
        self
    }

    /// What an event and a batch may be at most.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// How failed calls are tried again.
    pub fn with_retry(mut self, retry: RetryPolicy) -> Self {
        self.settings.retry = retry;
        self
    }

    /// How long one call may take. 60 s unless set.
    pub fn with_call_timeout(mut self, timeout: Duration) -> Self {
        self.settings.call_timeout = timeout;
        self
    }

    /// How long one sync may take. As long as it needs unless set; what was done by then is kept.
    pub fn with_sync_timeout(mut self, timeout: Duration) -> Self {
        self.settings.sync_timeout = Some(timeout);
        self
    }

    /// Who settles conflicts. [`LastWriteWins`] unless set.
    pub fn with_resolver(mut self, resolver: impl ConflictResolver + 'static) -> Self {
        self.settings.resolving.resolver = Arc::new(resolver);
        self
    }

    /// How long a resolver may think about one conflict. 5 s unless set. What takes longer is left listed, with an
    /// error; the rest goes on.
    pub fn with_resolver_timeout(mut self, timeout: Duration) -> Self {
        self.settings.resolving.limit = timeout;
        self
    }

    /// Told of each conflict that a sync or a person settles, and of each that a sync leaves. Called within the sync:
    /// it should be quick.
    pub fn with_conflict_hook(mut self, hook: impl Fn(&ConflictNotice<'_>) + Send + Sync + 'static) -> Self {
        self.settings.conflict_hook = Some(Arc::new(hook));
        self
    }

    /// Where time and randomness come from. The operating system unless set.
    pub fn with_environment(mut self, environment: impl Environment) -> Self {
        self.settings.environment = Arc::new(environment);
        self
    }

    /// Called with the report as it stands after each page of a sync.
    pub fn with_progress(mut self, progress: impl Fn(&SyncReport) + Send + Sync + 'static) -> Self {
        self.settings.progress = Some(Arc::new(progress));
        self
    }

    /// The manager.
    pub fn build(self) -> SyncManager<S, T> {
        let SyncManagerBuilder { store, transport, settings } = self;
        SyncManager {
            inner: Arc::new(Inner {
                store,
                transport,
                settings,
                syncing: tokio::sync::Mutex::default(),
                met: Remembered::default(),
                author: Remembered::default(),
            }),
        }
    }
}
