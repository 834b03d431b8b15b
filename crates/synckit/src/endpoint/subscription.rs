//! What a subscriber gets: pages as the log grows, and heartbeats.

use std::time::Duration;

use futures_util::stream;
use synckit_core::{
    Caller, Cursor, Error, EventStore, PageStream, Position, PullRequest, PullResponse, Result,
};
use tokio::time::Instant;

use crate::endpoint::Endpoint;
use crate::endpoint::tail::Why;
use crate::observe::{Notice, Observers};

/// How long a subscription may be silent. Then it sends a sign of life, and looks for events that nobody announced.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// A subscription that is under way.
pub(super) struct Subscription<S> {
    endpoint: Endpoint<S>,
    /// The request for the next page.
    request: PullRequest,
    /// The next page, if it was read already.
    ready: Option<PullResponse>,
    /// Whether there is more after the last page.
    more: bool,
    subscriber: Subscriber,
    failed: bool,
}

impl<S: EventStore> Subscription<S> {
    /// Begins a subscription with a page that was read already.
    pub(super) fn new(endpoint: Endpoint<S>, request: PullRequest, first: PullResponse) -> Self {
        let subscriber = Subscriber::new(endpoint.observers.clone(), request.caller.clone());
        Subscription { endpoint, request, ready: Some(first), more: false, subscriber, failed: false }
    }

    /// Returns its pages.
    pub(super) fn pages(self) -> PageStream {
        // In a box, so that what is passed on from page to page is small.
        Box::pin(stream::unfold(Box::new(self), |mut subscription| async {
            let page = subscription.next().await?;
            Some((page, subscription))
        }))
    }

    /// Returns the next page, once there is one or a heartbeat is due; `None` after a failure.
    async fn next(&mut self) -> Option<Result<PullResponse>> {
        if self.failed {
            return None;
        }
        let page = match self.ready.take() {
            Some(page) => Ok(page),
            None => {
                let reached = self.request.cursor.as_ref().map_or(0, Cursor::position);
                let why = if self.more { Why::Growth } else { self.moved(reached).await };
                // In a box, so that one that waits takes no room for what reading takes.
                Box::pin(self.endpoint.next_page(&self.request, why)).await
            }
        };
        self.subscriber.sends(&page);
        match &page {
            Ok(page) => {
                self.request.cursor = Some(page.next.clone());
                self.more = page.more;
            }
            Err(_) => self.failed = true,
        }
        Some(page)
    }

    /// Waits until the log has grown beyond a position, or a heartbeat is due.
    async fn moved(&self, after: Position) -> Why {
        tokio::select! {
            // If this fails, reading the next page also fails, and reports why.
            _ = self.endpoint.store.moved(after) => Why::Growth,
            () = tokio::time::sleep(HEARTBEAT) => Why::Heartbeat,
        }
    }
}

/// A subscription. Notifies observers that it has begun, and that it has ended.
pub(super) struct Subscriber {
    observers: Observers,
    caller: Caller,
    since: Instant,
    sent: usize,
    ended: bool,
}

impl Subscriber {
    pub(super) fn new(observers: Observers, caller: Caller) -> Self {
        observers.notify(Notice::Subscribed { caller: &caller });
        Subscriber { observers, caller, since: Instant::now(), sent: 0, ended: false }
    }

    /// Counts what is sent.
    pub(super) fn sends(&mut self, page: &Result<PullResponse>) {
        match page {
            Ok(page) => self.sent += page.events.len(),
            Err(error) => self.end(Some(error)),
        }
    }

    fn end(&mut self, error: Option<&Error>) {
        if !std::mem::replace(&mut self.ended, true) {
            let (caller, sent, lasted) = (&self.caller, self.sent, self.since.elapsed());
            self.observers.notify(Notice::Unsubscribed { caller, sent, lasted, error });
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.end(None);
    }
}
