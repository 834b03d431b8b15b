//! One sync: hello, recover where needed, pull, settle, push, report.

use std::sync::Arc;
use std::time::Duration;

use synckit_core::notes::{self, Identity, Note, PeerNote, PullNote, PushNote};
use synckit_core::{
    Caller, Cursor, Dot, Error, ErrorKind, EventStore, HelloRequest, HelloResponse, Limits, PROTOCOL_VERSION,
    RefusalCode, Refused, Result, StoreId, Transport,
};

use crate::manager::aside;
use crate::manager::builder::{Direction, Settings};
use crate::manager::calls::Calls;
use crate::report::{Refusal, SyncError, SyncReport};
use crate::sugar::StoreExt;

pub(crate) struct Session<'a, S, T> {
    pub(crate) store: &'a S,
    pub(crate) settings: &'a Settings,
    /// Shared with what fetches pages while others are stored.
    pub(crate) calls: Arc<Calls<'a, T>>,
    pub(crate) report: SyncReport,
    transport: &'a T,
    direction: Direction,
    /// The fingerprint of the filter.
    pub(crate) filter: String,
    /// Whether an own dot turned out to name another event as well: the own log was restored from an older copy.
    pub(crate) forked: bool,
}

/// What is known of the peer and of how far each side has the other's events.
pub(crate) struct Peer {
    pub(crate) store: StoreId,
    pub(crate) caller: Caller,
    /// Who this replica was when the sync began.
    pub(crate) identity: Identity,
    /// The stricter limits of both sides.
    pub(crate) limits: Limits,
    pub(crate) pull: Option<PullNote>,
    pub(crate) push: PushNote,
    /// Whether a place in the own log must be put on record at the peer, though there may be nothing to push.
    pub(crate) confirm: bool,
    /// Whether the places in both logs have moved since they were put down.
    pub(crate) unsaved: bool,
}

impl Peer {
    /// Whether one of these events was refused because its own dot names another event elsewhere.
    pub(crate) fn shows_fork(&self, events: &[Option<Dot>], refused: &[Refused]) -> bool {
        refused.iter().any(|refused| {
            let dot = events.get(refused.index).and_then(Option::as_ref);
            refused.code == RefusalCode::ForkedOrigin && dot.is_some_and(|dot| dot.node == self.caller.node)
        })
    }
}

impl<'a, S: EventStore, T: Transport> Session<'a, S, T> {
    pub(crate) fn new(store: &'a S, transport: &'a T, settings: &'a Settings, direction: Direction) -> Self {
        Session {
            store,
            settings,
            transport,
            direction,
            calls: Arc::new(Calls::new(transport, settings)),
            report: SyncReport::default(),
            filter: settings.filter.fingerprint(),
            forked: false,
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
        if let Ok(head) = self.store.head().await {
            self.report.local_head = head.position;
        }
        let report = self.report;
        match result {
            Ok(()) => {
                tracing::debug!(pushed = report.pushed, pulled = report.pulled, "synced");
                Ok(report)
            }
            Err(error) => Err(SyncError { error: error.at("engine", "sync"), report: Box::new(report) }),
        }
    }

    async fn steps(&mut self) -> Result<()> {
        let mut peer = self.meet().await?;
        self.exchange(&mut peer).await?;
        if self.forked && !self.report.recovery.restored_here {
            self.restored_here(&mut peer).await?;
            self.exchange(&mut peer).await?;
        }
        if self.report.recovery.restored_here {
            // What clashed with an own dot has been given its place meanwhile.
            aside::retry(self.store, self.settings).await?;
        }
        self.remember(&peer).await
    }

    async fn exchange(&mut self, peer: &mut Peer) -> Result<()> {
        if self.direction != Direction::PushOnly {
            self.pull(peer).await?;
        }
        self.settle().await?;
        if self.direction != Direction::PullOnly {
            self.push(peer).await?;
        }
        Ok(())
    }

    /// Says hello, and puts right what a wiped or restored log on either side has made wrong.
    async fn meet(&mut self) -> Result<Peer> {
        let head = self.store.head().await?;
        let identity: Identity = self.store.identity().await?;
        let caller = Caller { node: identity.author.clone(), store: head.store };
        let mut request = HelloRequest {
            protocol: PROTOCOL_VERSION,
            caller: caller.clone(),
            filter: self.filter.clone(),
            cursor: match self.last_peer().await? {
                Some(store) => self.furthest(store).await?,
                None => None,
            },
        };
        let mut hello = self.calls.hello(request.clone()).await?;
        if request.cursor.as_ref().map(Cursor::store) != Some(hello.store) {
            // Another peer than the last time: what is known of its log, if anything, is asked for once more.
            request.cursor = self.furthest(hello.store).await?;
            hello.cursor_known = true;
            if request.cursor.is_some() {
                hello = self.calls.hello(request.clone()).await?;
            }
        }
        self.check(&hello, &caller)?;
        self.report.peer = Some(hello.node.clone());
        self.report.peer_store = Some(hello.store);
        self.report.peer_head = hello.head;
        self.report.clock_skew_millis =
            hello.time.cast_signed().saturating_sub(self.settings.environment.now().cast_signed());
        let push = self.push_note(hello.store).await?;
        let mut peer = Peer {
            store: hello.store,
            caller,
            identity,
            limits: self.settings.limits.min(hello.limits),
            pull: self.pull_note(hello.store).await?,
            push,
            confirm: false,
            unsaved: false,
        };
        let lost = request.cursor.filter(|_| !hello.cursor_known);
        self.recover(&hello, &mut peer, lost, self.direction != Direction::PullOnly).await?;
        Ok(peer)
    }

    fn check(&self, hello: &HelloResponse, caller: &Caller) -> Result<()> {
        if hello.protocol != PROTOCOL_VERSION {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "the peer speaks another version; upgrade the older side",
            )
            .with("peer's version", hello.protocol)
            .with("version here", PROTOCOL_VERSION));
        }
        if hello.store == caller.store {
            return Err(Error::new(
                ErrorKind::Conflict,
                "the peer is this very store; a replica cannot sync with itself or a copy of its file",
            ));
        }
        Ok(())
    }

    /// The peer this filter was last synced with over any transport: the log the cursor is most likely of.
    async fn last_peer(&self) -> Result<Option<StoreId>> {
        let Some(note) = self.store.note(notes::last(&self.filter)).await? else { return Ok(None) };
        Ok(Some(note.parse()?))
    }

    async fn furthest(&self, peer: StoreId) -> Result<Option<Cursor>> {
        let lost = self.push_note(peer).await?.lost;
        self.store.furthest_in(peer, lost.map_or(0, |lost| lost.position())).await
    }

    async fn push_note(&self, peer: StoreId) -> Result<PushNote> {
        let note = self.store.note(notes::push(peer, &self.filter)).await?;
        note.map_or_else(|| Ok(PushNote::default()), |note| note.parse())
    }

    async fn pull_note(&self, peer: StoreId) -> Result<Option<PullNote>> {
        self.store.note(notes::pull(peer, &self.filter)).await?.map(|note| note.parse()).transpose()
    }

    async fn remember(&self, peer: &Peer) -> Result<()> {
        let node = self.report.peer.clone().ok_or_else(|| Error::corrupt("the peer has no name"))?;
        let note = PeerNote { node, synced_at: self.settings.environment.now() };
        let mut put = if peer.unsaved { self.checkpoint(peer)? } else { Vec::new() };
        put.push(Note::json(notes::peer(peer.store), &note)?);
        put.push(Note::json(notes::last(&self.filter), &peer.store)?);
        self.store.edit(put, Vec::new()).await
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
