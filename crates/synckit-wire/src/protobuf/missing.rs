//! Missing, and its response.

use prost::Message;
use synckit_core::{EventId, MissingRequest, MissingResponse, Result};

use super::fields::{Split, split};
use super::parts::{answer, caller, caller_form, check_plain, cursor, names, put_names, request, text};
use super::{FromProtobuf, ToProtobuf, generated as form, parse};
use crate::checks::Side;
use crate::limits::WireLimits;

const KNOWN: u32 = 3;

/// Takes the ids out of a message. Returns them and the rest of the message.
fn take_ids(bytes: &[u8], tag: u32, limits: &WireLimits, side: Side) -> Result<(Vec<EventId>, Vec<u8>)> {
    check_plain(bytes, limits)?;
    let Split { items, rest } = split(bytes, &[tag], "ids", limits.limits.batch_events, side)?;
    Ok((names(&items, side)?, rest))
}

impl ToProtobuf for MissingRequest {
    fn to_protobuf(&self) -> Vec<u8> {
        let known = self.known.iter().map(ToString::to_string).collect();
        let form = form::MissingRequest { caller: caller_form(&self.caller), ids: Vec::new(), known };
        let mut out = form.encode_to_vec();
        put_names(&mut out, 2, &self.ids);
        out
    }
}

impl FromProtobuf for MissingRequest {
    fn from_protobuf(bytes: &[u8], limits: &WireLimits) -> Result<Self> {
        let (ids, rest) = take_ids(bytes, 2, limits, Side::Request)?;
        let Split { items: known, rest } =
            split(&rest, &[KNOWN], "known places", WireLimits::KNOWN_PLACES, Side::Request)?;
        let form: form::MissingRequest = parse(&rest, Side::Request)?;
        let known = names(&known, Side::Request)?;
        Ok(MissingRequest { caller: request(|| caller(form.caller))?, ids, known })
    }
}

impl ToProtobuf for MissingResponse {
    fn to_protobuf(&self) -> Vec<u8> {
        let mut out =
            form::MissingResponse { ids: Vec::new(), answered: true, place: text(self.place.as_ref()) }
                .encode_to_vec();
        put_names(&mut out, 1, &self.ids);
        out
    }
}

impl FromProtobuf for MissingResponse {
    fn from_protobuf(bytes: &[u8], limits: &WireLimits) -> Result<Self> {
        let (ids, rest) = take_ids(bytes, 1, limits, Side::Answer)?;
        let form: form::MissingResponse = parse(&rest, Side::Answer)?;
        if !form.answered {
            return Err(Side::Answer.unreadable("its `answered` is not true"));
        }
        Ok(MissingResponse { ids, place: answer(|| cursor(form.place))? })
    }
}
