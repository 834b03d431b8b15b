//! Streams of pages at the server, one page at a time.

use synckit_core::{Error, ErrorKind, PullRequest, Result, Transport};
use synckit_net::{Coding, raised};
use synckit_remote::{Admission, Beat, Pump, Service, pack_sealed};
use synckit_wire::{Encode, Format};
use tokio::time::{Instant, sleep_until};

use crate::frame::framed;
use crate::outgoing::{Gone, Outgoing};
use crate::status;

/// A stream of pages as it is sent to a caller.
pub(crate) struct Pages {
    pub(crate) out: Outgoing,
    pub(crate) coding: Coding,
    pub(crate) deadline: Option<Instant>,
    pub(crate) admission: Admission,
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
    /// Sends the log page by page, up to its end at the time when the last page was read. Reading a page takes the room
    /// of a request.
    pub(crate) async fn pull<T: Transport>(self, service: &Service<T>, mut request: PullRequest) {
        let end = loop {
            let reading = async {
                let turn = self.admission.begin(None).await?;
                turn.within(service.transport().pull(request.clone())).await
            };
            let page = match self.unless_over(reading).await {
                Ok(Ok(page)) => page,
                Ok(Err(error)) => break End::Failed(error),
                Err(end) => break end,
            };
            if let Err(end) = self.send(page.to_protobuf()).await {
                break end;
            }
            if !page.more {
                break End::Done;
            }
            request.cursor = Some(page.next);
        };
        self.end(end).await;
    }

    /// Sends the pages of a subscription, and the last cursor again after a silence.
    pub(crate) async fn subscription(self, mut pump: Pump) {
        let end = loop {
            let page = match self.unless_over(pump.next()).await {
                Ok(Ok(Beat::Page(page))) => page,
                Ok(Ok(Beat::Silence)) => match pump.standing() {
                    Some(page) => page,
                    None => continue,
                },
                Ok(Err(error)) => break End::Failed(error),
                Err(end) => break end,
            };
            if let Err(end) = self.send(page).await {
                break end;
            }
        };
        self.end(end).await;
    }

    /// Runs work until the stream is over.
    async fn unless_over<A>(&self, work: impl Future<Output = A>) -> Result<A, End> {
        let mut closing = self.admission.closing();
        let late = async {
            match self.deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.out.gone() => Err(End::Gone),
            () = raised(&mut closing) => Err(End::Failed(self.admission.goodbye())),
            () = late => Err(End::Failed(Error::new(ErrorKind::Timeout, "the deadline of the call has passed"))),
            done = work => Ok(done),
        }
    }

    async fn send(&self, page: Vec<u8>) -> Result<(), End> {
        let most = self.admission.config().limits.body_bytes;
        let page = pack_sealed(Format::Protobuf, page, self.coding, most).await?;
        Ok(self.out.message(framed(&page)).await?)
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
