//! Messages within a stream of bytes: each has a flag that says whether it is packed, and its length, before it.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::Body;
use synckit_core::{Error, ErrorKind, Result};
use synckit_net::{BoxError, Coding, offload};
use synckit_wire::{Decode, Encode, WireLimits};

use crate::status;

/// A flag and a length.
const PREFIX: usize = 5;

/// Encodes, packs and frames a message.
///
/// # Errors
/// `TooLarge` when the message is larger than allowed on the wire.
pub(crate) async fn write<M: Encode + Send + 'static>(
    message: M,
    coding: Coding,
    limits: &WireLimits,
) -> Result<Bytes> {
    let encoded = message.to_protobuf();
    let most = limits.body_bytes;
    offload(encoded.len(), move || {
        let packed = coding.pack(&encoded);
        let (flag, message) = match &packed {
            Some(packed) => (1, packed),
            None => (0, &encoded),
        };
        if message.len() > most {
            let length = message.len();
            return Err(Error::too_large(format!(
                "the message has {length} bytes; at most {most} are allowed; send smaller batches"
            )));
        }
        let mut frame = BytesMut::with_capacity(PREFIX + message.len());
        frame.put_u8(flag);
        frame.put_u32(message.len() as u32);
        frame.extend_from_slice(message);
        Ok(frame.freeze())
    })
    .await
}

/// The messages of a body, and what comes after them.
pub(crate) struct Frames<B> {
    body: B,
    coding: Coding,
    limits: WireLimits,
    /// The kind of what is wrong with the bytes: the other side's fault, whichever side this is.
    wrong: ErrorKind,
    buffer: BytesMut,
    /// Where the status is: after the body, or in the header where there is no body.
    pub(crate) trailers: Option<HeaderMap>,
}

impl<B> Frames<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    pub(crate) fn new(body: B, coding: Coding, limits: WireLimits, wrong: ErrorKind) -> Self {
        Frames { body, coding, limits, wrong, buffer: BytesMut::new(), trailers: None }
    }

    /// The next message; none when the body has ended. Dropped, it loses nothing of what has come.
    ///
    /// # Errors
    /// `TooLarge` for a message above the limits, known before it is received; `wrong` for bytes that are none;
    /// `Unavailable` when the body breaks off.
    pub(crate) async fn next<M: Decode + Send + 'static>(&mut self) -> Result<Option<M>> {
        loop {
            if let Some((packed, message)) = self.take()? {
                let coding = packed.then_some(self.coding);
                return decode(coding, message, self.limits, self.wrong).await.map(Some);
            }
            let Some(frame) = self.body.frame().await else {
                if self.buffer.is_empty() {
                    return Ok(None);
                }
                return Err(Error::new(ErrorKind::Unavailable, "the stream ended within a message"));
            };
            let frame = frame.map_err(|error| {
                Error::new(ErrorKind::Unavailable, "the stream broke off").with_source(error.into())
            })?;
            match frame.into_data() {
                Ok(data) => self.buffer.extend_from_slice(&data),
                Err(frame) => self.trailers = frame.into_trailers().ok().or(self.trailers.take()),
            }
        }
    }

    /// Checks the status that stood after the last message.
    ///
    /// # Errors
    /// That of a call that failed; `Unavailable` where there is no status, as the stream broke off then.
    pub(crate) fn ended(&self) -> Result<()> {
        let broken = || Error::new(ErrorKind::Unavailable, "the stream ended without a status");
        self.trailers.as_ref().and_then(status::read).unwrap_or_else(|| Err(broken()))
    }

    /// A whole message in the buffer, and whether it is packed.
    fn take(&mut self) -> Result<Option<(bool, Bytes)>> {
        let mut prefix = &*self.buffer;
        if prefix.len() < PREFIX {
            return Ok(None);
        }
        let (flag, length) = (prefix.get_u8(), prefix.get_u32() as usize);
        if flag > 1 {
            return Err(Error::new(self.wrong, "the stream does not consist of gRPC messages"));
        }
        let most = self.limits.body_bytes;
        if length > most {
            return Err(Error::too_large(format!(
                "a message has {length} bytes on the wire; at most {most} are allowed; send smaller batches"
            )));
        }
        if self.buffer.len() < PREFIX + length {
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        Ok(Some((flag == 1, self.buffer.split_to(length).freeze())))
    }
}

async fn decode<M: Decode + Send + 'static>(
    coding: Option<Coding>,
    message: Bytes,
    limits: WireLimits,
    wrong: ErrorKind,
) -> Result<M> {
    let coding = match coding {
        Some(Coding::Identity) => return Err(Error::new(wrong, "a message is packed, and nothing says how")),
        Some(coding) => coding,
        None => Coding::Identity,
    };
    offload(coding.estimate(message.len()), move || {
        let unpacked = coding.unpack(message, limits.decoded_bytes).map_err(|error| match error.kind() {
            ErrorKind::Invalid => Error::new(wrong, error.message().to_owned()),
            _ => error,
        })?;
        M::from_protobuf(&unpacked, &limits)
    })
    .await
}
