//! What a sync did.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;
use synckit_core::{AggregateId, Error, NodeId, Position, RefusedCode, Renewal, StoreId};
use synckit_plan::notes::HeldBack;

/// What a sync did, even if it failed half-way.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct SyncReport {
    /// The peer's name, once it has responded.
    pub peer: Option<NodeId>,
    /// The id of the peer's store.
    pub peer_store: Option<StoreId>,
    /// The number of events that were new to the peer.
    pub pushed: usize,
    /// The number of events that were new here.
    pub pulled: usize,
    /// The number of events that one side received but already held.
    pub duplicates: usize,
    /// Events that could not be stored, here or at the peer, at most [`SyncReport::MAX_REFUSED`] of them.
    pub refused: Vec<RefusedEvent>,
    /// The total number of events that could not be stored.
    pub refused_count: usize,
    /// The number of local events that the peer refused in earlier syncs and that were not offered again in this one.
    pub refused_before: usize,
    /// Local events that did not reach the peer although others did, at most [`SyncReport::MAX_REFUSED`] of them. Nobody
    /// refused them; each sync tries them again.
    pub held_back: Vec<HeldBack>,
    /// The total number of local events that did not reach the peer although others did.
    pub held_back_count: usize,
    /// Positions of the peer's log that the peer could not read, at most [`SyncReport::MAX_REFUSED`] of them. Each sync
    /// asks for them again.
    pub gaps: Vec<Position>,
    /// The number of damaged rows of the local log that were replaced by good copies of their events from the peer.
    pub mended: usize,
    /// What happened to conflicts.
    pub conflicts: ConflictReport,
    /// What had to be recovered.
    pub recovery: Recovery,
    /// Bytes sent over the wire.
    pub bytes_sent: u64,
    /// Bytes received over the wire.
    pub bytes_received: u64,
    /// The number of calls, including retries.
    pub round_trips: u64,
    /// How long the sync took.
    pub duration: Duration,
    /// The last position of the local log at the end.
    pub local_head: Position,
    /// The position in the local log up to which everything was offered to the peer.
    pub pushed_to: Position,
    /// The last position of the peer's log at the beginning.
    pub peer_head: Position,
    /// The position in the peer's log up to which it was pulled.
    pub pulled_to: Position,
    /// How far the peer's clock is ahead of the local clock, in milliseconds, including network delay.
    pub clock_skew_millis: i64,
}

impl SyncReport {
    /// The maximum number of refused events that one report lists.
    pub const MAX_REFUSED: usize = 1_000;

    pub(crate) fn refuse(&mut self, refused: RefusedEvent) {
        self.refused_count += 1;
        if self.refused.len() < Self::MAX_REFUSED {
            self.refused.push(refused);
        }
    }

    pub(crate) fn hold_back(&mut self, held: HeldBack) {
        self.held_back_count += 1;
        if self.held_back.len() < Self::MAX_REFUSED {
            self.held_back.push(held);
        }
    }

    pub(crate) fn gap(&mut self, position: Position) {
        if self.gaps.len() < Self::MAX_REFUSED {
            self.gaps.push(position);
        }
    }
}

/// A refused event, in the report of a sync: why, and by which side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedEvent {
    /// The event's id, as far as it could be read.
    pub id: String,
    /// Which side refused it.
    pub by: RefusedBy,
    /// The reason.
    pub code: RefusedCode,
    /// The reason in words.
    pub message: String,
}

/// Which side refused an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedBy {
    /// The peer: the event is in the local log only.
    Peer,
    /// This replica: the event is in the peer's log, and set aside here.
    Here,
}

/// What happened to conflicts in a sync.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConflictReport {
    /// Conflicts found by this sync.
    pub found: usize,
    /// Conflicts settled by this sync.
    pub settled: usize,
    /// Conflicts on record at the end, whichever sync found them: left for review, or the resolver failed.
    pub left: usize,
    /// Conflicts not settled because the resolver failed in this sync; also counted in `left`.
    pub failed: usize,
    /// How many each resolver settled; for a resolver that uses rules, by `resolver: rule`.
    pub settled_by: BTreeMap<String, usize>,
    /// The conflicts that the resolver was asked about in this sync and that are left, at most
    /// [`ConflictReport::MAX_LISTED`] of them. One that was left before and has not changed since is not among them.
    pub open: Vec<LeftConflict>,
}

/// A conflict that a sync did not settle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftConflict {
    /// The aggregate.
    pub aggregate: AggregateId,
    /// Whether the resolver failed; if not, it is left for a person.
    pub failed: bool,
    /// The reason, if the resolver gave one.
    pub reason: Option<String>,
}

impl ConflictReport {
    /// The maximum number of conflicts that one report lists.
    pub const MAX_LISTED: usize = 1_000;

    /// Sets how many conflicts are on record.
    pub(crate) fn on_record(&mut self, count: u64) {
        self.left = usize::try_from(count).unwrap_or(usize::MAX);
    }

    pub(crate) fn leave(&mut self, aggregate: AggregateId, failed: bool, reason: Option<String>) {
        self.left += 1;
        self.failed += usize::from(failed);
        if self.open.len() < Self::MAX_LISTED {
            self.open.push(LeftConflict { aggregate, failed, reason });
        }
    }
}

/// What a sync found out about copies, restored backups and names in use elsewhere, and what it did about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Recovery {
    /// Whether the peer's log was wiped or restored from a backup. What it lacks was offered again.
    pub peer_was_reset: bool,
    /// Why this replica took a fresh id and a fresh name: it was restored or copied, or its name is taken.
    pub renewed: Option<Renewal>,
    /// Whether an event showed that a copy of this replica, or another device with the same name, is in use.
    pub copy_in_use: bool,
    /// The new name this replica authors under.
    pub renamed_to: Option<NodeId>,
    /// The number of local events that nobody else had, and that got fresh dots or the correct time before they were
    /// handed out.
    pub renumbered: usize,
    /// The number of events taken back from the peer, which had them from this replica before it was restored, or from
    /// a copy.
    pub taken_back: usize,
}

/// A sync that failed: why, and what it did before. What it did is durable; the next sync continues from there.
///
/// Its debug form is that of the error, since a `main` that returns it prints that.
#[derive(thiserror::Error)]
#[error("{error}")]
pub struct SyncError {
    /// Why it failed.
    #[source]
    pub error: Error,
    /// What was done before the failure.
    pub report: Box<SyncReport>,
}

impl fmt::Debug for SyncError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.error, f)
    }
}

impl SyncError {
    /// Returns whether the same sync may succeed later without any change.
    pub fn is_retryable(&self) -> bool {
        self.error.is_retryable()
    }
}
