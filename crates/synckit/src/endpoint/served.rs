//! Notices of the calls that an endpoint serves.

use std::future::Future;

use futures_util::FutureExt;
use synckit_core::{Caller, HelloResponse, MissingResponse, PageStream, PullResponse, PushResponse, Result};
use tokio::time::Instant;
use tracing::Instrument;

use crate::observe::{Call, Notice, Observers};

/// How many events an answer moves.
#[derive(Default)]
pub(super) struct Moved {
    received: usize,
    sent: usize,
    refused: usize,
}

/// An answer that says how many events it moves.
pub(super) trait Moves {
    fn moved(&self) -> Moved {
        Moved::default()
    }
}

impl Moves for HelloResponse {
    fn moved(&self) -> Moved {
        Moved { received: self.ahead.as_ref().map_or(0, |stored| stored.accepted), ..Moved::default() }
    }
}

impl Moves for PullResponse {
    fn moved(&self) -> Moved {
        Moved { sent: self.events.len(), ..Moved::default() }
    }
}

impl Moves for PushResponse {
    fn moved(&self) -> Moved {
        Moved { received: self.accepted, refused: self.refused.len(), ..Moved::default() }
    }
}

impl Moves for MissingResponse {}

impl Moves for PageStream {}

impl Observers {
    /// Serves a call in a span of its own, and notifies observers. The future is in a box, so that the types of transports which
    /// wrap one another stay small.
    pub(super) async fn served<A: Moves>(
        &self,
        call: Call,
        caller: &Caller,
        answer: impl Future<Output = Result<A>> + Send,
    ) -> Result<A> {
        let begun = Instant::now();
        let span = tracing::debug_span!("serve", %call, caller = %caller.node);
        let answer = answer.instrument(span).boxed().await;
        let Moved { received, sent, refused } = answer.as_ref().map(A::moved).unwrap_or_default();
        let (took, error) = (begun.elapsed(), answer.as_ref().err());
        self.notify(Notice::Served { call, caller, received, sent, refused, took, error });
        answer
    }
}
