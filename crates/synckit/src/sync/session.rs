//! One sync: hello, pull, settle, push, report.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use synckit_core::{
    Error, ErrorKind, EventStore, Limits, NodeId, Note, Renewal, Result, StoreId, Traffic, Transport,
};
use synckit_plan::{
    StoreExt,
    notes::{self, PaceNote, PeerNote},
};
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::observe::Notice;
use crate::remembered::Remembered;
use crate::replica::{PeerTurn, Replica, Settled};
use crate::report::{RefusedEvent, SyncError, SyncReport};
use crate::sync::builder::{Direction, Settings};
use crate::sync::calls::Calls;
use crate::sync::meet::Met;
use crate::sync::peer::Peer;

/// How often a sync starts over when it finds that one side was restored or copied.
const TRIES: usize = 8;

/// A sync that is under way.
pub(super) struct Began {
    at: Instant,
    traffic: Traffic,
    pub(super) span: Span,
}

pub(crate) struct Session<'a, S, T> {
    pub(crate) replica: &'a Replica<S>,
    pub(crate) store: &'a S,
    pub(crate) settings: &'a Settings,
    /// Shared with the task that fetches pages while others are stored.
    pub(crate) calls: Arc<Calls<'a, T>>,
    pub(crate) report: SyncReport,
    /// The local limits on an event and a batch.
    pub(crate) limits: Limits,
    pub(super) transport: &'a T,
    pub(super) direction: Direction,
    pub(crate) met: &'a Remembered<Met>,
    /// Whether conflicts wait for the resolver that were found before.
    pub(crate) conflicts_wait: bool,
    /// The fingerprint of the filter.
    pub(crate) filter: String,
    /// Why this replica took a fresh id and a fresh name in this sync.
    pub(crate) renewed_for: Vec<Renewal>,
    /// Whether the exchange has to start over: stored events showed that the local log was restored or copied, or the
    /// peer took a fresh id meanwhile.
    pub(crate) is_stranger: bool,
    /// Whether another exchange with the peer has stored something since the hello.
    pub(super) overtaken: AtomicBool,
    /// How often something between the two sides refused a push.
    pub(crate) obstructed: usize,
    /// The sizes of messages to the peer as they are saved.
    pub(super) saved_pace: Option<(StoreId, PaceNote)>,
}

impl<'a, S: EventStore, T: Transport> Session<'a, S, T> {
    pub(crate) fn new(
        replica: &'a Replica<S>,
        transport: &'a T,
        settings: &'a Settings,
        met: &'a Remembered<Met>,
        direction: Direction,
    ) -> Self {
        let limits = replica.settings().limits;
        let batch_events = settings.batch_events.unwrap_or(limits.batch_events);
        Session {
            replica,
            store: replica.store(),
            limits: Limits { batch_events, ..limits },
            settings,
            transport,
            direction,
            met,
            conflicts_wait: false,
            calls: Arc::new(Calls::new(transport, settings, replica.settings().environment.clone())),
            report: SyncReport::default(),
            filter: settings.fingerprint(),
            renewed_for: Vec::new(),
            is_stranger: false,
            overtaken: AtomicBool::new(false),
            obstructed: 0,
            saved_pace: None,
        }
    }

    pub(crate) async fn run(mut self) -> Result<SyncReport, SyncError> {
        let began = self.began();
        let result = self.in_time().instrument(began.span.clone()).await;
        let result = result.map_err(|error| error.at("engine", "sync"));
        self.ended(began, result.as_ref().err());
        match result {
            Ok(()) => Ok(self.report),
            Err(error) => Err(SyncError { error, report: Box::new(self.report) }),
        }
    }

    /// Runs the steps in the time that a sync may take. What was learned about the way to the peer is kept if they fail.
    async fn in_time(&mut self) -> Result<()> {
        let limit = self.settings.sync_timeout;
        let result = match tokio::time::timeout(limit.unwrap_or(Duration::MAX), self.steps()).await {
            Ok(result) => result.map(drop),
            Err(_) => Err(Error::new(
                ErrorKind::Timeout,
                "the sync took too long; what was done is kept, sync again",
            )
            .with("limit", format!("{:?}", limit.unwrap_or_default()))),
        };
        if result.is_err()
            && let Ok(notes) = self.learned_pace()
            && !notes.is_empty()
            && let Err(error) = self.store.edit(notes, Vec::new()).await
        {
            tracing::warn!(%error, "what was learned about the way to the peer is not saved");
        }
        result
    }

    /// Says that a sync begins.
    pub(super) fn began(&self) -> Began {
        self.settings.observers.notify(Notice::SyncBegan);
        Began {
            at: Instant::now(),
            traffic: self.transport.traffic(),
            span: tracing::info_span!("sync", peer = Empty, pushed = Empty, pulled = Empty),
        }
    }

    /// Completes the report of a sync, and says that it has ended.
    pub(super) fn ended(&mut self, Began { at, traffic: before, span }: Began, error: Option<&Error>) {
        let (traffic, report) = (self.transport.traffic(), &mut self.report);
        report.bytes_sent = traffic.sent.saturating_sub(before.sent);
        report.bytes_received = traffic.received.saturating_sub(before.received);
        report.round_trips = self.calls.made();
        report.duration = at.elapsed();
        if let Some(peer) = &report.peer {
            span.record("peer", peer.as_str());
        }
        span.record("pushed", report.pushed);
        span.record("pulled", report.pulled);
        span.in_scope(|| match error {
            None => tracing::debug!("synced"),
            Some(error) => tracing::debug!(%error, "a sync failed"),
        });
        self.settings.observers.notify(Notice::SyncEnded { report, error });
    }

    /// Runs the steps, and starts over if a log turns out to be another than the other side believes. Returns what is
    /// known of the peer at the end.
    pub(super) async fn steps(&mut self) -> Result<Peer> {
        let (mut last, mut turn) = (None, None::<PeerTurn>);
        for _ in 0..TRIES {
            let Some(mut peer) = self.meet().await? else { continue };
            if turn.as_ref().is_none_or(|turn| turn.peer != peer.store) {
                drop(turn.take());
                turn = Some(self.replica.peers().with(peer.store).await);
            }
            match self.exchange(&mut peer).await {
                Ok(()) if !std::mem::take(&mut self.is_stranger) => {
                    let next = self.to_push(peer.store, &peer.push, self.limits);
                    let left = peer.turn.wrote().map(|wrote| (next, wrote));
                    self.met.set(Met { peer: peer.store, left });
                    return Ok(peer);
                }
                Ok(()) => {}
                Err(error) if std::mem::take(self.overtaken.get_mut()) => {
                    self.met.set(Met::with(peer.store));
                    last = Some(error);
                }
                Err(error) if error.kind() == ErrorKind::CursorUnknown => {
                    self.met.set(Met::with(peer.store));
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
        self.look_for_copies(peer).await?;
        if peer.identity.suspect && self.pushes() {
            self.free_dots(peer).await?;
        }
        if self.direction != Direction::PushOnly {
            self.take_back(peer).await?;
            self.collect(peer).await?;
            if !peer.has_nothing_new() {
                peer.ahead = None;
                self.pull(peer).await?;
            }
            if self.is_stranger {
                return Ok(());
            }
        }
        if self.settle(self.report.pulled > 0).await? {
            peer.ahead = None;
        }
        if self.pushes() {
            self.push(peer).await?;
        }
        if self.is_stranger {
            return Ok(());
        }
        self.remember(peer).await
    }

    /// Settles the conflicts that wait for it. Whatever was stored may have changed a conflict that is on record. Returns
    /// whether the resolver was asked.
    pub(super) async fn settle(&mut self, stored: bool) -> Result<bool> {
        let on_record = self.report.conflicts.left + self.report.conflicts.found > 0;
        let due = std::mem::take(&mut self.conflicts_wait) || (stored && on_record);
        if due {
            let (settled, ended) =
                self.replica.settle_all(&mut self.report.conflicts, &self.settings.observers).await;
            self.moved(settled);
            ended?;
        }
        Ok(due)
    }

    pub(super) fn pushes(&self) -> bool {
        self.direction != Direction::PullOnly
    }

    pub(super) async fn remember(&mut self, peer: &mut Peer) -> Result<()> {
        let node = self.report.peer.clone().ok_or_else(|| Error::corrupt("the peer has no name"))?;
        let clock_skew_millis = self.report.clock_skew_millis;
        let note = PeerNote { node, synced_at: self.replica.now(), clock_skew_millis };
        let mut notes =
            vec![Note::json(notes::peer(peer.store), &note)?, Note::json(self.settings.last(), &peer.store)?];
        notes.extend(self.pace_note(peer.store)?);
        match peer.unsaved {
            true => self.save(peer, notes).await?,
            false => self.edit(peer, notes, Vec::new()).await?,
        }
        peer.unsaved = false;
        Ok(())
    }

    /// Records what was stored.
    pub(crate) fn moved(&mut self, stored: Settled) {
        self.report.local_head = self.report.local_head.max(stored.head);
        self.report.recovery.copy_in_use |= stored.copy_seen;
        if let Some(name) = stored.renewed {
            self.is_stranger = true;
            self.renewed(name, Renewal::SetBack);
        }
    }

    /// Records a fresh name.
    pub(crate) fn renewed(&mut self, name: NodeId, why: Renewal) {
        tracing::warn!(%name, ?why, "this replica has taken a fresh name");
        self.settings.observers.notify(Notice::Renewed { name: &name, why });
        self.report.recovery.renewed = Some(why);
        self.report.recovery.renamed_to = Some(name);
    }

    pub(crate) fn refuse(&mut self, refused: RefusedEvent) {
        tracing::warn!(event = refused.id, code = %refused.code, reason = refused.message, "an event was refused");
        self.settings.observers.notify(Notice::Refused(&refused));
        self.report.refuse(refused);
    }

    pub(crate) fn progress(&self) {
        self.settings.observers.notify(Notice::Progress(&self.report));
    }
}
