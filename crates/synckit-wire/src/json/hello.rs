//! Hello: `{"protocol":1,"caller":{…},"filter":"all","known":["cursor"…]?}`, and if events come with it, also
//! `"events":[…],"peer":"store","after":"cursor","latest":"event"?,"upto":"cursor"`.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use synckit_core::{Ahead, Caller, Cursor, EventId, HelloRequest, HelloResponse, Result, StoreId};

use super::batch::{bounded, bounded_places, put_events, read_event, split};
use super::{FromJson, ToJson, parse_plain, put, put_field, put_name};
use crate::ahead::ahead;
use crate::checks::{Side, check_length};
use crate::limits::WireLimits;

impl ToJson for HelloRequest {
    fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, self);
        if let Some(Ahead { peer, after, latest, events, upto }) = &self.ahead {
            // The object continues.
            out.pop();
            put_name(&mut out, "events");
            put_events(&mut out, events, &[]);
            put_field(&mut out, "peer", peer);
            put_field(&mut out, "after", after);
            if let Some(latest) = latest {
                put_field(&mut out, "latest", latest);
            }
            put_field(&mut out, "upto", upto);
            out.push(b'}');
        }
        out
    }
}

/// The parts of a hello other than its events.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HelloForm<'a> {
    protocol: u32,
    caller: Caller,
    filter: String,
    #[serde(borrow)]
    known: Option<&'a RawValue>,
    peer: Option<StoreId>,
    after: Option<Cursor>,
    latest: Option<EventId>,
    upto: Option<Cursor>,
}

impl FromJson for HelloRequest {
    fn from_json(bytes: &[u8], limits: &WireLimits) -> Result<Self> {
        check_length(bytes, limits.decoded_bytes.min(WireLimits::PLAIN_BYTES))?;
        let (texts, form): (_, HelloForm<'_>) = split(bytes, limits, Side::Request)?;
        let HelloForm { protocol, caller, filter, known, peer, after, latest, upto } = form;
        let events = texts.iter().flatten().map(|text| read_event(text, limits));
        let ahead = ahead(texts.is_some(), events.collect(), peer, after, latest, upto)?;
        Ok(HelloRequest { protocol, caller, filter, known: bounded_places(known)?, ahead })
    }
}

/// The arrays of the response, still as text.
#[derive(Deserialize)]
struct Arrays<'a> {
    #[serde(borrow)]
    former: Option<&'a RawValue>,
    #[serde(borrow)]
    known: Option<&'a RawValue>,
}

impl FromJson for HelloResponse {
    fn from_json(bytes: &[u8], limits: &WireLimits) -> Result<Self> {
        let Arrays { former, known } = parse_plain(bytes, limits, Side::Answer)?;
        for (array, what, most) in [
            (former, "former ids", HelloResponse::MAX_FORMER),
            (known, "known places", WireLimits::KNOWN_PLACES),
        ] {
            if let Some(array) = array {
                bounded::<IgnoredAny>(array, what, most, Side::Answer)?;
            }
        }
        parse_plain(bytes, limits, Side::Answer)
    }
}
