//! Notices of what happens: to syncs, calls, conflicts and refused events here, and to the calls that are served.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use synckit_core::{AggregateId, Caller, Error, Event, NodeId, Renewal};
use synckit_plan::Conflict;

use crate::report::{RefusedEvent, SyncReport};

/// Receives notices of what happens.
///
/// Give one to a [`ReplicaBuilder`](crate::ReplicaBuilder::with_observer) to hear of all syncs of a replica, to a
/// [`SyncManagerBuilder`](crate::SyncManagerBuilder::with_observer) for those with one peer, and to an
/// [`Endpoint`](crate::Endpoint::with_observer) for what it serves. It is called in the middle of the work, so it must be
/// fast and must not block. A closure is an observer.
///
/// The spans `sync`, `call` and `serve` of [`tracing`] carry the same names.
///
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use std::sync::Arc;
///
/// use synckit::observe::Notice;
/// use synckit::{Endpoint, NewEvent, NodeId, Replica, SyncManager};
/// use synckit_memory::MemoryStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let calls = Arc::new(AtomicUsize::new(0));
/// let counted = calls.clone();
/// let replica = Replica::builder(MemoryStore::new(NodeId::new("till-1")?)?)
///     .with_observer(move |notice: &Notice<'_>| {
///         if let Notice::Called { .. } = notice {
///             counted.fetch_add(1, Ordering::Relaxed);
///         }
///     })
///     .build();
/// replica.record([NewEvent::new("Sold", "shift-7", "2 coffees")?]).await?;
/// SyncManager::new(replica, Endpoint::new(MemoryStore::new(NodeId::new("hub")?)?)).sync().await?;
/// assert!(calls.load(Ordering::Relaxed) >= 2, "hello and push");
/// # Ok(()) }
/// ```
pub trait Observer: Send + Sync + 'static {
    /// Receives a notice. Notices come in the order of what happens.
    fn notice(&self, notice: &Notice<'_>);
}

impl<F: Fn(&Notice<'_>) + Send + Sync + 'static> Observer for F {
    fn notice(&self, notice: &Notice<'_>) {
        self(notice);
    }
}

/// Something that has happened.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// A sync begins: one by itself, or the one with which a live replica begins to stay with its peer.
    SyncBegan,
    /// A page was stored or a batch was pushed, in a sync or live. The report has all that was done so far.
    Progress(&'a SyncReport),
    /// A sync has ended. There is no such notice if its future is dropped.
    SyncEnded {
        /// What it did, even if it failed.
        report: &'a SyncReport,
        /// Why it failed.
        error: Option<&'a Error>,
    },
    /// The peer was called. Each try counts.
    Called {
        /// The call.
        call: Call,
        /// The number of events sent, or the most that were asked for.
        events: usize,
        /// How long it took.
        took: Duration,
        /// Why it failed.
        error: Option<&'a Error>,
    },
    /// An event could not be stored, here or at the peer.
    Refused(&'a RefusedEvent),
    /// This replica took a fresh id and a fresh name.
    Renewed {
        /// The fresh name.
        name: &'a NodeId,
        /// The reason.
        why: Renewal,
    },
    /// Events that arrived brought an aggregate into conflict.
    ConflictFound {
        /// The aggregate.
        aggregate: &'a AggregateId,
    },
    /// A rule matched a conflict.
    RuleMatched {
        /// The conflict.
        conflict: &'a Conflict,
        /// The rule.
        rule: &'a str,
    },
    /// A conflict is settled, and the resolution is durable.
    ConflictSettled {
        /// The aggregate.
        aggregate: &'a AggregateId,
        /// The resolution.
        resolution: &'a Event,
    },
    /// A conflict is left for a person.
    ConflictLeft {
        /// The aggregate.
        aggregate: &'a AggregateId,
        /// The reason, if the resolver gave one.
        reason: Option<&'a str>,
    },
    /// A conflict stays listed because the resolver, or its answer, failed.
    ConflictFailed {
        /// The aggregate.
        aggregate: &'a AggregateId,
        /// The failure.
        error: &'a Error,
    },
    /// A call of another replica was answered.
    Served {
        /// The call.
        call: Call,
        /// Who called.
        caller: &'a Caller,
        /// The number of events that were new here.
        received: usize,
        /// The number of events in the answer.
        sent: usize,
        /// The number of events that were refused.
        refused: usize,
        /// How long it took.
        took: Duration,
        /// Why it failed.
        error: Option<&'a Error>,
    },
    /// Another replica has subscribed.
    Subscribed {
        /// Who subscribed.
        caller: &'a Caller,
    },
    /// A subscription has ended.
    Unsubscribed {
        /// Who subscribed.
        caller: &'a Caller,
        /// The number of events that were sent.
        sent: usize,
        /// How long it lasted.
        lasted: Duration,
        /// Why it failed; `None` if the other side has left, or this one closes.
        error: Option<&'a Error>,
    },
}

/// A call of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Call {
    /// Saying hello, with which a few events may come.
    Hello,
    /// Pulling a page.
    Pull,
    /// Pushing a batch.
    Push,
    /// Asking which events are missing.
    Missing,
    /// Opening a subscription.
    Subscribe,
}

impl Call {
    /// Returns its name, as it is in URLs and in errors.
    pub fn as_str(self) -> &'static str {
        match self {
            Call::Hello => "hello",
            Call::Pull => "pull",
            Call::Push => "push",
            Call::Missing => "missing",
            Call::Subscribe => "subscribe",
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Several observers.
#[derive(Clone, Default)]
pub(crate) struct Observers(Vec<Arc<dyn Observer>>);

impl Observers {
    pub(crate) fn add(&mut self, observer: impl Observer) {
        self.0.push(Arc::new(observer));
    }

    /// Returns these and those.
    pub(crate) fn and(&self, others: &Observers) -> Observers {
        Observers(self.0.iter().chain(&others.0).cloned().collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn notify(&self, notice: Notice<'_>) {
        self.0.iter().for_each(|observer| observer.notice(&notice));
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Observers").field(&self.0.len()).finish()
    }
}
