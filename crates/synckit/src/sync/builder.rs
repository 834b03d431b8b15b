//! The settings of a manager.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use synckit_core::{Error, Event, EventStore, Filter, Result, Transport};
use synckit_plan::notes;
use tokio::sync::Mutex;

use crate::live::Staying;
use crate::observe::{Observer, Observers};
use crate::remembered::Remembered;
use crate::replica::Replica;
use crate::retry::RetryPolicy;
use crate::sync::{Inner, SyncManager};

/// The direction in which events are synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// To the peer only.
    PushOnly,
    /// From the peer only.
    PullOnly,
    /// In both directions.
    #[default]
    Both,
}

type Matches = Arc<dyn Fn(&Event) -> bool + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) direction: Direction,
    pub(crate) filter: Filter,
    /// A name of the place where the peer is, shortened.
    pub(crate) address: Option<String>,
    /// A filter that cannot be sent to the peer, and its name.
    local_filter: Option<(String, Matches)>,
    pub(crate) batch_events: Option<usize>,
    pub(crate) retry: RetryPolicy,
    /// Whether a hello that fails is retried at once. A live replica says it again later.
    pub(crate) hello_again: bool,
    pub(crate) call_timeout: Duration,
    pub(crate) sync_timeout: Option<Duration>,
    pub(crate) observers: Observers,
}

impl Settings {
    /// Returns whether the sync covers this event.
    pub(crate) fn passes(&self, event: &Event) -> bool {
        let local = |(_, matches): &(String, Matches)| event.is_derived() || matches(event);
        self.filter.matches(event) && self.local_filter.as_ref().is_none_or(local)
    }

    /// Returns whether local events go to the peer.
    pub(crate) fn pushes(&self) -> bool {
        self.direction != Direction::PullOnly
    }

    /// Returns the key of the peer that is expected to respond.
    pub(crate) fn last(&self) -> String {
        notes::last(&self.fingerprint(), self.address.as_deref())
    }

    /// Returns the name under which checkpoints are kept: that of the filter, or of both filters.
    pub(crate) fn fingerprint(&self) -> String {
        let sent = self.filter.fingerprint();
        let Some((name, _)) = &self.local_filter else { return sent };
        short_hash(Sha256::new_with_prefix(sent).chain_update([0]).chain_update(name).finalize())
    }
}

fn short_hash(hash: impl AsRef<[u8]>) -> String {
    hash.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("direction", &self.direction)
            .field("filter", &self.filter)
            .field("address", &self.address)
            .field("local_filter", &self.local_filter.as_ref().map(|(name, _)| name))
            .field("batch_events", &self.batch_events)
            .field("retry", &self.retry)
            .field("call_timeout", &self.call_timeout)
            .field("sync_timeout", &self.sync_timeout)
            .finish_non_exhaustive()
    }
}

/// Builds a [`SyncManager`].
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
            address: None,
            local_filter: None,
            batch_events: None,
            retry: RetryPolicy::default(),
            hello_again: true,
            call_timeout: Duration::from_secs(60),
            sync_timeout: None,
            observers: Observers::default(),
        };
        SyncManagerBuilder { replica, transport, settings }
    }

    /// Sets the direction of [`SyncManager::sync`]. Default: both directions.
    pub fn with_direction(mut self, direction: Direction) -> Self {
        self.settings.direction = direction;
        self
    }

    /// Sets which events are synced. Default: all. Each filter has separate checkpoints.
    pub fn with_filter(mut self, filter: Filter) -> Self {
        self.settings.filter = filter;
        self
    }

    /// Syncs only events for which the closure also returns true. Resolutions always pass it.
    ///
    /// A closure cannot be sent to the peer. It is applied here, to what is pushed and to what was pulled. Its name is
    /// part of the key of the checkpoints, so change the name when the closure changes.
    ///
    /// # Errors
    /// `Invalid` if the name is empty.
    pub fn with_local_filter(
        mut self,
        name: impl Into<String>,
        matches: impl Fn(&Event) -> bool + Send + Sync + 'static,
    ) -> Result<Self> {
        let name = name.into();
        if name.is_empty() {
            return Err(Error::invalid("a local filter needs a name, by which its checkpoints are kept"));
        }
        self.settings.local_filter = Some((name, Arc::new(matches)));
        Ok(self)
    }

    /// Says where the peer is, such as its URL. The replica remembers which store responded there, so that it knows
    /// beforehand whom it will meet: otherwise it expects the store that this filter was synced with last, and a sync
    /// with another costs two calls more. Set it if a program makes managers again and again, for several peers in
    /// turn.
    pub fn with_address(mut self, address: impl AsRef<str>) -> Self {
        self.settings.address = Some(short_hash(Sha256::digest(address.as_ref())));
        self
    }

    /// Sets the maximum number of events in a page or a batch. Default: the replica's limit.
    pub fn with_batch_size(mut self, events: usize) -> Self {
        self.settings.batch_events = Some(events.max(1));
        self
    }

    /// Sets how failed calls are retried.
    pub fn with_retry(mut self, retry: RetryPolicy) -> Self {
        self.settings.retry = retry;
        self
    }

    /// Limits how long one call may take. Default: 60 s.
    pub fn with_call_timeout(mut self, timeout: Duration) -> Self {
        self.settings.call_timeout = timeout;
        self
    }

    /// Limits how long one sync may take. Default: no limit. What was done by then is kept.
    pub fn with_sync_timeout(mut self, timeout: Duration) -> Self {
        self.settings.sync_timeout = Some(timeout);
        self
    }

    /// Adds an observer of the syncs of this manager. The observers of the replica receive the same notices.
    pub fn with_observer(mut self, observer: impl Observer) -> Self {
        self.settings.observers.add(observer);
        self
    }

    /// Builds the manager.
    pub fn build(self) -> SyncManager<S, T> {
        let SyncManagerBuilder { replica, transport, mut settings } = self;
        settings.observers = replica.settings().observers.and(&settings.observers);
        let (syncing, met) = (Mutex::default(), Remembered::default());
        SyncManager {
            inner: Arc::new(Inner {
                replica,
                transport,
                settings,
                syncing,
                met,
                staying: Staying::default(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use synckit_core::NodeId;
    use synckit_memory::MemoryStore;

    use super::*;
    use crate::Endpoint;

    fn builder() -> SyncManagerBuilder<MemoryStore, Endpoint<MemoryStore>> {
        let store = |name: &str| MemoryStore::new(NodeId::new(name).expect("valid")).expect("randomness");
        SyncManager::builder(store("a"), Endpoint::new(store("hub")))
    }

    #[test]
    fn the_names_of_filters_keep_checkpoints_apart() {
        let sent = Filter::new().with_type("A").expect("valid");
        let large = |event: &Event| event.size() > 100;
        let plain = builder().with_filter(sent.clone());
        let named = builder().with_filter(sent.clone()).with_local_filter("big", large).expect("named");
        let other = builder().with_filter(sent.clone()).with_local_filter("large", large).expect("named");
        let alone = builder().with_local_filter("big", large).expect("named");
        let prints = [plain, named, other, alone].map(|builder| builder.settings.fingerprint());
        assert_eq!(prints[0], sent.fingerprint());
        let mut apart: Vec<&String> = prints.iter().collect();
        apart.sort_unstable();
        apart.dedup();
        assert_eq!(apart.len(), 4, "{prints:?}");
        assert!(prints.iter().all(|print| print.len() == 16));
        assert!(builder().with_local_filter("", |_| true).is_err());
    }
}
