//! Push: `{"caller":{…},"filter":"all","events":[…],"upto":"cursor"?}`.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use synckit_core::{Caller, Cursor, PushRequest, Refused, Result, Unreadable};

use super::batch::{bounded, put_events, read_event};
use super::{FromJson, ToJson, parse, put};
use crate::checks::{Side, check_length};
use crate::limits::WireLimits;
use crate::push::{ReceivedPush, Refusals};

impl ToJson for PushRequest {
    fn to_json(&self) -> Vec<u8> {
        let mut out = b"{\"caller\":".to_vec();
        put(&mut out, &self.caller);
        out.extend_from_slice(b",\"filter\":");
        put(&mut out, &self.filter);
        out.extend_from_slice(b",\"events\":");
        put_events(&mut out, &self.events, &[]);
        if let Some(upto) = &self.upto {
            out.extend_from_slice(b",\"upto\":");
            put(&mut out, upto);
        }
        out.push(b'}');
        out
    }
}

/// The parts of a push, its events still text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PushForm<'a> {
    caller: Caller,
    #[serde(borrow)]
    filter: Cow<'a, str>,
    #[serde(borrow)]
    events: &'a RawValue,
    upto: Option<Cursor>,
}

impl FromJson for ReceivedPush {
    fn from_json(bytes: &[u8], limits: &WireLimits) -> Result<Self> {
        check_length(bytes, limits.decoded_bytes)?;
        let form: PushForm<'_> = parse(bytes, Side::Request)?;
        let texts: Vec<&RawValue> =
            bounded(form.events, "events", limits.limits.batch_events, Side::Request)?;
        let mut events = Vec::with_capacity(texts.len());
        let mut refusals = Refusals::default();
        for (index, text) in texts.into_iter().enumerate() {
            match read_event(text, limits) {
                Ok(event) => {
                    events.push(event);
                    refusals.places.push(index);
                }
                Err(Unreadable { id, code, message, .. }) => {
                    refusals.refused.push(Refused { index, id, code, message });
                }
            }
        }
        let upto = form.upto.filter(|_| refusals.refused.is_empty());
        let request = PushRequest { caller: form.caller, filter: form.filter.into_owned(), events, upto };
        Ok(ReceivedPush { request, refusals })
    }
}
