//! Push: events and where they come from, and the result.

use prost::Message;
use synckit_core::{PushRequest, PushResponse, Refused, Result, Unreadable};

use super::event::put_events;
use super::fields::{Split, split};
use super::parts::{
    answer, caller, caller_form, code, code_of, cursor, names, placed, placed_form, request, text,
};
use super::read::Reader;
use super::{FromProtobuf, ToProtobuf, count, generated as form, parse, size};
use crate::checks::{Side, check_length};
use crate::limits::WireLimits;
use crate::push::ReceivedPush;

const EVENTS: u32 = 3;
const KNOWN: u32 = 6;
const REFUSED: u32 = 3;

impl ToProtobuf for PushRequest {
    fn to_protobuf(&self) -> Vec<u8> {
        let rest = form::PushRequest {
            caller: caller_form(&self.caller),
            filter: self.filter.clone(),
            events: Vec::new(),
            upto: text(self.upto.as_ref()),
            from: text(self.from.as_ref()),
            known: self.known.iter().map(ToString::to_string).collect(),
        };
        let mut out = Vec::new();
        put_events(&mut out, EVENTS, &self.events);
        rest.encode_raw(&mut out);
        out
    }
}

impl FromProtobuf for ReceivedPush {
    fn from_protobuf(bytes: &[u8], limits: &WireLimits) -> Result<Self> {
        check_length(bytes, limits.decoded_bytes)?;
        let most = limits.limits.batch_events;
        let Split { items, rest } = split(bytes, &[EVENTS], "events", most, Side::Request)?;
        let Split { items: known, rest } =
            split(&rest, &[KNOWN], "known places", WireLimits::KNOWN_PLACES, Side::Request)?;
        let known = names(&known, Side::Request)?;
        let form::PushRequest { caller: who, filter, upto, from, .. } = parse(&rest, Side::Request)?;
        let (caller, from, upto) = request(|| Ok((caller(who)?, cursor(from)?, cursor(upto)?)))?;
        let mut events = Vec::with_capacity(items.len());
        let mut refused = Vec::new();
        let mut reader = Reader::new(limits);
        for (_, item) in items {
            match reader.read(item) {
                Ok(event) => events.push(event),
                Err(Unreadable { id, code, message, .. }) => refused.push(Refused { id, code, message }),
            }
        }
        let upto = upto.filter(|_| refused.is_empty());
        Ok(ReceivedPush { request: PushRequest { caller, filter, events, from, upto, known }, refused })
    }
}

impl ToProtobuf for PushResponse {
    fn to_protobuf(&self) -> Vec<u8> {
        let refused = self.refused.iter().map(|refused| form::Refused {
            id: refused.id.clone(),
            code: code_of(refused.code).into(),
            message: refused.message.clone(),
        });
        form::PushResponse {
            accepted: Some(count(self.accepted)),
            duplicates: Some(count(self.duplicates)),
            refused: refused.collect(),
            placed: placed_form(self.placed.as_ref()),
        }
        .encode_to_vec()
    }
}

impl FromProtobuf for PushResponse {
    /// Reads the response to a push. It may name every event of a large batch, each with a reason.
    fn from_protobuf(bytes: &[u8], limits: &WireLimits) -> Result<Self> {
        check_length(bytes, limits.decoded_bytes)?;
        let most = limits.limits.batch_events;
        let Split { items, rest } = split(bytes, &[REFUSED], "refused events", most, Side::Answer)?;
        let form: form::PushResponse = parse(&rest, Side::Answer)?;
        let (Some(accepted), Some(duplicates)) = (form.accepted, form.duplicates) else {
            return Err(Side::Answer.unreadable("it has no `accepted` count"));
        };
        let mut refused = Vec::with_capacity(items.len());
        for (_, item) in items {
            let form::Refused { id, code: number, message } = parse(item, Side::Answer)?;
            refused.push(Refused { id, code: code(number), message });
        }
        let placed = answer(|| placed(form.placed))?;
        Ok(PushResponse { accepted: size(accepted), duplicates: size(duplicates), refused, placed })
    }
}
