//! Bodies that are handed over piece by piece, as the other side takes them.
//!
//! A task makes the messages and waits with the next until the one before has been taken; the flow control of the
//! stream is what it waits for. Nothing is held but that one message.

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

/// What is handed over at once.
const PIECE: usize = 32 << 10;

/// The side of a body that makes it.
pub(crate) struct Outgoing {
    /// Nothing stands for the end.
    pieces: mpsc::Sender<Option<Frame<Bytes>>>,
    stall: Duration,
}

/// Nobody takes what is sent: the other side is gone, or does not read.
#[derive(Debug)]
pub(crate) struct Gone;

/// A body, and where it comes from. A piece may wait so long to be taken.
pub(crate) fn outgoing(stall: Duration) -> (Outgoing, Body) {
    let (pieces, taken) = mpsc::channel::<Option<Frame<Bytes>>>(1);
    let frames = stream::unfold(Some(taken), async |taken: Option<mpsc::Receiver<_>>| {
        let mut taken = taken?;
        match taken.recv().await {
            Some(frame) => frame.map(|frame| (Ok(frame), Some(taken))),
            // Without an end the stream is broken off, so that nobody takes it for whole.
            None => Some((Err(io::Error::from(io::ErrorKind::BrokenPipe)), None)),
        }
    });
    (Outgoing { pieces, stall }, Body::new(StreamBody::new(frames)))
}

impl Outgoing {
    /// Hands over a message.
    pub(crate) async fn message(&self, mut message: Bytes) -> Result<(), Gone> {
        while !message.is_empty() {
            let piece = message.split_to(message.len().min(PIECE));
            self.piece(Some(Frame::data(piece))).await?;
        }
        Ok(())
    }

    /// Ends the body, with trailers where it is an answer. If nobody takes the end, nobody waits for it.
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

/// A body of one message.
pub(crate) fn whole(message: Bytes, trailers: Option<HeaderMap>) -> Body {
    let trailers = trailers.map(Frame::trailers);
    let frames = std::iter::once(Frame::data(message)).chain(trailers).map(Ok::<_, io::Error>);
    Body::new(StreamBody::new(stream::iter(frames)))
}

/// Whether a message fits into a piece, so that it needs no watching.
pub(crate) fn is_small(message: &Bytes) -> bool {
    message.len() <= PIECE
}
