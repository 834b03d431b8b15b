//! How a server protects itself against silent and slow callers.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::ReadBuf;
use tokio::time::{Instant, Sleep, sleep};

use crate::stream::{Observe, Stream};

/// How an accepted connection is guarded. By default it is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guards {
    /// Breaks the connection unless this number of bytes arrives within this time after it was accepted: the bytes that
    /// every caller of the protocol sends first, whatever it wants.
    pub opening: Option<(usize, Duration)>,
    /// Breaks the connection when a write makes no progress within this time, because the caller does not read.
    pub stall: Option<Duration>,
    /// Keeps reading for at most this time when the connection is ended, so that a caller still gets an answer that was
    /// sent before the end of its request: unread bytes would reset the connection and lose the answer.
    pub linger: Option<Duration>,
}

/// The state of the guards of one connection.
#[derive(Debug)]
pub(crate) struct Guard {
    guards: Guards,
    heard: usize,
    /// Runs until the caller has sent its opening.
    opening: Option<Pin<Box<Sleep>>>,
    /// Runs while a write waits for the caller.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Runs from when the writing half has ended.
    linger: Option<Pin<Box<Sleep>>>,
}

impl Guard {
    pub(crate) fn new(guards: Guards) -> Self {
        let opening = guards.opening.map(|(_, limit)| Box::pin(sleep(limit)));
        Guard { guards, heard: 0, opening, stalled: None, linger: None }
    }
}

impl Observe for Guard {
    fn read(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let (Some(timer), Some((wanted, _))) = (&mut self.opening, self.guards.opening) else {
            return polled;
        };
        match polled {
            Poll::Ready(read) => {
                self.heard += read.as_ref().copied().unwrap_or(0);
                if self.heard >= wanted {
                    self.opening = None;
                }
                Poll::Ready(read)
            }
            Poll::Pending => {
                ready!(timer.as_mut().poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }

    fn wrote(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let Some(limit) = self.guards.stall else { return polled };
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let timer = self.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn shutdown(&mut self, cx: &mut Context<'_>, mut stream: impl Stream) -> Poll<io::Result<()>> {
        let mut stream = Pin::new(&mut stream);
        if self.linger.is_none() {
            ready!(stream.as_mut().poll_shutdown(cx))?;
        }
        let Some(limit) = self.guards.linger else { return Poll::Ready(Ok(())) };
        let timer = self.linger.get_or_insert_with(|| Box::pin(sleep(limit)));
        let mut scrap = [0; 16 << 10];
        while Instant::now() < timer.deadline() {
            let mut buf = ReadBuf::new(&mut scrap);
            match stream.as_mut().poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => {
                    ready!(timer.as_mut().poll(cx));
                    break;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}
