//! What a sync has done.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use synckit_core::{AggregateId, Error, NodeId, Position, RefusalCode, Renewal, StoreId};

/// What a sync has done, also when it failed half-way.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct SyncReport {
    /// The peer, once it has answered.
    pub peer: Option<NodeId>,
    /// Its store.
    pub peer_store: Option<StoreId>,
    /// Events that were new to the peer.
    pub pushed: usize,
    /// Events that were new here.
    pub pulled: usize,
    /// Events that one side was given and held already.
    pub duplicates: usize,
    /// Events that could not be stored, here or there, at most [`SyncReport::MAX_REFUSED`] of them.
    pub refused: Vec<Refusal>,
    /// How many could not be stored in all.
    pub refused_count: usize,
    /// Conflicts.
    pub conflicts: ConflictReport,
    /// What had to be recovered.
    pub recovery: Recovery,
    /// Bytes sent over the wire.
    pub bytes_sent: u64,
    /// Bytes received over the wire.
    pub bytes_received: u64,
    /// Calls made, the repeated ones included.
    pub round_trips: u64,
    /// How long it took.
    pub duration: Duration,
    /// The last position of the own log at the end.
    pub local_head: Position,
    /// The last position of the peer's log at the beginning.
    pub peer_head: Position,
    /// How far the peer's clock is ahead of the own, in milliseconds, the way there included.
    pub clock_skew_millis: i64,
}

impl SyncReport {
    /// The most refused events that one report lists.
    pub const MAX_REFUSED: usize = 1_000;

    pub(crate) fn refuse(&mut self, refusal: Refusal) {
        self.refused_count += 1;
        if self.refused.len() < Self::MAX_REFUSED {
            self.refused.push(refusal);
        }
    }
}

/// An event that could not be stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The event's id, as far as it could be read.
    pub id: String,
    /// Which side refused it.
    pub by: RefusedBy,
    /// Why.
    pub code: RefusalCode,
    /// Why, in words.
    pub message: String,
}

/// Which side refused an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedBy {
    /// The peer: the event is in the own log only.
    Peer,
    /// This replica: the event is in the peer's log, and set aside here.
    Here,
}

/// Conflicts in a sync.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConflictReport {
    /// Found by this sync.
    pub found: usize,
    /// Settled by this sync.
    pub settled: usize,
    /// Not settled, whichever sync has found them: left for review, or the resolver failed.
    pub left: usize,
    /// Not settled because the resolver failed; counted as left too.
    pub failed: usize,
    /// How many were settled by which resolver; where it went by rules, by `resolver: rule`.
    pub settled_by: BTreeMap<String, usize>,
    /// Those left, at most [`ConflictReport::MAX_LISTED`] of them.
    pub open: Vec<LeftConflict>,
}

/// A conflict that a sync did not settle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftConflict {
    /// The aggregate.
    pub aggregate: AggregateId,
    /// Whether the resolver failed; else it is left for a person.
    pub failed: bool,
    /// Why, as far as the resolver said.
    pub reason: Option<String>,
}

impl ConflictReport {
    /// The most conflicts that one report lists.
    pub const MAX_LISTED: usize = 1_000;

    pub(crate) fn leave(&mut self, aggregate: AggregateId, failed: bool, reason: Option<String>) {
        self.left += 1;
        self.failed += usize::from(failed);
        if self.open.len() < Self::MAX_LISTED {
            self.open.push(LeftConflict { aggregate, failed, reason });
        }
    }
}

/// What a sync has found of copies, restores and names that are taken, and what it has done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Recovery {
    /// The peer's log was wiped or set back to an older copy: what it lacks was offered again.
    pub peer_was_reset: bool,
    /// Why this replica has taken a fresh id and a fresh name: it was set back or copied, or its name is taken.
    pub renewed: Option<Renewal>,
    /// Whether an event has shown that another copy of this replica, or another device of its name, is in use.
    pub copy_in_use: bool,
    /// The new name this replica authors under.
    pub renamed_to: Option<NodeId>,
    /// Own events that nobody had, and that got fresh dots or the right time before they were handed out.
    pub renumbered: usize,
    /// Events that came back from the peer, which had them from this replica before it was set back, or from a copy.
    pub taken_back: usize,
}

/// A sync that failed: why, and what was done before. What was done is durable; the next sync goes on from there.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct SyncError {
    /// Why it failed.
    #[source]
    pub error: Error,
    /// What was done before.
    pub report: Box<SyncReport>,
}

impl SyncError {
    /// Whether the same sync may succeed later without any change.
    pub fn is_retryable(&self) -> bool {
        self.error.is_retryable()
    }
}
