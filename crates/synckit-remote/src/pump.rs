//! A subscription as it is sent to a caller.

use std::fmt;
use std::time::Duration;

use futures_util::StreamExt;
use synckit_core::{Cursor, Error, ErrorKind, PageStream, PullResponse, Result};
use synckit_net::raised;
use synckit_wire::{Encode, Format};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::timeout;

use crate::admission::Admission;

/// The pages of a subscription as they are sent, one at a time. Holds its room until it is dropped.
pub struct Pump {
    pages: PageStream,
    cursor: Option<Cursor>,
    format: Format,
    heartbeat: Duration,
    closing: watch::Receiver<bool>,
    admission: Admission,
    _room: OwnedSemaphorePermit,
}

/// The next thing that a subscription sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beat {
    /// A page, encoded.
    Page(Vec<u8>),
    /// There was no page for the time of a heartbeat: send anything that shows that the subscription is alive.
    Silence,
}

impl Pump {
    pub(crate) fn new(
        pages: PageStream,
        cursor: Option<Cursor>,
        format: Format,
        admission: &Admission,
        room: OwnedSemaphorePermit,
    ) -> Self {
        let heartbeat = admission.config().heartbeat();
        let (closing, admission) = (admission.closing(), admission.clone());
        Pump { pages, cursor, format, heartbeat, closing, admission, _room: room }
    }

    /// Waits for the next page, for at most the time of a heartbeat. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The error that ends the subscription, to be sent to the caller: one of its pages, or `Unavailable` when the
    /// server shuts down or the pages end without an error. Do not call this again after an error.
    pub async fn next(&mut self) -> Result<Beat> {
        let page = tokio::select! {
            biased;
            () = raised(&mut self.closing) => return Err(self.admission.goodbye()),
            page = timeout(self.heartbeat, self.pages.next()) => page,
        };
        match page {
            Ok(Some(page)) => {
                let page = page?;
                self.cursor = Some(page.next.clone());
                Ok(Beat::Page(page.encode(self.format)))
            }
            Ok(None) => Err(Error::new(ErrorKind::Unavailable, "the subscription ended")),
            Err(_) => Ok(Beat::Silence),
        }
    }

    /// Returns a page that only says where the reader is, for a protocol with no other sign of life; `None` before the
    /// first page of a subscription from the beginning.
    pub fn standing(&self) -> Option<Vec<u8>> {
        let next = self.cursor.clone()?;
        let page =
            PullResponse { events: Vec::new(), ids: Vec::new(), unreadable: Vec::new(), next, more: false };
        Some(page.encode(self.format))
    }
}

impl fmt::Debug for Pump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pump").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use synckit_core::{Mark, StoreId};
    use synckit_wire::{Decode, WireLimits};

    use super::*;
    use crate::config::ServerConfig;

    fn page(position: u64) -> PullResponse {
        let next = Cursor::at(StoreId::from_bytes([7; 16]), position, Mark(1));
        PullResponse { events: Vec::new(), ids: Vec::new(), unreadable: Vec::new(), next, more: true }
    }

    fn pump(pages: PageStream, admission: &Admission) -> Pump {
        Pump::new(pages, None, Format::Json, admission, admission.lasting().expect("there is room"))
    }

    #[tokio::test(start_paused = true)]
    async fn pages_silence_and_the_end_are_told_apart() {
        let admission = Admission::new(ServerConfig::default());
        let pages = stream::iter([Ok(page(3))]).chain(stream::pending());
        let mut pump = pump(Box::pin(pages), &admission);
        assert!(pump.standing().is_none());
        assert_eq!(pump.next().await.expect("a page"), Beat::Page(page(3).to_json()));
        assert_eq!(pump.next().await.expect("alive"), Beat::Silence);
        let standing = pump.standing().expect("there was a page");
        let standing = PullResponse::from_json(&standing, &WireLimits::default()).expect("a page");
        assert_eq!(standing, PullResponse { more: false, ..page(3) });
    }

    #[tokio::test]
    async fn a_subscription_that_just_ends_or_is_shut_down_is_an_error() {
        let (close, closing) = watch::channel(false);
        let admission = Admission::new(ServerConfig::default()).with_closing(closing);
        let mut ended = pump(Box::pin(stream::empty()), &admission);
        assert_eq!(ended.next().await.expect_err("ended").kind(), ErrorKind::Unavailable);
        let mut open = pump(Box::pin(stream::pending()), &admission);
        close.send_replace(true);
        assert_eq!(open.next().await.expect_err("shut down").kind(), ErrorKind::Unavailable);
    }
}
