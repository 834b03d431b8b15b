//! Staying with a peer after a sync: pages arrive over a subscription, and what is recorded here is pushed at once.

use std::pin::Pin;
use std::time::Duration;

use synckit_core::{
    Cursor, Error, ErrorKind, EventStore, Needs, PageStream, Position, PullResponse, Result, Scope, Transport,
};
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::Instrument;

use crate::live::{Eye, LiveState};
use crate::observe::Call;
use crate::sync::builder::Direction;
use crate::sync::peer::Peer;
use crate::sync::session::Session;

/// A peer sends a page, if only an empty one, at least every five seconds. After this long it is taken to be gone, or
/// something between keeps its pages back.
const SILENCE: Duration = Duration::from_secs(15);

/// How often the peer is asked if subscriptions do not get through.
const POLL: Duration = Duration::from_secs(10);

/// The shortest time between the beginnings of two pushes: what is recorded meanwhile is pushed together.
const GATHER: Duration = Duration::from_millis(12);

/// How long it may stay unsaved how far both sides have come, so that many pushes cost one commit. After a crash before
/// that, the next hello tells it.
const SAVE: Duration = Duration::from_millis(250);

/// How a replica stays with its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Over a subscription.
    Subscription,
    /// By asking from time to time.
    Polling,
    /// By syncing in periods; what is recorded waits for the next one.
    Periods(Duration),
}

impl Way {
    fn state(self) -> LiveState {
        if self == Way::Subscription { LiveState::Live } else { LiveState::Polling }
    }

    /// Returns when to ask the peer again.
    fn next(self) -> Option<Instant> {
        match self {
            Way::Subscription => None,
            Way::Polling => Some(Instant::now() + POLL),
            Way::Periods(period) => Some(Instant::now() + period),
        }
    }
}

impl<S: EventStore, T: Transport> Session<'_, S, T> {
    /// Syncs, and then stays with the peer if `synced` says so, until the next sync is due, or something fails. Returns
    /// whether both logs are still those that the hello compared.
    pub(crate) async fn live(mut self, way: Way, eye: &Eye, synced: impl FnOnce() -> bool) -> Result<bool> {
        let mut peer = self.begin().await?;
        self.report(&peer, eye);
        // Said before anybody who waits for it is woken.
        eye.together(way.state(), self.replica.now());
        if !synced() {
            return Ok(true);
        }
        let subscribes = way == Way::Subscription && self.direction != Direction::PushOnly;
        let mut pages = match subscribes {
            true => Some(self.subscribe(&peer).await?),
            false => None,
        };
        let followed = async {
            let same = self.follow(&mut peer, pages.as_mut(), way, eye).await?;
            if same && peer.unsaved {
                self.remember(&mut peer).await?;
            }
            Ok(same)
        };
        match followed.await {
            Err(error) if self.starts_over(&error) => Ok(false),
            result => result,
        }
    }

    /// Syncs.
    async fn begin(&mut self) -> Result<Peer> {
        let began = self.began();
        let result = self.steps().instrument(began.span.clone()).await;
        self.ended(began, result.as_ref().err());
        result
    }

    async fn subscribe(&self, peer: &Peer) -> Result<PageStream> {
        let request = self.request(peer, self.reached(peer), Scope::Others);
        self.calls.call(Call::Subscribe, 1, self.transport.subscribe(request)).await
    }

    fn reached(&self, peer: &Peer) -> Option<Cursor> {
        peer.pull.as_ref().map(|note| note.cursor.clone()).filter(|cursor| cursor.position() > 0)
    }

    /// Stays with the peer. Returns whether both logs are still those that the hello compared.
    async fn follow(
        &mut self,
        peer: &mut Peer,
        mut pages: Option<&mut PageStream>,
        way: Way,
        eye: &Eye,
    ) -> Result<bool> {
        let again = way.next();
        let looks_at_once = !matches!(way, Way::Periods(_));
        let (mut after, mut save_at) = (self.reached(peer), peer.unsaved.then(Instant::now));
        let (mut push_at, mut heard) = (Instant::now(), Instant::now());
        let mut seen_to = self.report.local_head;
        loop {
            let (store, done_to) = (self.store, if self.pushes() { peer.push.position } else { seen_to });
            tokio::select! {
                biased;
                page = next(pages.as_deref_mut(), heard + SILENCE) => {
                    let page = page?;
                    heard = Instant::now();
                    let before = after.replace(page.next.clone());
                    if !self.arrived(peer, (before, page), eye).await? {
                        return Ok(false);
                    }
                }
                head = async {
                    sleep_until(push_at).await;
                    store.moved(done_to).await
                }, if looks_at_once => {
                    seen_to = head?;
                    if seen_to < done_to {
                        // The log was set back. The next hello shows what follows from that.
                        return Ok(false);
                    }
                    push_at = Instant::now() + GATHER;
                    if !self.grown(peer, seen_to, eye).await? {
                        return Ok(false);
                    }
                }
                () = due(save_at) => self.remember(peer).await?,
                () = due(again) => return Ok(true),
            }
            save_at = match (peer.unsaved, save_at) {
                (true, None) => Some(Instant::now() + SAVE),
                (true, at) => at,
                (false, _) => None,
            };
            self.report(peer, eye);
        }
    }

    /// Pushes what the log has up to its end. Returns whether the peer is still the one that said hello.
    async fn grown(&mut self, peer: &mut Peer, end: Position, eye: &Eye) -> Result<bool> {
        if !self.pushes() {
            // The log may have been restored; a push finds that out by itself.
            return self.lasts(&peer.turn).await;
        }
        eye.pending(end - peer.push.position, end);
        self.push(peer).await?;
        if !self.is_stranger {
            // What was recorded may settle a conflict, or begin one.
            let open = self.replica.conflicts_on_record().await?;
            self.report.conflicts.on_record(open);
        }
        Ok(!self.is_stranger)
    }

    /// Stores a page that arrived, and settles and pushes what follows from it. Returns whether the peer is still the
    /// one that said hello.
    async fn arrived(
        &mut self,
        peer: &mut Peer,
        fetched: (Option<Cursor>, PullResponse),
        eye: &Eye,
    ) -> Result<bool> {
        let page = &fetched.1;
        let reached = peer.pull.as_ref().map_or(0, |note| note.cursor.position());
        let is_empty = page.events.is_empty() && page.unreadable.is_empty();
        if is_empty && page.next.store() == peer.store && page.next.position() <= reached {
            eye.still_together(self.replica.now());
            return Ok(true);
        }
        if !page.ids.is_empty() {
            let needs = Needs { ids: page.ids.clone(), ..Needs::default() };
            let facts = self.facts_in(&peer.turn, needs).await?;
            if facts.is_none_or(|facts| page.ids.iter().any(|id| facts.position(id).is_none())) {
                // A copy of this replica is in use, and has pushed: its events would be missed, and their effects would
                // come before them. The next hello shows it.
                return Ok(false);
            }
        }
        peer.head = peer.head.max(page.next.position());
        self.report.peer_head = peer.head;
        let before = self.report.pulled;
        self.store_together(peer, vec![fetched]).await?;
        if self.is_stranger {
            return Ok(false);
        }
        self.settle(self.report.pulled > before).await?;
        // What came from the peer is passed over, so that it does not count as pending.
        if self.pushes() {
            self.push(peer).await?;
        }
        Ok(!self.is_stranger)
    }

    /// Returns whether an error means that another exchange was faster, or that the peer's log is another one now.
    fn starts_over(&mut self, error: &Error) -> bool {
        std::mem::take(self.overtaken.get_mut()) || error.kind() == ErrorKind::CursorUnknown
    }

    fn report(&self, peer: &Peer, eye: &Eye) {
        let upto = if self.pushes() { peer.push.position } else { self.report.local_head };
        eye.pending(0, upto);
        eye.report(&self.report);
        eye.still_together(self.replica.now());
    }
}

/// Waits until then; for ever, without a time.
pub(crate) async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Returns the next page; never, without a subscription.
async fn next(pages: Option<&mut PageStream>, until: Instant) -> Result<PullResponse> {
    let Some(pages) = pages else { return std::future::pending().await };
    let next =
        std::future::poll_fn(|context| futures_core::Stream::poll_next(Pin::new(&mut *pages), context));
    match timeout_at(until, next).await {
        Ok(Some(page)) => page,
        Ok(None) => Err(Error::new(ErrorKind::Unavailable, "the peer has ended the subscription")),
        Err(_) => {
            let message = "nothing arrives over the subscription; something on the way keeps it back";
            Err(Error::new(ErrorKind::Timeout, message))
        }
    }
}
