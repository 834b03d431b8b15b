//! Push: `{"caller":{…},"filter":"all","events":[…],"from":"cursor"?,"upto":"cursor"?,"known":["cursor"…]?}`.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use synckit_core::{Caller, Cursor, PushRequest, Refused, Result, Unreadable};

use super::batch::{bounded_places, put_events, read_event, split};
use super::{FromJson, ToJson, put, put_field, put_name};
use crate::checks::Side;
use crate::limits::WireLimits;
use crate::push::ReceivedPush;

impl ToJson for PushRequest {
    fn to_json(&self) -> Vec<u8> {
        let mut out = b"{\"caller\":".to_vec();
        put(&mut out, &self.caller);
        put_field(&mut out, "filter", &self.filter);
        put_name(&mut out, "events");
        put_events(&mut out, &self.events, &[]);
        for (name, place) in [("from", &self.from), ("upto", &self.upto)] {
            if let Some(place) = place {
                put_field(&mut out, name, place);
            }
        }
        if !self.known.is_empty() {
            put_field(&mut out, "known", &self.known);
        }
        out.push(b'}');
        out
    }
}

/// The parts of a push other than its events.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PushForm<'a> {
    caller: Caller,
    #[serde(borrow)]
    filter: Cow<'a, str>,
    from: Option<Cursor>,
    upto: Option<Cursor>,
    #[serde(borrow)]
    known: Option<&'a RawValue>,
}

impl FromJson for ReceivedPush {
    fn from_json(bytes: &[u8], limits: &WireLimits) -> Result<Self> {
        let (texts, form): (_, PushForm<'_>) = split(bytes, limits, Side::Request)?;
        let texts = texts.ok_or_else(|| Side::Request.unreadable("missing field `events`"))?;
        let mut events = Vec::with_capacity(texts.len());
        let mut refused = Vec::new();
        for text in texts {
            match read_event(text, limits) {
                Ok(event) => events.push(event),
                Err(Unreadable { id, code, message, .. }) => refused.push(Refused { id, code, message }),
            }
        }
        let upto = form.upto.filter(|_| refused.is_empty());
        let PushForm { caller, filter, from, known, .. } = form;
        let known = bounded_places(known)?;
        let request = PushRequest { caller, filter: filter.into_owned(), events, from, upto, known };
        Ok(ReceivedPush { request, refused })
    }
}
