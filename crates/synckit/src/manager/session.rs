//! One sync: hello, recover where needed, pull, settle, push, report.

use std::sync::Arc;
use std::time::Duration;

use synckit_core::notes::{self, Identity, Note, PeerNote, PullNote, PushNote};
use synckit_core::plan::Received;
use synckit_core::{
    Caller, Cursor, Dot, Error, ErrorKind, EventStore, Facts, HelloRequest, HelloResponse, Limits, Needs,
    PROTOCOL_VERSION, Placed, Position, RefusalCode, Refused, Result, StoreId, Transport,
};

use crate::acquaintance::{furthest_in, notes_about};
use crate::manager::ahead::Read;
use crate::manager::aside;
use crate::manager::builder::{Direction, Settings};
use crate::manager::calls::Calls;
use crate::manager::remembered::Remembered;
use crate::report::{Recovery, Refusal, SyncError, SyncReport};
use crate::sugar::StoreExt;

pub(crate) struct Session<'a, S, T> {
    pub(crate) store: &'a S,
    pub(crate) settings: &'a Settings,
    /// Shared with what fetches pages while others are stored.
    pub(crate) calls: Arc<Calls<'a, T>>,
    pub(crate) report: SyncReport,
    transport: &'a T,
    direction: Direction,
    met: &'a Remembered<StoreId>,
    /// Whether there are conflicts that were found before.
    conflicts_listed: bool,
    /// The fingerprint of the filter.
    pub(crate) filter: String,
    /// Whether an own dot turned out to name another event as well: the own log was restored from an older copy.
    pub(crate) forked: bool,
}

/// What is known of the peer and of how far each side has the other's events.
pub(crate) struct Peer {
    pub(crate) store: StoreId,
    /// The last position of its log, as it said.
    pub(crate) head: Position,
    pub(crate) caller: Caller,
    /// Who this replica was when the sync began.
    pub(crate) identity: Identity,
    /// The stricter limits of both sides.
    pub(crate) limits: Limits,
    pub(crate) pull: Option<PullNote>,
    pub(crate) push: PushNote,
    /// Whether something was pushed to it before, under whatever filter.
    pub(crate) known: bool,
    /// The notes of what it has refused.
    pub(crate) refused: Vec<Note>,
    /// What was read to be pushed before the peer said hello, unless the log has moved since.
    pub(crate) ahead: Option<Read>,
    /// Whether a place in the own log must be put on record at the peer, though there may be nothing to push.
    pub(crate) confirm: bool,
    /// Whether the places in both logs have moved since they were put down.
    pub(crate) unsaved: bool,
}

impl Peer {
    /// Whether all of its log was pulled, up to the end that it told.
    fn has_nothing_new(&self) -> bool {
        self.pull.as_ref().is_some_and(|note| !note.everything && note.cursor.position() == self.head)
    }

    /// Takes note of where the peer has put what it was just handed.
    pub(crate) fn moved_on(&mut self, placed: Placed) {
        if let Some(pull) = &mut self.pull
            && pull.cursor.position() == placed.after
        {
            // Nothing of others stands between what was pulled and what was just pushed.
            pull.cursor = placed.upto;
        }
    }

    /// Whether one of these events was refused because its own dot names another event elsewhere.
    pub(crate) fn shows_fork(&self, events: &[Option<Dot>], refused: &[Refused]) -> bool {
        refused.iter().any(|refused| {
            let dot = events.get(refused.index).and_then(Option::as_ref);
            refused.code == RefusalCode::ForkedOrigin && dot.is_some_and(|dot| dot.node == self.caller.node)
        })
    }
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
        if self.direction != Direction::PushOnly && !peer.has_nothing_new() {
            peer.ahead = None;
            self.pull(peer).await?;
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

    /// Says hello, and puts right what a wiped or restored log on either side has made wrong.
    async fn meet(&mut self) -> Result<Peer> {
        let mut about = self.met.get();
        let mut facts = self.ask_about(about).await?;
        let last = notes::last(&self.filter);
        let last: Option<StoreId> = facts.note(&last).map(|value| notes::read(&last, value)).transpose()?;
        if last.is_some() && last != about {
            about = last;
            facts = self.ask_about(about).await?;
        }
        let identity = notes::identity(facts.note(notes::NODE))?;
        let caller = Caller { node: identity.author.clone(), store: facts.head.store };
        let mut request = HelloRequest {
            protocol: PROTOCOL_VERSION,
            caller: caller.clone(),
            filter: self.filter.clone(),
            cursor: about.map_or(Ok(None), |peer| self.furthest(peer, &facts))?,
            ahead: None,
        };
        let read = self.read_ahead(about, &facts).await;
        request.ahead = read.as_ref().and_then(|(_, page)| self.to_hand_over(about?, &facts, page));
        let handed = request.ahead.as_ref().map(|ahead| ahead.upto.clone());
        let mut hello = self.calls.hello(request.clone()).await?;
        if about != Some(hello.store) {
            // Another peer than the last time: what is known of its log, if anything, is asked for once more.
            facts = self.ask_about(Some(hello.store)).await?;
            request.cursor = self.furthest(hello.store, &facts)?;
            request.ahead = None;
            hello.cursor_known = true;
            if request.cursor.is_some() {
                hello = self.calls.hello(request.clone()).await?;
            }
        }
        self.check(&hello, &caller)?;
        self.met.set(hello.store);
        self.report.peer = Some(hello.node.clone());
        self.report.peer_store = Some(hello.store);
        self.report.peer_head = hello.head;
        self.report.local_head = facts.head.position;
        self.report.clock_skew_millis =
            hello.time.cast_signed().saturating_sub(self.settings.environment.now().cast_signed());
        self.conflicts_listed = facts.notes.keys().any(|key| key.starts_with(notes::CONFLICTS));
        let pull = notes::pull(hello.store, &self.filter);
        let refused = notes::aside_out_of(hello.store);
        let known_under = notes::push(hello.store, "");
        let mut peer = Peer {
            store: hello.store,
            head: hello.head,
            caller,
            identity,
            limits: self.settings.limits.min(hello.limits),
            pull: facts.note(&pull).map(|value| notes::read(&pull, value)).transpose()?,
            push: self.push_note(hello.store, &facts)?,
            known: facts.notes.keys().any(|key| key.starts_with(&known_under)),
            confirm: false,
            unsaved: false,
            refused: Vec::new(),
            ahead: None,
        };
        let mut refused: Vec<_> =
            facts.notes.into_iter().filter(|(key, _)| key.starts_with(&refused)).collect();
        refused.sort_unstable();
        peer.refused = refused.into_iter().map(|(key, value)| Note { key, value }).collect();
        let lost = request.cursor.filter(|_| !hello.cursor_known);
        self.recover(&hello, &mut peer, lost, self.pushes()).await?;
        if self.report.recovery == Recovery::default() {
            let left = self.handed_over(&mut peer, hello.ahead.zip(handed), read);
            // Where hello took several tries, much may have been recorded meanwhile: it is read again.
            peer.ahead = left.filter(|_| self.calls.made() == 1);
        }
        Ok(peer)
    }

    pub(super) fn pushes(&self) -> bool {
        self.direction != Direction::PullOnly
    }

    /// Asks for all that a sync must know of the own log, and of what is known about a peer.
    async fn ask_about(&self, peer: Option<StoreId>) -> Result<Facts> {
        let mut under: Vec<String> = peer.map(notes_about).into_iter().flatten().collect();
        under.push(notes::CONFLICTS.to_owned());
        let notes = vec![notes::NODE.to_owned(), notes::last(&self.filter)];
        self.store.ask(Needs { notes, under, ..Needs::default() }).await
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

    fn furthest(&self, peer: StoreId, facts: &Facts) -> Result<Option<Cursor>> {
        let lost = self.push_note(peer, facts)?.lost;
        furthest_in(peer, facts, lost.map_or(0, |lost| lost.position()))
    }

    pub(super) fn push_note(&self, peer: StoreId, facts: &Facts) -> Result<PushNote> {
        let key = notes::push(peer, &self.filter);
        facts.note(&key).map_or_else(|| Ok(PushNote::default()), |value| notes::read(&key, value))
    }

    async fn remember(&self, peer: &Peer) -> Result<()> {
        let node = self.report.peer.clone().ok_or_else(|| Error::corrupt("the peer has no name"))?;
        let note = PeerNote { node, synced_at: self.settings.environment.now() };
        let mut put = if peer.unsaved { self.checkpoint(peer)? } else { Vec::new() };
        put.push(Note::json(notes::peer(peer.store), &note)?);
        put.push(Note::json(notes::last(&self.filter), &peer.store)?);
        self.store.edit(put, Vec::new()).await
    }

    /// Takes note of how far the own log has moved.
    pub(crate) fn moved(&mut self, received: &Received) {
        if let Some(placed) = &received.placed {
            self.report.local_head = self.report.local_head.max(placed.upto.position());
        }
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
