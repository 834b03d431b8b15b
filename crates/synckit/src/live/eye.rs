//! The status of a live replica, as it is kept and watched.

use synckit_core::{EventStore, NoteQuery, Position, Query, Result, StoreId, StoredEvent};
use synckit_plan::{
    StoreExt,
    notes::{self, PeerNote, PushNote},
};
use tokio::sync::watch;

use crate::damage::read_over;
use crate::live::status::{LiveState, LiveStatus};
use crate::report::{RefusedBy, SyncReport};
use crate::sync::Settings;

/// Tells the status.
#[derive(Debug)]
pub(crate) struct Eye(watch::Sender<LiveStatus>);

impl Eye {
    pub(super) fn new() -> Self {
        let status = LiveStatus {
            state: LiveState::Connecting,
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

    /// The same is still so. Nobody is woken for it.
    pub(crate) fn still_together(&self, now: u64) {
        self.0.send_if_modified(|status| {
            status.synced_at = Some(now);
            false
        });
    }

    fn change(&self, change: impl FnOnce(&mut LiveStatus)) {
        self.0.send_if_modified(|status| {
            let before = status.clone();
            change(status);
            *status != before
        });
    }

    /// Reads what earlier syncs have recorded, and counts what is to be pushed.
    pub(super) async fn begin<S: EventStore>(&self, store: &S, settings: &Settings) -> Result<()> {
        let last = store.note(settings.last()).await?;
        let peer: Option<StoreId> = last.map(|note| note.parse()).transpose()?;
        let (mut after, mut synced_at) = (0, None);
        if let Some(peer) = peer {
            let keys = vec![notes::push(peer, &settings.fingerprint()), notes::peer(peer)];
            for note in store.notes(NoteQuery::Keys(keys)).await? {
                match note.key.starts_with(notes::PEERS) {
                    true => synced_at = Some(note.parse::<PeerNote>()?.synced_at),
                    false => after = note.parse::<PushNote>()?.position,
                }
            }
        }
        self.change(|status| status.synced_at = synced_at);
        self.pending(0, after);
        self.count(store, settings, peer).await
    }

    /// Counts what is to be pushed of the events that were not counted before.
    pub(super) async fn count<S: EventStore>(
        &self,
        store: &S,
        settings: &Settings,
        peer: Option<StoreId>,
    ) -> Result<()> {
        loop {
            let query = Query::after(self.counted_to()).except_source(peer);
            let (page, _) = read_over(store, query).await?;
            let due = |stored: &&StoredEvent| settings.pushes() && settings.passes(&stored.event);
            let more = page.events.iter().filter(due).count();
            self.more(more as u64, page.scanned_to);
            if !page.more {
                return Ok(());
            }
        }
    }
}
