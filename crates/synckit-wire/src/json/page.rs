//! A page of a log: `{"events":[…],"next":"cursor","more":true}`.

use serde::Deserialize;
use serde_json::value::RawValue;
use synckit_core::{Cursor, Error, PullResponse, Result};

use super::batch::{bounded, put_events, read_event};
use super::error::Fault;
use super::{FromJson, ToJson, parse, put};
use crate::checks::{Side, check_length};
use crate::limits::WireLimits;

impl ToJson for PullResponse {
    fn to_json(&self) -> Vec<u8> {
        let mut out = b"{\"events\":".to_vec();
        put_events(&mut out, &self.events, &self.unreadable);
        out.extend_from_slice(b",\"next\":");
        put(&mut out, &self.next);
        out.extend_from_slice(if self.more { b",\"more\":true}" } else { b",\"more\":false}" });
        out
    }
}

/// The parts of a page, its events still text; or the error that ends a subscription.
#[derive(Deserialize)]
struct PageForm<'a> {
    #[serde(borrow)]
    events: Option<&'a RawValue>,
    next: Option<Cursor>,
    more: Option<bool>,
    #[serde(borrow)]
    error: Option<Fault<'a>>,
}

impl FromJson for PullResponse {
    /// Reads a page. An error in the place of a page, as at the end of a subscription, is that error.
    fn from_json(bytes: &[u8], limits: &WireLimits) -> Result<Self> {
        check_length(bytes, limits.decoded_bytes)?;
        let (array, next, more) = match parse(bytes, Side::Answer)? {
            PageForm { error: Some(fault), .. } => return Err(fault.into_error()),
            PageForm { events: Some(array), next: Some(next), more: Some(more), .. } => (array, next, more),
            _ => {
                return Err(Error::corrupt("the answer is not a page: it needs `events`, `next` and `more`"));
            }
        };
        let texts: Vec<&RawValue> = bounded(array, "events", limits.limits.batch_events, Side::Answer)?;
        let mut page =
            PullResponse { events: Vec::with_capacity(texts.len()), unreadable: Vec::new(), next, more };
        for text in texts {
            match read_event(text, limits) {
                Ok(event) => page.events.push(event),
                Err(bad) => page.unreadable.push(bad),
            }
        }
        Ok(page)
    }
}
