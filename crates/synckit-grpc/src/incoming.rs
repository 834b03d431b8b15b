//! The pages of a subscription at the client.

use std::time::Duration;

use futures_util::stream;
use hyper::body::Incoming;
use synckit_core::{Error, ErrorKind, PageStream, PullResponse, Result};
use synckit_net::raised;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::frame::Frames;

struct Receiving {
    frames: Frames<Incoming>,
    idle: Duration,
    closed: watch::Receiver<bool>,
    url: String,
    ended: bool,
}

/// The pages that this stream brings. After an error there are none. A stream that just ends is an error too, as a
/// subscription never does. Nothing is read ahead of what is taken, beyond the window of the stream.
pub(crate) fn received(
    frames: Frames<Incoming>,
    idle: Duration,
    closed: watch::Receiver<bool>,
    url: String,
) -> PageStream {
    let state = Receiving { frames, idle, closed, url, ended: false };
    Box::pin(stream::unfold(state, async |mut state| {
        if state.ended {
            return None;
        }
        let page = state.next().await;
        state.ended = page.is_err();
        let page = page.map_err(|error| error.with("url", &state.url).at("grpc", "subscribe"));
        Some((page, state))
    }))
}

impl Receiving {
    async fn next(&mut self) -> Result<PullResponse> {
        let page = tokio::select! {
            biased;
            () = raised(&mut self.closed) => {
                return Err(Error::new(ErrorKind::Closed, "the transport is closed"));
            }
            page = timeout(self.idle, self.frames.next()) => page,
        };
        let silent = |_| {
            let millis = self.idle.as_millis();
            Error::new(ErrorKind::Timeout, format!("nothing came of the subscription for {millis} ms"))
        };
        match page.map_err(silent)?? {
            Some(page) => Ok(page),
            None => {
                self.frames.ended()?;
                Err(Error::new(
                    ErrorKind::Unavailable,
                    "the subscription ended; subscribe again at the last cursor",
                ))
            }
        }
    }
}
