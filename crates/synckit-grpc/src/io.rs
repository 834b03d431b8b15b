//! The byte streams under HTTP/2: pooled at the client, guarded at the server.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper_util::client::legacy::connect::{Connected, Connection};
use synckit_core::{Error, ErrorKind};
use synckit_net::{Stream, explain};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use crate::GRPC;

/// What the connections of one client were told last, when they broke.
#[derive(Debug, Default)]
pub(crate) struct LastWords(Mutex<Option<(ErrorKind, String)>>);

impl LastWords {
    fn locked(&self) -> MutexGuard<'_, Option<(ErrorKind, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets them: a new connection stands.
    pub(crate) fn clear(&self) {
        *self.locked() = None;
    }

    pub(crate) fn error(&self) -> Option<Error> {
        self.locked().as_ref().map(|(kind, message)| Error::new(*kind, message.clone()))
    }
}

/// A connection as the pool of a client keeps it.
pub(crate) struct Pooled {
    pub(crate) stream: Box<dyn Stream>,
    pub(crate) last_words: Arc<LastWords>,
}

impl Connection for Pooled {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Pooled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        if let Some(told) = read.as_ref().err().and_then(|error| explain(error, GRPC)) {
            *self.last_words.locked() = Some((told.kind(), told.message().to_owned()));
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Pooled {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// What a caller of HTTP/2 says first, whatever it wants: the preface and the header of a frame.
const OPENING: usize = 24 + 9;

/// An accepted connection. It breaks when the caller does not open in time, so that silent connections take no room;
/// from then on, pings tell whether there still is a caller.
#[derive(Debug)]
pub(crate) struct Guarded {
    stream: TcpStream,
    /// Runs until the caller has opened.
    opening: Option<Pin<Box<Sleep>>>,
    heard: usize,
}

impl Guarded {
    /// Breaks when nothing has come so long.
    pub(crate) fn new(stream: TcpStream, limit: Duration) -> Self {
        Guarded { stream, opening: Some(Box::pin(sleep(limit))), heard: 0 }
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut this.stream).poll_read(cx, buf) {
            if this.opening.is_some() {
                this.heard += buf.filled().len() - before;
                if this.heard >= OPENING {
                    this.opening = None;
                }
            }
            return Poll::Ready(read);
        }
        match &mut this.opening {
            Some(limit) => {
                ready!(limit.as_mut().poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            None => Poll::Pending,
        }
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
