//! The settings of a replica.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use synckit_core::{Data, EventStore, EventType, Limits, Result};
use synckit_plan::ConflictResolver;

use crate::environment::{Environment, SystemEnvironment};
use crate::observe::{Observer, Observers};
use crate::replica::settle::Resolving;
use crate::replica::{Inner, Replica};
use crate::resolvers::LastWriteWins;
use crate::upcast::{Reading, Upcasters};

pub(crate) struct Settings {
    pub(crate) limits: Limits,
    pub(crate) environment: Arc<dyn Environment>,
    pub(super) resolving: Resolving,
    pub(crate) observers: Observers,
    pub(crate) upcasters: Arc<Upcasters>,
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
            upcasters: Arc::default(),
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

    /// Adds a step that reads data of an event type in one version as data in the next. [Views](crate::view),
    /// [`history`](Replica::history), [`current`](Replica::current), conflicts and resolvers get events of older programs
    /// in the latest version, as if this program had written them. The log stays as it is, and so does what is sent to
    /// peers.
    ///
    /// The version is the number under `schema` in the metadata of an event; without it, the version is 1. What this
    /// replica records or merges into says its version by itself: that to which the last step of its type leads. An event
    /// in a later version goes to [`View::apply_unknown`](crate::view::View::apply_unknown); others get it as it is. What
    /// a resolver merges from such an event is left for a person or a newer program.
    ///
    /// A step must be a pure function of the data.
    ///
    /// ```
    /// use synckit::{Data, NodeId, Replica};
    /// use synckit_memory::MemoryStore;
    ///
    /// # fn main() -> synckit::Result<()> {
    /// // Version 1 was a text, version 2 is an object with the text.
    /// let store = MemoryStore::new(NodeId::new("a")?)?;
    /// let replica = Replica::builder(store)
    ///     .with_upcaster("NoteEdited", 1, |data| {
    ///         Data::of(&serde_json::json!({ "text": data.parse::<String>()? }))
    ///     })?
    ///     .build();
    /// # let _ = replica;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Invalid` when this is not the name of a type.
    pub fn with_upcaster(
        mut self,
        event_type: &str,
        from: u32,
        upcast: impl Fn(Data) -> Result<Data> + Send + Sync + 'static,
    ) -> Result<Self> {
        let upcasters = Arc::make_mut(&mut self.settings.upcasters);
        upcasters.add(EventType::new(event_type)?, from, Arc::new(upcast));
        Ok(self)
    }

    /// Builds the replica.
    pub fn build(self) -> Replica<S> {
        let ReplicaBuilder { store, mut settings } = self;
        let (resolver, upcasters) = (settings.resolving.resolver, settings.upcasters.clone());
        settings.resolving.resolver = Arc::new(Reading { resolver, upcasters });
        let (author, settling, instance, peers) = Default::default();
        Replica { inner: Arc::new(Inner { store, settings, author, settling, instance, peers }) }
    }
}
