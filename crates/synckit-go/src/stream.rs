//! `/sse`: the log as server-sent events, from a cursor on and then live.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use synckit_core::{EventStore, Position, Query, Result};
use synckit_http::ResponseBody;
use synckit_net::raised;
use synckit_remote::Admission;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};

use crate::pull::{cursor_page, read_cursor};
use crate::route::{Route, field};
use crate::{Client, GoRoutes};

/// The media type of the stream.
pub(crate) const MEDIA_TYPE: &str = "text/event-stream";

/// The most events and bytes of one message: a client reads lines of at most 10 MiB.
const EVENTS: usize = 100;
const BYTES: usize = 1 << 20;

struct Streaming {
    hub: GoRoutes,
    client: Client,
    reached: Position,
    more: bool,
    heartbeat: Duration,
    closing: watch::Receiver<bool>,
    _room: OwnedSemaphorePermit,
}

impl GoRoutes {
    /// Returns the body of a stream. It holds its permit until it is dropped, and one page at a time.
    pub(crate) async fn stream(
        &self,
        route: &Route,
        query: &str,
        admission: &Admission,
    ) -> Result<ResponseBody> {
        let room = admission.lasting()?;
        let (heartbeat, closing) = (admission.config().heartbeat(), admission.closing());
        let client = self.client(route)?;
        let number = field(query, "cursor").filter(|cursor| !cursor.is_empty());
        let number = number.map_or(Ok(0), |cursor| read_cursor(&cursor))?;
        let head = self.0.store.head().await?.position;
        let reached = number.checked_sub(client.base()).unwrap_or(number).min(head);
        let hub = self.clone();
        let state = Streaming { hub, client, reached, more: true, heartbeat, closing, _room: room };
        let frames = stream::unfold(state, async |mut state| {
            let bytes = state.next().await?;
            Some((Ok::<_, Infallible>(Frame::data(bytes)), state))
        });
        Ok(StreamBody::new(frames).boxed_unsync())
    }
}

impl Streaming {
    /// Returns the next message or a sign of life, or `None` at the end of the stream.
    async fn next(&mut self) -> Option<Bytes> {
        let beat = Instant::now() + self.heartbeat;
        loop {
            if !self.more {
                let (hub, reached) = (self.hub.clone(), self.reached);
                tokio::select! {
                    biased;
                    () = raised(&mut self.closing) => return None,
                    () = sleep_until(beat) => return Some(Bytes::from_static(b":\n\n")),
                    moved = hub.0.store.moved(reached) => match moved {
                        // The log was set back: the client asks again from where it is.
                        Ok(head) if head < reached => return None,
                        // If this fails, reading the next page fails as well, and says why.
                        _ => {}
                    },
                }
            } else if *self.closing.borrow() {
                return None;
            }
            let page = self.hub.0.store.read(Query::after(self.reached).at_most(EVENTS, BYTES)).await;
            let page =
                page.inspect_err(|error| tracing::warn!(%error, "a stream of an old client ends")).ok()?;
            self.reached = page.scanned_to;
            self.more = page.more;
            if !page.events.is_empty() {
                let mut text = b"data: ".to_vec();
                text.append(&mut cursor_page("next_cursor", &page.events, self.client.base()));
                // Between two values a line break counts as a blank, and within a text it is escaped.
                text.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
                text.extend_from_slice(b"\n\n");
                return Some(text.into());
            }
        }
    }
}
