//! Streams of pages at the server, one page at a time.

use std::time::Duration;

use futures_util::StreamExt;
use http::{HeaderMap, HeaderName};
use synckit_core::{Cursor, Error, ErrorKind, PageStream, PullRequest, PullResponse, Result, Transport};
use synckit_net::{Coding, raised};
use synckit_wire::WireLimits;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use crate::frame::write;
use crate::outgoing::{Gone, Outgoing};
use crate::service::{SyncService, shutting_down};
use crate::status;

const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// When the caller gives up, if it says so. What is not understood is as if it were not said.
pub(crate) fn deadline(headers: &HeaderMap) -> Option<Instant> {
    let text = headers.get(TIMEOUT)?.to_str().ok()?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if number.len() > 8 {
        return None;
    }
    let number: u64 = number.parse().ok()?;
    let timeout = match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    };
    Instant::now().checked_add(timeout)
}

/// The header that tells the server when this side gives up.
pub(crate) fn timeout_header(timeout: Duration) -> (HeaderName, http::HeaderValue) {
    // Eight digits are the most; beyond a day in milliseconds nobody counts them.
    let millis = timeout.as_millis().min(99_999_999);
    let value = http::HeaderValue::try_from(format!("{millis}m"));
    (TIMEOUT, value.unwrap_or(http::HeaderValue::from_static("99999999m")))
}

/// A stream of pages on its way to a caller.
pub(crate) struct Pages {
    pub(crate) out: Outgoing,
    pub(crate) coding: Coding,
    pub(crate) limits: WireLimits,
    pub(crate) deadline: Option<Instant>,
    pub(crate) closing: watch::Receiver<bool>,
}

/// Why there is no further page.
enum End {
    /// Nobody takes them.
    Gone,
    /// All were sent.
    Done,
    Failed(Error),
}

impl From<Gone> for End {
    fn from(_: Gone) -> Self {
        End::Gone
    }
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        End::Failed(error)
    }
}

impl Pages {
    /// Sends the log page by page, to its end as it was when the last page was read.
    pub(crate) async fn pull<T: Transport>(mut self, service: &SyncService<T>, mut request: PullRequest) {
        let end = loop {
            let page = match self.unless_over(service.page(request.clone())).await {
                Ok(Ok(page)) => page,
                Ok(Err(error)) => break End::Failed(error),
                Err(end) => break end,
            };
            let (next, more) = (page.next.clone(), page.more);
            if let Err(end) = self.send(page).await {
                break end;
            }
            if !more {
                break End::Done;
            }
            request.cursor = Some(next);
        };
        self.end(end).await;
    }

    /// Sends the pages of a subscription, and the last cursor again after a silence.
    pub(crate) async fn subscription(
        mut self,
        mut pages: PageStream,
        mut cursor: Option<Cursor>,
        heartbeat: Duration,
    ) {
        let end = loop {
            let next = self.unless_over(timeout(heartbeat, pages.next())).await;
            let page = match (next, &cursor) {
                (Ok(Ok(Some(Ok(page)))), _) => page,
                (Ok(Ok(Some(Err(error)))), _) => break End::Failed(error),
                // A subscription that just ends broke off.
                (Ok(Ok(None)), _) => {
                    break End::Failed(Error::new(ErrorKind::Unavailable, "the subscription ended"));
                }
                (Ok(Err(_)), Some(next)) => empty(next.clone()),
                (Ok(Err(_)), None) => continue,
                (Err(end), _) => break end,
            };
            cursor = Some(page.next.clone());
            if let Err(end) = self.send(page).await {
                break end;
            }
        };
        self.end(end).await;
    }

    /// Runs work, unless or until the stream is over.
    async fn unless_over<A>(&mut self, work: impl Future<Output = A>) -> Result<A, End> {
        let deadline = self.deadline;
        let late = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.out.gone() => Err(End::Gone),
            () = raised(&mut self.closing) => Err(End::Failed(shutting_down())),
            () = late => Err(End::Failed(Error::new(ErrorKind::Timeout, "the deadline of the call has passed"))),
            done = work => Ok(done),
        }
    }

    async fn send(&mut self, page: PullResponse) -> Result<(), End> {
        let frame = write(page, self.coding, &self.limits).await?;
        Ok(self.out.message(frame).await?)
    }

    async fn end(self, end: End) {
        match end {
            End::Gone => {}
            End::Done => self.out.end(Some(status::ok())).await,
            End::Failed(error) => {
                tracing::debug!(%error, "a stream ended");
                self.out.end(Some(status::failed(error))).await;
            }
        }
    }
}

/// A page that says nothing but where the reader is.
fn empty(next: Cursor) -> PullResponse {
    PullResponse { events: Vec::new(), ids: Vec::new(), unreadable: Vec::new(), next, more: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeout_of(text: &'static str) -> Option<Duration> {
        let headers = HeaderMap::from_iter([(TIMEOUT, http::HeaderValue::from_static(text))]);
        deadline(&headers).map(|deadline| deadline - Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn every_unit_of_a_deadline_is_understood() {
        let known = [
            ("2H", Duration::from_secs(7200)),
            ("3M", Duration::from_secs(180)),
            ("4S", Duration::from_secs(4)),
            ("5m", Duration::from_millis(5)),
            ("99999999m", Duration::from_millis(99_999_999)),
        ];
        for (text, timeout) in known {
            assert_eq!(timeout_of(text), Some(timeout));
        }
        assert!(timeout_of("6u").is_some() && timeout_of("7n").is_some());
        for text in ["", "S", "1", "1x", "-1S", "999999999S"] {
            assert_eq!(timeout_of(text), None, "{text}");
        }
        let (name, value) = timeout_header(Duration::from_secs(30));
        assert_eq!((name, value), (TIMEOUT, http::HeaderValue::from_static("30000m")));
    }
}
