//! Hello: `{"protocol":1,"caller":{…},"filter":"all","cursor":"cursor"?}`, and with events that come ahead
//! `"events":[…],"peer":"store","after":"cursor","upto":"cursor"`.

use serde::Deserialize;
use synckit_core::{Ahead, Caller, Cursor, HelloRequest, Result, StoreId};

use super::batch::{put_events, read_event, split};
use super::{FromJson, ToJson, put, put_field, put_name};
use crate::ahead::ahead;
use crate::checks::{Side, check_length};
use crate::limits::WireLimits;

impl ToJson for HelloRequest {
    fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, self);
        if let Some(Ahead { peer, after, events, upto }) = &self.ahead {
            // The object goes on.
            out.pop();
            put_name(&mut out, "events");
            put_events(&mut out, events, &[]);
            put_field(&mut out, "peer", peer);
            put_field(&mut out, "after", after);
            put_field(&mut out, "upto", upto);
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
    fn from_json(bytes: &[u8], limits: &WireLimits) -> Result<Self> {
        check_length(bytes, limits.decoded_bytes.min(WireLimits::PLAIN_BYTES))?;
        let (texts, form): (_, HelloForm) = split(bytes, limits, Side::Request)?;
        let HelloForm { protocol, caller, filter, cursor, peer, after, upto } = form;
        let events = texts.iter().flatten().map(|text| read_event(text, limits));
        let ahead = ahead(texts.is_some(), events.collect(), peer, after, upto)?;
        Ok(HelloRequest { protocol, caller, filter, cursor, ahead })
    }
}
