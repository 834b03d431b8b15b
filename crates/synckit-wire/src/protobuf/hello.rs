//! Hello, and its response.

use prost::Message;
use synckit_core::{EventId, HelloRequest, HelloResponse, Limits, NodeId, Result, Stored};

use super::event::put_events;
use super::fields::{Split, split};
use super::parts::{
    answer, caller, caller_form, check_plain, cursor, names, placed, placed_form, request, text,
};
use super::read::Reader;
use super::{FromProtobuf, ToProtobuf, count, generated as form, parse, size};
use crate::ahead::ahead;
use crate::checks::Side;
use crate::limits::WireLimits;

const EVENTS: u32 = 5;
const KNOWN_BY_CALLER: u32 = 4;
const KNOWN: u32 = 10;
const FORMER: u32 = 13;

impl ToProtobuf for HelloRequest {
    fn to_protobuf(&self) -> Vec<u8> {
        let ahead = self.ahead.as_ref();
        let rest = form::HelloRequest {
            protocol: self.protocol,
            caller: caller_form(&self.caller),
            filter: self.filter.clone(),
            known: self.known.iter().map(ToString::to_string).collect(),
            events: Vec::new(),
            peer: text(ahead.map(|ahead| &ahead.peer)),
            after: text(ahead.map(|ahead| &ahead.after)),
            upto: text(ahead.map(|ahead| &ahead.upto)),
            latest: text(ahead.and_then(|ahead| ahead.latest.as_ref())),
        };
        let mut out = Vec::new();
        put_events(&mut out, EVENTS, ahead.map_or(&[], |ahead| &ahead.events));
        rest.encode_raw(&mut out);
        out
    }
}

impl FromProtobuf for HelloRequest {
    fn from_protobuf(bytes: &[u8], limits: &WireLimits) -> Result<Self> {
        check_plain(bytes, limits)?;
        let most = limits.limits.batch_events;
        let Split { items, rest } = split(bytes, &[EVENTS], "events", most, Side::Request)?;
        let Split { items: known, rest } =
            split(&rest, &[KNOWN_BY_CALLER], "known places", WireLimits::KNOWN_PLACES, Side::Request)?;
        let known = names(&known, Side::Request)?;
        let form: form::HelloRequest = parse(&rest, Side::Request)?;
        let mut reader = Reader::new(limits);
        let some = !items.is_empty();
        let events = items.into_iter().map(|(_, item)| reader.read(item)).collect();
        request(|| {
            let peer = form.peer.map(|peer| peer.parse()).transpose()?;
            let latest = form.latest.map(EventId::new).transpose()?;
            let ahead = ahead(some, events, peer, cursor(form.after)?, latest, cursor(form.upto)?)?;
            Ok(HelloRequest {
                protocol: form.protocol,
                caller: caller(form.caller)?,
                filter: form.filter,
                known,
                ahead,
            })
        })
    }
}

impl ToProtobuf for HelloResponse {
    fn to_protobuf(&self) -> Vec<u8> {
        let Limits { batch_events, batch_bytes, event_bytes, drift_seconds } = self.limits;
        form::HelloResponse {
            protocol: self.protocol,
            store: self.store.to_string(),
            node: self.node.to_string(),
            head: self.head,
            limits: Some(form::Limits {
                batch_events: Some(count(batch_events)),
                batch_bytes: Some(count(batch_bytes)),
                event_bytes: Some(count(event_bytes)),
                drift_seconds: Some(drift_seconds),
            }),
            time: self.time,
            counter: self.counter,
            counter_event: text(self.counter_event.as_ref()),
            pushed: text(self.pushed.as_ref()),
            known: self.known.iter().map(ToString::to_string).collect(),
            all_held: self.all_held,
            ahead: self.ahead.as_ref().map(|stored| form::Stored {
                accepted: count(stored.accepted),
                duplicates: count(stored.duplicates),
                placed: placed_form(stored.placed.as_ref()),
            }),
            former: self.former.iter().map(ToString::to_string).collect(),
            rights: self.rights.clone(),
        }
        .encode_to_vec()
    }
}

impl FromProtobuf for HelloResponse {
    fn from_protobuf(bytes: &[u8], limits: &WireLimits) -> Result<Self> {
        check_plain(bytes, limits)?;
        let Split { items: known, rest } =
            split(bytes, &[KNOWN], "known places", WireLimits::KNOWN_PLACES, Side::Answer)?;
        let Split { items: former, rest } =
            split(&rest, &[FORMER], "former ids", HelloResponse::MAX_FORMER, Side::Answer)?;
        let (known, former) = (names(&known, Side::Answer)?, names(&former, Side::Answer)?);
        let form: form::HelloResponse = parse(&rest, Side::Answer)?;
        let said = form.limits.unwrap_or_default();
        let default = Limits::default();
        let stored = |form: form::Stored| {
            Ok(Stored {
                accepted: size(form.accepted),
                duplicates: size(form.duplicates),
                placed: placed(form.placed)?,
            })
        };
        answer(|| {
            Ok(HelloResponse {
                protocol: form.protocol,
                store: form.store.parse()?,
                former,
                node: NodeId::new(form.node)?,
                head: form.head,
                limits: Limits {
                    batch_events: said.batch_events.map_or(default.batch_events, size),
                    batch_bytes: said.batch_bytes.map_or(default.batch_bytes, size),
                    event_bytes: said.event_bytes.map_or(default.event_bytes, size),
                    drift_seconds: said.drift_seconds.unwrap_or(default.drift_seconds),
                },
                time: form.time,
                counter: form.counter,
                counter_event: form.counter_event.map(EventId::new).transpose()?,
                pushed: cursor(form.pushed)?,
                known,
                all_held: form.all_held,
                rights: form.rights,
                ahead: form.ahead.map(stored).transpose()?,
            })
        })
    }
}
