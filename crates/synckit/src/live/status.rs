//! What a live replica says about itself.

use serde::Serialize;
use synckit_core::{Error, NodeId, Position};

/// How a live replica stands with its peer.
///
/// It is about the log up to [`LiveStatus::counted_to`]. Right after an event is recorded, the log may be longer:
///
/// ```
/// # use synckit::{EventStore, Result, stay::LiveStatus};
/// /// Returns whether nothing is to go.
/// async fn is_all_sent(status: &LiveStatus, store: &impl EventStore) -> Result<bool> {
///     Ok(status.is_up_to_date() && status.counted_to >= store.head().await?.position)
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LiveStatus {
    /// What it does now.
    #[serde(flatten)]
    pub state: LiveState,
    /// The peer's name, once it is known; also from syncs before a restart.
    pub peer: Option<NodeId>,
    /// The number of events of the local log that the peer has not got yet and that are to be pushed, as far as the log
    /// was counted. Before the peer is known for the first time, the number of events that were recorded here.
    pub pending: u64,
    /// The position in the local log up to which `pending` was counted.
    pub counted_to: Position,
    /// The number of local events that the peer refused or that something on the way holds back.
    pub kept_back: usize,
    /// The number of foreign events that could not be stored here since the replica is live.
    pub refused_here: usize,
    /// The number of open conflicts.
    pub conflicts: usize,
    /// When both sides last had the same events, in Unix milliseconds; also from syncs before a restart.
    pub synced_at: Option<u64>,
    /// How far the peer's clock is ahead of the local clock, in milliseconds, including network delay.
    pub clock_skew_millis: i64,
}

/// What a live replica does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum LiveState {
    /// Calls the peer.
    #[default]
    Connecting,
    /// Fetches what the peer has.
    CatchingUp {
        /// The position in the peer's log that was reached.
        done: Position,
        /// The last position of the peer's log.
        total: Position,
    },
    /// What either side records is at the other at once.
    Live,
    /// As `Live`, but the peer is asked from time to time: subscriptions do not get through.
    Polling,
    /// The peer cannot be reached, or failed; what is recorded stays here until then. This stays so while it is called
    /// again, until it responds.
    Waiting {
        /// When it is called again, in Unix milliseconds.
        until: u64,
        /// Whether it passes by itself, such as an absent network; if not, somebody must do something about the reason.
        passes: bool,
        /// What went wrong.
        reason: String,
    },
    /// Nothing is exchanged until somebody resumes.
    Paused,
    /// It has ended.
    Stopped {
        /// Why, if nobody asked for it.
        reason: Option<String>,
    },
}

impl LiveStatus {
    /// Returns whether both sides have the same events, up to [`LiveStatus::counted_to`] in the local log, except for
    /// those that were refused or are held back.
    pub fn is_up_to_date(&self) -> bool {
        matches!(self.state, LiveState::Live | LiveState::Polling) && self.pending == 0
    }
}

impl LiveState {
    pub(crate) fn stopped_by(error: &Error) -> Self {
        LiveState::Stopped { reason: Some(error.to_string()) }
    }
}
