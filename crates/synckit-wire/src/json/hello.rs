//! Hello: `{"protocol":1,"caller":{…},"filter":"all","cursor":"cursor"?}`, and with events that come ahead
//! `"events":[…],"peer":"store","after":"cursor","upto":"cursor"`.

use serde::Deserialize;
use synckit_core::{Ahead, Caller, Cursor, HelloRequest, Result, StoreId};

use super::batch::{put_events, read_event, split};
use super::{FromJson, ToJson, put};
use crate::checks::{Side, check_length};
use crate::limits::WireLimits;

impl ToJson for HelloRequest {
    fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, self);
        if let Some(Ahead { peer, after, events, upto }) = &self.ahead {
            // The object goes on.
            out.pop();
            out.extend_from_slice(b",\"events\":");
            put_events(&mut out, events, &[]);
            out.extend_from_slice(b",\"peer\":");
            put(&mut out, peer);
            out.extend_from_slice(b",\"after\":");
            put(&mut out, after);
            out.extend_from_slice(b",\"upto\":");
            put(&mut out, upto);
            out.push(b'}');
        }
        out
    }
}

/// The parts of a hello beside events that come ahead.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HelloForm {
    protocol: u32,
    caller: Caller,
    filter: String,
    cursor: Option<Cursor>,
    peer: Option<StoreId>,
    after: Option<Cursor>,
    upto: Option<Cursor>,
}

impl FromJson for HelloRequest {
    /// Events that come ahead are left out where one cannot be read: push says what is wrong with it.
    fn from_json(bytes: &[u8], limits: &WireLimits) -> Result<Self> {
        check_length(bytes, limits.decoded_bytes.min(WireLimits::PLAIN_BYTES))?;
        let (texts, form): (_, HelloForm) = split(bytes, limits, Side::Request)?;
        let HelloForm { protocol, caller, filter, cursor, peer, after, upto } = form;
        let texts = texts.unwrap_or_default();
        let events: Result<Vec<_>, _> = texts.into_iter().map(|text| read_event(text, limits)).collect();
        let ahead = match (events, peer, after, upto) {
            (Ok(events), Some(peer), Some(after), Some(upto)) => Some(Ahead { peer, after, events, upto }),
            _ => None,
        };
        Ok(HelloRequest { protocol, caller, filter, cursor, ahead })
    }
}
