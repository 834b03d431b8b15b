//! A page of a log: `{"events":[…],"ids":["event",…]?,"next":"cursor","more":true}`.

use serde::Deserialize;
use serde_json::value::RawValue;
use synckit_core::{Cursor, Error, PullResponse, Result};

use super::batch::{bounded, put_events, read_event, split};
use super::error::Fault;
use super::{FromJson, ToJson, put_field};
use crate::checks::Side;
use crate::limits::WireLimits;

impl ToJson for PullResponse {
    fn to_json(&self) -> Vec<u8> {
        let mut out = b"{\"events\":".to_vec();
        put_events(&mut out, &self.events, &self.unreadable);
        if !self.ids.is_empty() {
            put_field(&mut out, "ids", &self.ids);
        }
        put_field(&mut out, "next", &self.next);
        put_field(&mut out, "more", &self.more);
        out.push(b'}');
        out
    }
}

/// The parts of a page other than its events; or the error that ends a subscription.
#[derive(Deserialize)]
struct PageForm<'a> {
    #[serde(borrow)]
    ids: Option<&'a RawValue>,
    next: Option<Cursor>,
    more: Option<bool>,
    #[serde(borrow)]
    error: Option<Fault<'a>>,
}

impl FromJson for PullResponse {
    /// Reads a page. If an error takes its place, as at the end of a subscription, returns that error.
    fn from_json(bytes: &[u8], limits: &WireLimits) -> Result<Self> {
        let (texts, form) = split(bytes, limits, Side::Answer)?;
        let (texts, ids, next, more) = match (texts, form) {
            (_, PageForm { error: Some(fault), .. }) => return Err(fault.into_error()),
            (Some(texts), PageForm { ids, next: Some(next), more: Some(more), .. }) => {
                (texts, ids, next, more)
            }
            _ => {
                return Err(Error::corrupt("the answer is not a page: it needs `events`, `next` and `more`"));
            }
        };
        let most = limits.limits.batch_events.saturating_sub(texts.len());
        let ids = ids.map_or(Ok(Vec::new()), |ids| bounded(ids, "ids", most, Side::Answer))?;
        let events = Vec::with_capacity(texts.len());
        let mut page = PullResponse { events, ids, unreadable: Vec::new(), next, more };
        for text in texts {
            match read_event(text, limits) {
                Ok(event) => page.events.push(event),
                Err(bad) => page.unreadable.push(bad),
            }
        }
        Ok(page)
    }
}
