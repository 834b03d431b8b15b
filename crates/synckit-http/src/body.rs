//! Bodies: received with limits on size and time, sent with a record of their progress.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use synckit_core::{Error, ErrorKind, Result};
use synckit_net::BoxError;
use synckit_remote::Arrival;
use tokio::time::{Instant, timeout};

/// Refuses a body whose announced length is more than allowed, before any of it is read.
///
/// # Errors
/// `TooLarge`.
pub fn check_announced(headers: &HeaderMap, most: usize) -> Result<()> {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > most as u64) {
        return Err(too_large(most));
    }
    Ok(())
}

fn too_large(most: usize) -> Error {
    Error::too_large(format!("the body has more than the {most} bytes allowed; send smaller batches"))
}

/// Receives a whole body of at most `most` bytes, with no pause longer than `idle`. A request takes its memory from its
/// arrival.
///
/// # Errors
/// `TooLarge`, `Timeout`, `Unavailable` when the body breaks off, and those of the arrival.
pub(crate) async fn receive<B>(
    body: B,
    most: usize,
    idle: Duration,
    mut arrival: Option<&mut Arrival>,
) -> Result<Bytes>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let mut body = pin!(body);
    let mut all = BytesMut::new();
    loop {
        let frame = timeout(idle, body.frame()).await.map_err(|_| {
            Error::new(ErrorKind::Timeout, format!("nothing came from the body for {} ms", idle.as_millis()))
        })?;
        let Some(frame) = frame else { return Ok(all.freeze()) };
        let broken = |error: B::Error| {
            let error = error.into();
            Error::new(ErrorKind::Unavailable, "the body broke off").in_transit().with_source(error)
        };
        let frame = frame.map_err(broken)?;
        if let Ok(mut data) = frame.into_data() {
            if data.remaining() > most - all.len() {
                return Err(too_large(most));
            }
            if let Some(arrival) = &mut arrival {
                arrival.make_room(data.remaining()).await?;
            }
            while data.has_remaining() {
                let chunk = data.chunk();
                all.extend_from_slice(chunk);
                data.advance(chunk.len());
            }
        }
    }
}

/// A request body that is handed over piece by piece, and records when the last piece was.
#[derive(Debug)]
pub(crate) struct Upload {
    rest: Bytes,
    progress: Progress,
}

/// When an upload last made progress.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    start: Instant,
    millis: Arc<AtomicU64>,
}

const PIECE: usize = 32 << 10;

impl Upload {
    /// Creates an upload whose first piece may take until `allowance` from now: progress is counted from then.
    pub(crate) fn new(body: Bytes, allowance: Duration) -> Self {
        let millis = Arc::new(AtomicU64::new(allowance.as_millis() as u64));
        Upload { rest: body, progress: Progress { start: Instant::now(), millis } }
    }

    pub(crate) fn progress(&self) -> Progress {
        self.progress.clone()
    }
}

impl Progress {
    /// Returns when the last piece was handed over.
    pub(crate) fn last(&self) -> Instant {
        self.start + Duration::from_millis(self.millis.load(Ordering::Relaxed))
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let now = self.progress.start.elapsed().as_millis() as u64;
        self.progress.millis.store(now, Ordering::Relaxed);
        let end = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(end)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
