//! The settings of a replica.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use synckit_core::{EventStore, Limits};
use synckit_plan::ConflictResolver;

use crate::environment::{Environment, SystemEnvironment};
use crate::observe::{Observer, Observers};
use crate::replica::settle::Resolving;
use crate::replica::{Inner, Replica};
use crate::resolvers::LastWriteWins;

pub(crate) struct Settings {
    pub(crate) limits: Limits,
    pub(crate) environment: Arc<dyn Environment>,
    pub(super) resolving: Resolving,
    pub(crate) observers: Observers,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("limits", &self.limits)
            .field("resolving", &self.resolving)
            .finish_non_exhaustive()
    }
}

/// Builds a [`Replica`].
#[derive(Debug)]
pub struct ReplicaBuilder<S> {
    store: S,
    settings: Settings,
}

impl<S: EventStore> ReplicaBuilder<S> {
    pub(super) fn new(store: S) -> Self {
        let settings = Settings {
            limits: Limits::default(),
            environment: Arc::new(SystemEnvironment),
            resolving: Resolving::new(Arc::new(LastWriteWins)),
            observers: Observers::default(),
        };
        ReplicaBuilder { store, settings }
    }

    /// Sets the maximum sizes of an event and a batch.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// Sets the conflict resolver. Default: [`LastWriteWins`].
    pub fn with_resolver(mut self, resolver: impl ConflictResolver + 'static) -> Self {
        self.settings.resolving.resolver = Arc::new(resolver);
        self
    }

    /// Sets how long a resolver may take for one conflict. Default: 5 s. A conflict that takes longer stays listed,
    /// with an error; the rest goes on.
    pub fn with_resolver_timeout(mut self, timeout: Duration) -> Self {
        self.settings.resolving.limit = timeout;
        self
    }

    /// Adds an observer of all that happens to the replica, in whichever sync.
    pub fn with_observer(mut self, observer: impl Observer) -> Self {
        self.settings.observers.add(observer);
        self
    }

    /// Sets where time and randomness come from. Default: the operating system.
    pub fn with_environment(mut self, environment: impl Environment) -> Self {
        self.settings.environment = Arc::new(environment);
        self
    }

    /// Builds the replica.
    pub fn build(self) -> Replica<S> {
        let ReplicaBuilder { store, settings } = self;
        let (author, settling, instance, peers) = Default::default();
        Replica { inner: Arc::new(Inner { store, settings, author, settling, instance, peers }) }
    }
}
