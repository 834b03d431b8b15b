//! The stream of a subscription, both ends.
//!
//! In JSON it is a text sequence after RFC 7464: every page stands between two record separators, a byte that JSON
//! cannot contain. Lines would not do: the data of an event keeps its text, line breaks included. What is blank between
//! separators is a heartbeat. In protobuf every page has its length as a varint before it; a length of 0 is a heartbeat.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use synckit_core::{Error, ErrorKind, PageStream, PullResponse, Result};
use synckit_net::{offload, raised};
use synckit_wire::{Decode, Encode, Format, WireLimits};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::timeout;

use crate::service::ResponseBody;

/// The record separator.
const SEPARATOR: u8 = 0x1e;

/// The most bytes of the length of a message: 35 bits.
const LENGTH_BYTES: usize = 5;

struct Sending {
    pages: PageStream,
    format: Format,
    heartbeat: Duration,
    closing: watch::Receiver<bool>,
    ended: bool,
    _room: OwnedSemaphorePermit,
}

/// The body that sends these pages, and heartbeats while there are none. It holds its permit until it is dropped.
pub(crate) fn sent(
    pages: PageStream,
    format: Format,
    heartbeat: Duration,
    closing: watch::Receiver<bool>,
    room: OwnedSemaphorePermit,
) -> ResponseBody {
    let state = Sending { pages, format, heartbeat, closing, ended: false, _room: room };
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
                Err(_) => return Some(heartbeat(self.format)),
            },
        };
        let page = match page? {
            Ok(page) => page.encode(self.format),
            Err(error) => {
                self.ended = true;
                error.encode(self.format)
            }
        };
        Some(framed(self.format, &page))
    }
}

fn heartbeat(format: Format) -> Bytes {
    Bytes::from_static(match format {
        Format::Json => &[SEPARATOR, b'\n'],
        Format::Protobuf => &[0],
    })
}

fn framed(format: Format, page: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(page.len() + 10);
    match format {
        Format::Json => {
            frame.push(SEPARATOR);
            frame.extend_from_slice(page);
            frame.extend_from_slice(&[b'\n', SEPARATOR]);
        }
        Format::Protobuf => {
            let mut length = page.len();
            while length >= 0x80 {
                frame.push(length as u8 | 0x80);
                length >>= 7;
            }
            frame.push(length as u8);
            frame.extend_from_slice(page);
        }
    }
    frame.into()
}

struct Receiving {
    body: Incoming,
    format: Format,
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
    format: Format,
    limits: WireLimits,
    idle: Duration,
    closed: watch::Receiver<bool>,
    url: String,
) -> PageStream {
    let state =
        Receiving { body, format, limits, idle, closed, url, buffer: Vec::new(), scanned: 0, ended: false };
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
            let record = match self.format {
                Format::Json => self.record(),
                Format::Protobuf => self.message()?,
            };
            if let Some(record) = record {
                let (format, limits) = (self.format, self.limits);
                return offload(record.len(), move || PullResponse::decode(format, &record, &limits)).await;
            }
            if self.buffer.len() > self.limits.decoded_bytes.saturating_add(LENGTH_BYTES) {
                let most = self.limits.decoded_bytes;
                return Err(Error::too_large(format!("a page has more than the {most} bytes allowed")));
            }
            self.fill().await?;
        }
    }

    /// The next message that is whole and not empty. Its length is checked before there is room for it.
    fn message(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            let mut length = 0_usize;
            let Some(end) = self.buffer.iter().take(LENGTH_BYTES).position(|byte| byte & 0x80 == 0) else {
                if self.buffer.len() < LENGTH_BYTES {
                    return Ok(None);
                }
                return Err(Error::corrupt("the length of a page cannot be read"));
            };
            for (at, byte) in self.buffer[..=end].iter().enumerate() {
                length |= usize::from(byte & 0x7f) << (7 * at);
            }
            if length > self.limits.decoded_bytes {
                let most = self.limits.decoded_bytes;
                return Err(Error::too_large(format!("a page has more than the {most} bytes allowed")));
            }
            let (start, end) = (end + 1, end + 1 + length);
            if self.buffer.len() < end {
                return Ok(None);
            }
            let rest = self.buffer.split_off(end);
            let mut message = std::mem::replace(&mut self.buffer, rest);
            if length > 0 {
                message.drain(..start);
                return Ok(Some(message));
            }
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
