//! The status of a live replica, as it is kept and watched.

use synckit_core::{EventStore, NoteQuery, Position, Query, Result, StoreId, StoredEvent};
use synckit_plan::{
    StoreExt,
    notes::{self, PeerNote, PushNote},
};
use tokio::sync::watch;

use crate::damage::read_over;
use crate::live::status::{LiveState, LiveStatus};
use crate::peer_notes::text;
use crate::report::{RefusedBy, SyncReport};
use crate::sync::Settings;

/// Tells the status.
#[derive(Debug)]
pub(crate) struct Eye(watch::Sender<LiveStatus>);

impl Eye {
    pub(super) fn new() -> Self {
        let status = LiveStatus {
            state: LiveState::Connecting,
            peer: None,
            pending: 0,
            counted_to: 0,
            kept_back: 0,
            refused_here: 0,
            conflicts: 0,
            synced_at: None,
            clock_skew_millis: 0,
        };
        Eye(watch::Sender::new(status))
    }

    pub(super) fn watch(&self) -> watch::Receiver<LiveStatus> {
        self.0.subscribe()
    }

    pub(crate) fn state(&self, state: LiveState) {
        self.change(|status| status.state = state);
    }

    /// Nothing runs any more. If nobody has said why, the runtime is gone.
    pub(super) fn ended(&self) {
        self.change(|status| {
            if !matches!(status.state, LiveState::Stopped { .. }) {
                let reason = "the runtime that it ran on has ended, or the task has panicked; start it again";
                status.state = LiveState::Stopped { reason: Some(reason.to_owned()) };
            }
        });
    }

    /// Begins to call the peer. Where both sides are together, or the peer did not respond before, the state stays as it
    /// is until the call has ended.
    pub(super) fn connecting(&self) {
        self.change(|status| {
            if !matches!(status.state, LiveState::Live | LiveState::Polling | LiveState::Waiting { .. }) {
                status.state = LiveState::Connecting;
            }
        });
    }

    /// The wait for the peer is over, because somebody wants it to be.
    pub(super) fn called(&self) {
        self.change(|status| {
            if matches!(status.state, LiveState::Waiting { .. }) {
                status.state = LiveState::Connecting;
            }
        });
    }

    /// Returns whether the state is one in which both sides are together.
    pub(super) fn is_together(&self) -> bool {
        matches!(self.0.borrow().state, LiveState::Live | LiveState::Polling)
    }

    /// Sets how many events are to be pushed, of those up to this position.
    pub(crate) fn pending(&self, pending: u64, counted_to: Position) {
        self.change(|status| (status.pending, status.counted_to) = (pending, counted_to));
    }

    /// Adds events that were recorded and are to be pushed.
    pub(super) fn more(&self, more: u64, counted_to: Position) {
        let pending = self.0.borrow().pending;
        self.pending(pending + more, counted_to);
    }

    /// Counts from the end of the log on if it was set back to before what was counted.
    pub(super) fn set_back_to(&self, head: Position) {
        self.change(|status| status.counted_to = status.counted_to.min(head));
    }

    pub(super) fn counted_to(&self) -> Position {
        self.0.borrow().counted_to
    }

    /// Takes over what a sync has found.
    pub(crate) fn report(&self, report: &SyncReport) {
        self.change(|status| {
            let here = report.refused.iter().filter(|event| event.by == RefusedBy::Here).count();
            status.refused_here = here;
            status.kept_back =
                report.refused_before + report.held_back_count + report.refused_count.saturating_sub(here);
            status.conflicts = report.conflicts.left;
            status.peer = report.peer.clone();
            status.clock_skew_millis = report.clock_skew_millis;
        });
    }

    /// Shows how far a sync has come.
    pub(super) fn progress(&self, report: &SyncReport) {
        self.change(|status| {
            status.pending = status.pending.min(report.local_head.saturating_sub(report.pushed_to));
            if report.pulled_to < report.peer_head {
                status.state = LiveState::CatchingUp { done: report.pulled_to, total: report.peer_head };
            }
        });
    }

    /// Both sides have the same events at this time.
    pub(crate) fn together(&self, state: LiveState, now: u64) {
        self.change(|status| (status.state, status.synced_at) = (state, Some(now)));
    }

    /// The same is still so.
    pub(crate) fn still_together(&self, now: u64) {
        self.change(|status| status.synced_at = Some(now));
    }

    /// Changes the status. For another time or another difference of the clocks alone, nobody is woken.
    fn change(&self, change: impl FnOnce(&mut LiveStatus)) {
        self.0.send_if_modified(|status| {
            let before = status.clone();
            change(status);
            let (synced_at, clock_skew_millis) = (status.synced_at, status.clock_skew_millis);
            *status != LiveStatus { synced_at, clock_skew_millis, ..before }
        });
    }

    /// Reads what earlier syncs have recorded, and counts what is to be pushed.
    pub(super) async fn begin<S: EventStore>(&self, store: &S, settings: &Settings) -> Result<()> {
        let last = store.note(settings.last()).await?;
        let peer: Option<StoreId> = last.map(|note| note.parse()).transpose()?;
        let (mut after, mut met) = (0, None);
        if let Some(peer) = peer {
            let keys = vec![notes::push(peer, &settings.fingerprint()), notes::peer(peer)];
            for note in store.notes(NoteQuery::Keys(keys)).await? {
                match note.key.starts_with(notes::PEERS) {
                    true => met = Some(note.parse::<PeerNote>()?),
                    false => after = note.parse::<PushNote>()?.position,
                }
            }
        }
        self.change(|status| {
            status.synced_at = met.as_ref().map(|met| met.synced_at);
            status.peer = met.map(|met| met.node);
        });
        self.pending(0, after);
        self.count(store, settings, peer).await
    }

    /// Counts what is to be pushed of the events that were not counted before, and the conflicts on record.
    pub(super) async fn count<S: EventStore>(
        &self,
        store: &S,
        settings: &Settings,
        peer: Option<StoreId>,
    ) -> Result<()> {
        let conflicts = store.note(notes::CONFLICT_COUNT.to_owned()).await?;
        let conflicts = conflicts.map_or(Ok(0), |note| text(&note.key, &note.value))?;
        self.change(|status| status.conflicts = conflicts);
        loop {
            let query = Query::after(self.counted_to()).except_source(peer);
            let (page, _) = read_over(store, query).await?;
            let due = |stored: &&StoredEvent| {
                // An unknown peer may be the one that foreign events came from.
                let is_its = peer.is_none() && stored.source.is_some();
                settings.pushes() && !is_its && settings.passes(&stored.event)
            };
            let more = page.events.iter().filter(due).count();
            self.more(more as u64, page.scanned_to);
            if !page.more {
                return Ok(());
            }
        }
    }
}
