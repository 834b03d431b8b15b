//! Byte streams, and the observers that are put on them.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use synckit_core::Traffic;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection, with or without TLS.
///
/// ```
/// use synckit_net::Stream;
/// use tokio::io::AsyncWriteExt;
///
/// async fn greet(mut stream: impl Stream) -> std::io::Result<()> {
///     stream.write_all(b"hello").await
/// }
/// ```
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// An observer that sees what happens to a stream, and may change the outcome.
///
/// ```
/// use std::io;
/// use std::task::{Context, Poll};
///
/// use synckit_net::{Observe, Observed};
///
/// /// Adds up the bytes received.
/// struct Sum(usize);
///
/// impl Observe for Sum {
///     fn read(&mut self, _: &mut Context<'_>, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
///         if let Poll::Ready(Ok(bytes)) = &polled {
///             self.0 += bytes;
///         }
///         polled
///     }
/// }
///
/// let stream = Observed::new(tokio::io::empty(), Sum(0));
/// ```
pub trait Observe: Send + Unpin {
    /// Sees the result of a read, the number of bytes received, and returns the result to report.
    fn read(&mut self, _: &mut Context<'_>, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        polled
    }

    /// Sees the result of a write, the number of bytes accepted, and returns the result to report.
    fn wrote(&mut self, _: &mut Context<'_>, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        polled
    }

    /// Ends the writing half.
    fn shutdown(&mut self, cx: &mut Context<'_>, mut stream: impl Stream) -> Poll<io::Result<()>> {
        Pin::new(&mut stream).poll_shutdown(cx)
    }
}

/// A stream with an observer on it.
#[derive(Debug)]
pub struct Observed<S, O> {
    pub(crate) stream: S,
    pub(crate) observer: O,
}

impl<S, O> Observed<S, O> {
    /// Creates a stream with this observer on it.
    pub fn new(stream: S, observer: O) -> Self {
        Observed { stream, observer }
    }
}

impl<S: Stream, O: Observe> AsyncRead for Observed<S, O> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        let read = read.map_ok(|()| buf.filled().len() - before);
        Poll::Ready(ready!(this.observer.read(cx, read)).map(drop))
    }
}

impl<S: Stream, O: Observe> AsyncWrite for Observed<S, O> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.observer.wrote(cx, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.observer.wrote(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.observer.shutdown(cx, &mut this.stream)
    }
}

/// The bytes that crossed all connections of one client.
#[derive(Default)]
pub struct Counts {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Counts {
    /// Returns the number of bytes so far, each way.
    pub fn traffic(&self) -> Traffic {
        Traffic { sent: self.sent.load(Ordering::Relaxed), received: self.received.load(Ordering::Relaxed) }
    }

    /// Counts bytes that were sent.
    pub fn add_sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts bytes that were received.
    pub fn add_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl fmt::Debug for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.traffic().fmt(f)
    }
}

impl Observe for Arc<Counts> {
    fn read(&mut self, _: &mut Context<'_>, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        polled.map_ok(|bytes| {
            self.add_received(bytes);
            bytes
        })
    }

    fn wrote(&mut self, _: &mut Context<'_>, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        polled.map_ok(|bytes| {
            self.add_sent(bytes);
            bytes
        })
    }
}
