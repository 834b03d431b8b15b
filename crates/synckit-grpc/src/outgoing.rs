//! Bodies that are sent piece by piece, as the other side takes them.
//!
//! A task makes the messages, and waits with the next until the flow control of the stream has let the one before pass.
//! It holds only that one message.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::HeaderMap;
use http_body_util::StreamBody;
use hyper::body::Frame;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::body::Body;

/// The size of a piece.
const PIECE: usize = 32 << 10;

/// The side of a body that produces it.
pub(crate) struct Outgoing {
    /// `None` marks the end.
    pieces: mpsc::Sender<Option<Frame<Bytes>>>,
    stall: Duration,
}

/// The error when nobody takes what is sent: the other side is gone, or does not read.
#[derive(Debug)]
pub(crate) struct Gone;

/// Returns a body, and the side that produces it. A piece may wait at most `stall` until it is taken.
pub(crate) fn outgoing(stall: Duration) -> (Outgoing, Body) {
    let (pieces, taken) = mpsc::channel::<Option<Frame<Bytes>>>(1);
    let frames = stream::unfold(Some(taken), async |taken: Option<mpsc::Receiver<_>>| {
        let mut taken = taken?;
        match taken.recv().await {
            Some(frame) => frame.map(|frame| (Ok(frame), Some(taken))),
            // Without an end the stream breaks off, so that nobody mistakes it for complete.
            None => Some((Err(io::Error::from(io::ErrorKind::BrokenPipe)), None)),
        }
    });
    (Outgoing { pieces, stall }, Body::new(StreamBody::new(frames)))
}

impl Outgoing {
    /// Sends a message.
    pub(crate) async fn message(&self, mut message: Bytes) -> Result<(), Gone> {
        while !message.is_empty() {
            let piece = message.split_to(message.len().min(PIECE));
            self.piece(Some(Frame::data(piece))).await?;
        }
        Ok(())
    }

    /// Ends the body, with trailers if it is an answer. If nobody takes the end, nobody waits for it.
    pub(crate) async fn end(self, trailers: Option<HeaderMap>) {
        let trailers = match trailers {
            Some(trailers) => self.piece(Some(Frame::trailers(trailers))).await,
            None => Ok(()),
        };
        let _ = match trailers {
            Ok(()) => self.piece(None).await,
            gone => gone,
        };
    }

    /// Resolves when the other side is gone.
    pub(crate) async fn gone(&self) {
        self.pieces.closed().await;
    }

    async fn piece(&self, piece: Option<Frame<Bytes>>) -> Result<(), Gone> {
        match timeout(self.stall, self.pieces.send(piece)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Gone),
        }
    }
}

/// Returns a body of one message.
pub(crate) fn whole(message: Bytes, trailers: Option<HeaderMap>) -> Body {
    let trailers = trailers.map(Frame::trailers);
    let frames = std::iter::once(Frame::data(message)).chain(trailers).map(Ok::<_, io::Error>);
    Body::new(StreamBody::new(stream::iter(frames)))
}

/// Returns whether a message fits into one piece, so that no task needs to watch over it.
pub(crate) fn is_small(message: &Bytes) -> bool {
    message.len() <= PIECE
}
