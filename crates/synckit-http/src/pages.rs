//! The stream of a subscription, both ends.
//!
//! In JSON it is a text sequence as in RFC 7464: every page is between two record separators, a byte that JSON cannot
//! contain. Lines would not work: the data of an event keeps its text, line breaks included. A blank between separators
//! is a heartbeat. In protobuf every page follows its length, a varint; a length of 0 is a heartbeat.

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming as Body};
use synckit_core::{Error, ErrorKind, Result};
use synckit_net::Coding;
use synckit_remote::{Beat, Digest, Incoming, Packed, Pump, Sign, seal, subscription_ended};
use synckit_wire::{Encode, Format};

use crate::service::ResponseBody;

/// The record separator.
const SEPARATOR: u8 = 0x1e;

/// The most bytes that the length of a message takes: 35 bits.
const LENGTH_BYTES: usize = 5;

/// Returns the body that sends a subscription, and then the error that ends it.
pub(crate) fn sent(pump: Pump, format: Format) -> ResponseBody {
    let frames = stream::unfold(Some(pump), move |pump: Option<Pump>| async move {
        let mut pump = pump?;
        let (bytes, pump) = match pump.next().await {
            Ok(Beat::Page(page)) => (framed(format, &seal(format, page)), Some(pump)),
            Ok(Beat::Silence) => (heartbeat(format), Some(pump)),
            Err(error) => (framed(format, &seal(format, error.encode(format))), None),
        };
        Some((Ok(Frame::data(bytes)), pump))
    });
    StreamBody::new(frames).boxed_unsync()
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

/// The pages received from a body.
#[derive(Debug)]
pub struct HttpPages {
    body: Body,
    format: Format,
    digest: Digest,
    /// The most bytes of a page.
    most: usize,
    buffer: Vec<u8>,
    /// The place in the buffer up to which there is no separator.
    scanned: usize,
}

impl HttpPages {
    pub(crate) fn new(body: Body, format: Format, digest: Digest, most: usize) -> Self {
        HttpPages { body, format, digest, most, buffer: Vec::new(), scanned: 0 }
    }

    fn too_large(&self) -> Error {
        Error::too_large(format!("a page has more than the {} bytes allowed", self.most))
    }

    /// Takes the next message that is complete and not empty. Checks its length before making room for it.
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
            if length > self.most {
                return Err(self.too_large());
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

    /// Takes the next record that is complete and not blank.
    fn record(&mut self) -> Option<Vec<u8>> {
        while let Some(at) = self.buffer[self.scanned..].iter().position(|byte| *byte == SEPARATOR) {
            let end = self.scanned + at;
            let rest = self.buffer.split_off(end + 1);
            let mut text = std::mem::replace(&mut self.buffer, rest);
            self.scanned = 0;
            text.truncate(end);
            text.truncate(text.trim_ascii_end().len());
            if !text.trim_ascii().is_empty() {
                return Some(text);
            }
        }
        self.scanned = self.buffer.len();
        None
    }
}

impl Incoming for HttpPages {
    async fn next(&mut self) -> Result<Sign> {
        let record = match self.format {
            Format::Json => self.record(),
            Format::Protobuf => self.message()?,
        };
        if let Some(record) = record {
            let (coding, format, digest) = (Coding::Identity, self.format, self.digest);
            return Ok(Sign::Page(Packed { coding, format, digest, bytes: record.into() }));
        }
        if self.buffer.len() > self.most.saturating_add(LENGTH_BYTES) {
            return Err(self.too_large());
        }
        let frame = self.body.frame().await.ok_or_else(subscription_ended)?.map_err(|error| {
            Error::new(ErrorKind::Unavailable, "the subscription broke off").with_source(error)
        })?;
        if let Some(data) = frame.data_ref() {
            self.buffer.extend_from_slice(data);
        }
        Ok(Sign::Alive)
    }
}
