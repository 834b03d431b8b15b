//! One sync: hello, pull, settle, push, report.

use std::sync::Arc;
use std::time::Duration;

use synckit_core::notes::{self, Note, PeerNote, Renewal};
use synckit_core::plan::Received;
use synckit_core::{Error, ErrorKind, EventStore, NodeId, Result, StoreId, Transport};

use crate::manager::builder::{Direction, Settings};
use crate::manager::calls::Calls;
use crate::manager::peer::Peer;
use crate::manager::remembered::Remembered;
use crate::report::{Refusal, SyncError, SyncReport};
use crate::sugar::StoreExt;

/// How often a sync begins again where it finds that one side was set back or copied.
const TRIES: usize = 8;

pub(crate) struct Session<'a, S, T> {
    pub(crate) store: &'a S,
    pub(crate) settings: &'a Settings,
    /// Shared with what fetches pages while others are stored.
    pub(crate) calls: Arc<Calls<'a, T>>,
    pub(crate) report: SyncReport,
    transport: &'a T,
    direction: Direction,
    pub(crate) met: &'a Remembered<StoreId>,
    /// Whether there are conflicts that were found before.
    pub(crate) conflicts_listed: bool,
    /// The fingerprint of the filter.
    pub(crate) filter: String,
    /// Why this replica has taken a fresh id and a fresh name in this sync.
    pub(crate) renewed_for: Vec<Renewal>,
    /// Whether what was stored has shown that the own log was set back or copied.
    pub(crate) is_stranger: bool,
}

impl<'a, S: EventStore, T: Transport> Session<'a, S, T> {
    pub(crate) fn new(
        store: &'a S,
        transport: &'a T,
        settings: &'a Settings,
        met: &'a Remembered<StoreId>,
        direction: Direction,
    ) -> Self {
        Session {
            store,
            settings,
            transport,
            direction,
            met,
            conflicts_listed: false,
            calls: Arc::new(Calls::new(transport, settings)),
            report: SyncReport::default(),
            filter: settings.filter.fingerprint(),
            renewed_for: Vec::new(),
            is_stranger: false,
        }
    }

    pub(crate) async fn run(mut self) -> Result<SyncReport, SyncError> {
        let started = tokio::time::Instant::now();
        let before = self.transport.traffic();
        let limit = self.settings.sync_timeout;
        let result = match tokio::time::timeout(limit.unwrap_or(Duration::MAX), self.steps()).await {
            Ok(result) => result,
            Err(_) => Err(Error::new(
                ErrorKind::Timeout,
                "the sync took too long; what was done is kept, sync again",
            )
            .with("limit", format!("{:?}", limit.unwrap_or_default()))),
        };
        let traffic = self.transport.traffic();
        self.report.bytes_sent = traffic.sent.saturating_sub(before.sent);
        self.report.bytes_received = traffic.received.saturating_sub(before.received);
        self.report.round_trips = self.calls.made();
        self.report.duration = started.elapsed();
        let report = self.report;
        match result {
            Ok(()) => {
                tracing::debug!(pushed = report.pushed, pulled = report.pulled, "synced");
                Ok(report)
            }
            Err(error) => Err(SyncError { error: error.at("engine", "sync"), report: Box::new(report) }),
        }
    }

    /// Begins again where it turns out on the way that a log is another than the other side believes.
    async fn steps(&mut self) -> Result<()> {
        let mut last = None;
        for _ in 0..TRIES {
            let Some(mut peer) = self.meet().await? else { continue };
            match self.exchange(&mut peer).await {
                Ok(()) if !std::mem::take(&mut self.is_stranger) => return self.remember(&peer).await,
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::CursorUnknown => {
                    self.met.set(peer.store);
                    last = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        let message = "one of the two logs changes its identity again and again: a copy of it is in use right now; sync again";
        let error = Error::new(ErrorKind::Busy, message);
        Err(match last {
            Some(last) => error.with_source(last),
            None => error,
        })
    }

    async fn exchange(&mut self, peer: &mut Peer) -> Result<()> {
        if peer.identity.suspect && self.pushes() {
            self.free_dots(peer).await?;
        }
        if self.direction != Direction::PushOnly {
            self.take_back(peer).await?;
            if !peer.has_nothing_new() {
                peer.ahead = None;
                self.pull(peer).await?;
            }
            if self.is_stranger {
                return Ok(());
            }
        }
        if self.conflicts_listed || self.report.conflicts.found > 0 {
            peer.ahead = None;
            self.settle().await?;
        }
        if self.pushes() {
            self.push(peer).await?;
        }
        Ok(())
    }

    pub(super) fn pushes(&self) -> bool {
        self.direction != Direction::PullOnly
    }

    async fn remember(&self, peer: &Peer) -> Result<()> {
        let node = self.report.peer.clone().ok_or_else(|| Error::corrupt("the peer has no name"))?;
        let clock_skew_millis = self.report.clock_skew_millis;
        let note = PeerNote { node, synced_at: self.settings.environment.now(), clock_skew_millis };
        let mut put = if peer.unsaved { self.checkpoint(peer)? } else { Vec::new() };
        put.push(Note::json(notes::peer(peer.store), &note)?);
        put.push(Note::json(notes::last(&self.filter), &peer.store)?);
        self.store.edit(put, Vec::new()).await
    }

    /// Takes note of what was stored.
    pub(crate) fn moved(&mut self, received: &Received) {
        self.report.local_head = self.report.local_head.max(received.head);
        self.report.recovery.copy_in_use |= received.copy_seen;
        if let Some(name) = &received.renewed {
            self.is_stranger = true;
            self.renewed(name.clone(), Renewal::SetBack);
        }
    }

    /// Takes note of a fresh name.
    pub(crate) fn renewed(&mut self, name: NodeId, why: Renewal) {
        tracing::warn!(%name, ?why, "this replica has taken a fresh name");
        self.report.recovery.renewed = Some(why);
        self.report.recovery.renamed_to = Some(name);
    }

    pub(crate) fn refuse(&mut self, refusal: Refusal) {
        tracing::warn!(event = refusal.id, code = %refusal.code, reason = refusal.message, "an event was refused");
        self.report.refuse(refusal);
    }

    pub(crate) fn progress(&self) {
        if let Some(progress) = &self.settings.progress {
            progress(&self.report);
        }
    }
}
