//! A subscription as a client receives it.

use std::future::Future;
use std::time::Duration;

use futures_util::stream;
use synckit_core::{Error, ErrorKind, PageStream, PullResponse, Result};
use synckit_net::raised;
use synckit_wire::WireLimits;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::client::closed;
use crate::message::Packed;

/// The incoming parts of a subscription, piece by piece.
///
/// ```
/// use std::collections::VecDeque;
///
/// use synckit_core::Result;
/// use synckit_remote::{Incoming, Packed, Sign, subscription_ended};
///
/// /// Pages that have all arrived.
/// struct Arrived(VecDeque<Packed>);
///
/// impl Incoming for Arrived {
///     async fn next(&mut self) -> Result<Sign> {
///         self.0.pop_front().map(Sign::Page).ok_or_else(subscription_ended)
///     }
/// }
/// ```
pub trait Incoming: Send + 'static {
    /// Waits for the next page, or for anything else that shows that the subscription is alive. The future is dropped
    /// only with the whole subscription.
    ///
    /// # Errors
    /// What ends the subscription: the peer's error, a connection that broke, [`subscription_ended`].
    fn next(&mut self) -> impl Future<Output = Result<Sign>> + Send;
}

/// A sign that a subscription is alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sign {
    /// A page.
    Page(Packed),
    /// A heartbeat, or a part of a page.
    Alive,
}

/// Returns the error for a subscription that ends without an error, which no subscription should do.
pub fn subscription_ended() -> Error {
    Error::new(ErrorKind::Unavailable, "the subscription ended; subscribe again at the last cursor")
}

/// How a subscription is read.
pub(crate) struct Reader {
    pub(crate) name: &'static str,
    pub(crate) url: String,
    pub(crate) limits: WireLimits,
    pub(crate) idle: Duration,
    pub(crate) closed: watch::Receiver<bool>,
}

impl Reader {
    /// Returns the incoming pages. After an error there are no more.
    pub(crate) fn pages(self, incoming: impl Incoming) -> PageStream {
        Box::pin(stream::unfold(Some((self, incoming)), async |state| {
            let (mut reader, mut incoming) = state?;
            match reader.next(&mut incoming).await {
                Ok(page) => Some((Ok(page), Some((reader, incoming)))),
                Err(error) => {
                    let error = error.with("url", &reader.url).at(reader.name, "subscribe");
                    Some((Err(error), None))
                }
            }
        }))
    }

    async fn next(&mut self, incoming: &mut impl Incoming) -> Result<PullResponse> {
        loop {
            let sign = tokio::select! {
                biased;
                () = raised(&mut self.closed) => return Err(closed()),
                sign = timeout(self.idle, incoming.next()) => sign,
            };
            let silent = |_| {
                let millis = self.idle.as_millis();
                let message = format!(
                    "nothing came from the subscription for {millis} ms; continue at the last cursor"
                );
                Error::new(ErrorKind::Timeout, message)
            };
            if let Sign::Page(page) = sign.map_err(silent)?? {
                return page.read(&self.limits, ErrorKind::Corrupt).await;
            }
        }
    }
}
