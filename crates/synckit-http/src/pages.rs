//! The stream of a subscription, both ends: JSON text sequences after RFC 7464.
//!
//! Every page stands between two record separators, a byte that JSON cannot contain. Lines would not do: the data of
//! an event keeps its text, line breaks included. What is blank between separators is a heartbeat.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use synckit_core::{Error, ErrorKind, PageStream, PullResponse, Result};
use synckit_wire::{Decode, Encode, WireLimits};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::timeout;

use crate::body::offload;
use crate::service::ResponseBody;

/// The media type of the stream.
pub(crate) const MEDIA_TYPE: &str = "application/json-seq";

/// The record separator.
const SEPARATOR: u8 = 0x1e;

/// Resolves when the flag is set; never when its sender is gone.
pub(crate) async fn raised(flag: &mut watch::Receiver<bool>) {
    if flag.wait_for(|raised| *raised).await.is_err() {
        std::future::pending().await
    }
}

struct Sending {
    pages: PageStream,
    heartbeat: Duration,
    closing: watch::Receiver<bool>,
    ended: bool,
    _room: OwnedSemaphorePermit,
}

/// The body that sends these pages, and heartbeats while there are none. It holds its permit until it is dropped.
pub(crate) fn sent(
    pages: PageStream,
    heartbeat: Duration,
    closing: watch::Receiver<bool>,
    room: OwnedSemaphorePermit,
) -> ResponseBody {
    let state = Sending { pages, heartbeat, closing, ended: false, _room: room };
    let frames = stream::unfold(state, async |mut state| {
        let bytes = state.next().await?;
        Some((Ok(Frame::data(bytes)), state))
    });
    StreamBody::new(frames).boxed_unsync()
}

impl Sending {
    async fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        let page = tokio::select! {
            biased;
            () = raised(&mut self.closing) => Some(Err(Error::new(
                ErrorKind::Unavailable,
                "the server shuts down; subscribe again at the last cursor",
            ))),
            page = timeout(self.heartbeat, self.pages.next()) => match page {
                Ok(page) => page,
                Err(_) => return Some(Bytes::from_static(&[SEPARATOR, b'\n'])),
            },
        };
        let text = match page? {
            Ok(page) => page.to_json(),
            Err(error) => {
                self.ended = true;
                error.to_json()
            }
        };
        let mut record = Vec::with_capacity(text.len() + 3);
        record.push(SEPARATOR);
        record.extend_from_slice(&text);
        record.extend_from_slice(&[b'\n', SEPARATOR]);
        Some(record.into())
    }
}

struct Receiving {
    body: Incoming,
    limits: WireLimits,
    idle: Duration,
    closed: watch::Receiver<bool>,
    url: String,
    buffer: Vec<u8>,
    /// Up to here the buffer has no separator.
    scanned: usize,
    ended: bool,
}

/// The pages that this body brings. After an error there are none. A stream that just ends is an error too, as a
/// subscription never does.
pub(crate) fn received(
    body: Incoming,
    limits: WireLimits,
    idle: Duration,
    closed: watch::Receiver<bool>,
    url: String,
) -> PageStream {
    let state = Receiving { body, limits, idle, closed, url, buffer: Vec::new(), scanned: 0, ended: false };
    Box::pin(stream::unfold(state, async |mut state| {
        if state.ended {
            return None;
        }
        let page = state.next().await;
        state.ended = page.is_err();
        let page = page.map_err(|error| error.with("url", &state.url).at("http", "subscribe"));
        Some((page, state))
    }))
}

impl Receiving {
    async fn next(&mut self) -> Result<PullResponse> {
        loop {
            if let Some(text) = self.record() {
                let limits = self.limits;
                return offload(text.len(), move || PullResponse::from_json(&text, &limits)).await;
            }
            if self.buffer.len() > self.limits.decoded_bytes {
                let most = self.limits.decoded_bytes;
                return Err(Error::too_large(format!("a page has more than the {most} bytes allowed")));
            }
            self.fill().await?;
        }
    }

    /// The next record that is whole and not blank.
    fn record(&mut self) -> Option<Vec<u8>> {
        while let Some(at) = self.buffer[self.scanned..].iter().position(|byte| *byte == SEPARATOR) {
            let end = self.scanned + at;
            let rest = self.buffer.split_off(end + 1);
            let mut text = std::mem::replace(&mut self.buffer, rest);
            self.scanned = 0;
            text.truncate(end);
            if !text.trim_ascii().is_empty() {
                return Some(text);
            }
        }
        self.scanned = self.buffer.len();
        None
    }

    async fn fill(&mut self) -> Result<()> {
        let unavailable = |message| Error::new(ErrorKind::Unavailable, message);
        let frame = tokio::select! {
            biased;
            () = raised(&mut self.closed) => {
                return Err(Error::new(ErrorKind::Closed, "the transport is closed"));
            }
            frame = timeout(self.idle, self.body.frame()) => frame.map_err(|_| {
                Error::new(ErrorKind::Timeout, "the subscription fell silent; subscribe again at the last cursor")
            })?,
        };
        let frame = frame
            .ok_or_else(|| unavailable("the subscription ended; subscribe again at the last cursor"))?
            .map_err(|error| unavailable("the subscription broke off").with_source(error))?;
        if let Some(data) = frame.data_ref() {
            self.buffer.extend_from_slice(data);
        }
        Ok(())
    }
}
