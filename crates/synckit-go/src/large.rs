//! Pushes that are larger than a body may be. What fits is stored, so that the client gets on: it pushes the same batch
//! again and again, from the first event on that is not stored.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use serde_json::Deserializer;
use serde_json::value::RawValue;
use synckit_core::{Error, ErrorKind, Result};
use synckit_http::routes::RequestBody;
use synckit_net::{BoxError, Coding};

use crate::route::{BODY_BYTES, DECODED_BYTES};

/// The most bytes beyond the limit that are received and forgotten, since a client that is still sending does not read
/// the answer.
const DRAINED: usize = 100 << 20;

/// The longest id that is named.
const ID: usize = 255;

/// The start of a body: what is beyond is received and left out.
pub(crate) struct Start {
    body: RequestBody,
    left: usize,
    beyond: usize,
    /// Whether anything was left out.
    cut: Arc<AtomicBool>,
}

impl Start {
    /// Leaves out what is beyond the limit of a body, and raises the flag if there is anything.
    pub(crate) fn of(body: RequestBody, cut: Arc<AtomicBool>) -> Self {
        Start { body, left: BODY_BYTES, beyond: 0, cut }
    }
}

impl Body for Start {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
            let data = match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => data,
                Some(Err(error)) if self.beyond == 0 => return Poll::Ready(Some(Err(error))),
                _ => return Poll::Ready(None),
            };
            let fits = data.len().min(self.left);
            self.left -= fits;
            self.beyond += data.len() - fits;
            if self.beyond > 0 {
                self.cut.store(true, Ordering::Relaxed);
            }
            if fits > 0 {
                return Poll::Ready(Some(Ok(Frame::data(data.slice(..fits)))));
            }
            if self.beyond > DRAINED {
                return Poll::Ready(None);
            }
        }
    }
}

/// The body of a push as far as it is accepted.
pub(crate) enum Batch {
    Whole(Bytes),
    /// The events that fit, as a list.
    Part(Part),
}

/// The events of a push that fit.
pub(crate) struct Part {
    pub(crate) events: Bytes,
    pub(crate) count: usize,
    /// The id of the last that fits.
    last: String,
    /// The id of the first that does not fit, as far as it can be read.
    next: String,
}

impl Batch {
    /// Unpacks a body.
    ///
    /// # Errors
    /// `Invalid` for a body that is not packed like this.
    pub(crate) fn unpack(coding: Coding, body: Bytes, cut: bool) -> Result<Batch> {
        if !cut {
            match coding.unpack(body.clone(), DECODED_BYTES) {
                Err(error) if error.kind() == ErrorKind::TooLarge => {}
                unpacked => return unpacked.map(Batch::Whole),
            }
        }
        Ok(Batch::Part(Part::of(&coding.unpack_start(&body, DECODED_BYTES))))
    }
}

impl Part {
    /// Finds the whole events at the start of a list that is cut off.
    fn of(text: &[u8]) -> Part {
        let list = text.trim_ascii_start();
        let Some(mut rest) = list.strip_prefix(b"[") else { return Part::nothing() };
        let (mut count, mut end, mut last) = (0, 0, "");
        loop {
            let mut values = Deserializer::from_slice(rest).into_iter::<&RawValue>();
            let Some(Ok(value)) = values.next() else { break };
            last = value.get();
            let after = rest[values.byte_offset()..].trim_ascii_start();
            (count, end) = (count + 1, list.len() - after.len());
            match after.strip_prefix(b",") {
                Some(next) => rest = next,
                None => {
                    rest = after;
                    break;
                }
            }
        }
        match count {
            0 => Part { next: id_in(rest), ..Part::nothing() },
            _ => Part {
                events: [&list[..end], b"]"].concat().into(),
                count,
                last: id_in(last.as_bytes()),
                next: id_in(rest),
            },
        }
    }

    fn nothing() -> Part {
        Part { events: Bytes::from_static(b"[]"), count: 0, last: String::new(), next: String::new() }
    }

    /// Names the first event that does not fit: by its id, or by the event before it if the id is not in what fits.
    pub(crate) fn first_left_out(&self) -> String {
        match self.next.is_empty() && self.count > 0 {
            true => format!("the one after {:?}", self.last),
            false => format!("{:?}", self.next),
        }
    }

    /// Returns the error for a push of which this was stored. The client has to be told, or it takes all for stored.
    pub(crate) fn error(&self) -> Error {
        let (count, first) = (self.count, self.first_left_out());
        let what = match count {
            0 => "nothing of it is stored".to_owned(),
            _ => format!("its first {count} events are stored, and the next sync goes on from there"),
        };
        Error::too_large(format!(
            "the body has more than the {BODY_BYTES} bytes allowed, or more than {DECODED_BYTES} unpacked; {what}; event \
             {count}, {first}, is the first that does not fit; let the client push fewer events at a time: lower its \
             SyncOptions.BatchSize"
        ))
    }
}

/// Returns the id in the beginning of an event.
fn id_in(event: &[u8]) -> String {
    let key = b"\"id\"";
    let at = event.windows(key.len()).position(|window| window == key);
    let value = at.and_then(|at| event[at + key.len()..].trim_ascii_start().strip_prefix(b":"));
    let id = value.and_then(|value| Deserializer::from_slice(value).into_iter::<String>().next()?.ok());
    id.unwrap_or_default().chars().take(ID).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_events_are_found_wherever_a_list_is_cut() {
        let text =
            r#" [ {"event":{"id":"a","data":[1,"]}"]}} ,{"event":{"id":"ü","data":"x"},"version":"2"}]"#;
        let bytes = text.as_bytes();
        let ends: Vec<usize> = text.match_indices("}").map(|(at, _)| at + 1).collect();
        let (first, second) = (ends[2], ends[4]);
        for length in 0..bytes.len() {
            let part = Part::of(&bytes[..length]);
            let expected = usize::from(length >= first) + usize::from(length >= second);
            assert_eq!(part.count, expected, "{}", String::from_utf8_lossy(&bytes[..length]));
            let events: Vec<serde_json::Value> = serde_json::from_slice(&part.events).expect("a list");
            assert_eq!(events.len(), expected);
        }
        assert_eq!(Part::of(&bytes[..first + 26]).next, "ü");
        assert_eq!(Part::of(b"   ").next, "");
    }
}
