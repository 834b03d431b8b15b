//! Messages within a stream of bytes: each follows a flag that says whether it is packed, and its length.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::Body;
use synckit_core::{Error, ErrorKind, Result};
use synckit_net::{BoxError, Coding};
use synckit_remote::{Arrival, Digest, Packed, damaged};
use synckit_wire::Format;

use crate::status;

/// The size of a flag and a length.
const PREFIX: usize = 5;

/// Puts the flag and the length before a message.
pub(crate) fn framed(message: &Packed) -> Bytes {
    let mut frame = BytesMut::with_capacity(PREFIX + message.bytes.len());
    frame.put_u8(u8::from(message.coding != Coding::Identity));
    frame.put_u32(message.bytes.len() as u32);
    frame.extend_from_slice(&message.bytes);
    frame.freeze()
}

/// The messages of a body, and the status after them.
pub(crate) struct Frames<B> {
    body: B,
    coding: Coding,
    /// Where the digests of the messages are.
    digest: Digest,
    /// The most bytes of a message on the wire.
    most: usize,
    /// The kind of the error for wrong bytes: it blames the other side, whichever side this is.
    wrong: ErrorKind,
    buffer: BytesMut,
    /// The headers that hold the status: those after the body or, without a body, those before it.
    pub(crate) trailers: Option<HeaderMap>,
}

impl<B> Frames<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    pub(crate) fn new(body: B, coding: Coding, digest: Digest, most: usize, wrong: ErrorKind) -> Self {
        Frames { body, coding, digest, most, wrong, buffer: BytesMut::new(), trailers: None }
    }

    /// Returns the next message, or `None` when the body has ended. Dropping the future loses nothing of what was
    /// received.
    ///
    /// # Errors
    /// `TooLarge` for a message above the limits, before it is received; `wrong` for bytes that are not a message;
    /// `Unavailable` when the body breaks off.
    pub(crate) async fn next(&mut self) -> Result<Option<Packed>> {
        self.receive(None).await
    }

    /// Returns the next message as [`Frames::next`] does; a request takes its memory from its arrival.
    ///
    /// # Errors
    /// Those of [`Frames::next`], and `Busy` when there is no memory.
    pub(crate) async fn receive(&mut self, mut arrival: Option<&mut Arrival>) -> Result<Option<Packed>> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            let Some(frame) = self.body.frame().await else {
                if self.buffer.is_empty() {
                    return Ok(None);
                }
                return Err(broken("the stream ended within a message"));
            };
            let frame = frame.map_err(|error| broken("the stream broke off").with_source(error.into()))?;
            match frame.into_data() {
                Ok(data) => {
                    if let Some(arrival) = &mut arrival {
                        arrival.make_room(data.len()).await?;
                    }
                    self.buffer.extend_from_slice(&data);
                }
                Err(frame) => self.trailers = frame.into_trailers().ok().or(self.trailers.take()),
            }
        }
    }

    /// Checks the status after the last message.
    ///
    /// # Errors
    /// The error of a call that failed; `Unavailable` without a status, since the stream then broke off.
    pub(crate) fn ended(&self) -> Result<()> {
        let none = || Err(broken("the stream ended without a status"));
        self.trailers.as_ref().and_then(status::read).unwrap_or_else(none)
    }

    /// Takes a whole message out of the buffer.
    fn take(&mut self) -> Result<Option<Packed>> {
        let mut prefix = &*self.buffer;
        if prefix.len() < PREFIX {
            return Ok(None);
        }
        let (flag, length) = (prefix.get_u8(), prefix.get_u32() as usize);
        if flag > 1 {
            return Err(self.wrong("the stream does not consist of gRPC messages"));
        }
        let coding = match flag {
            0 => Coding::Identity,
            _ if self.coding == Coding::Identity => {
                return Err(self.wrong("a message is packed, but no header says how"));
            }
            _ => self.coding,
        };
        let most = self.most;
        if length > most {
            return Err(Error::too_large(format!(
                "a message has {length} bytes on the wire; at most {most} are allowed; send smaller batches"
            )));
        }
        if self.buffer.len() < PREFIX + length {
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        let bytes = self.buffer.split_to(length).freeze();
        Ok(Some(Packed { coding, format: Format::Protobuf, digest: self.digest, bytes }))
    }

    /// Returns the error for bytes that are not a message. A side whose messages have digests sends none, so they were
    /// damaged on their way.
    fn wrong(&self, message: &'static str) -> Error {
        match self.digest {
            Digest::Absent => Error::new(self.wrong, message),
            _ => damaged(message),
        }
    }
}

fn broken(message: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, message).in_transit()
}
