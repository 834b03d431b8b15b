//! Missing, and its answer.

use prost::Message;
use synckit_core::{EventId, MissingRequest, MissingResponse, Result};

use super::fields::{Split, split};
use super::parts::{caller, caller_form, check_plain, request};
use super::write::put_bytes;
use super::{FromProtobuf, ToProtobuf, generated as form, parse};
use crate::checks::Side;
use crate::limits::WireLimits;

fn put_ids(out: &mut Vec<u8>, tag: u32, ids: &[EventId]) {
    for id in ids {
        put_bytes(out, tag, id.as_str().as_bytes());
    }
}

/// Takes the ids out of a message, and leaves the rest of it.
fn take_ids(bytes: &[u8], tag: u32, limits: &WireLimits, side: Side) -> Result<(Vec<EventId>, Vec<u8>)> {
    check_plain(bytes, limits)?;
    let Split { items, rest } = split(bytes, &[tag], "ids", limits.limits.batch_events, side)?;
    let id = |(_, bytes): &(u32, &[u8])| {
        let text = std::str::from_utf8(bytes).map_err(|error| side.unreadable(&error.to_string()))?;
        EventId::new(text).map_err(|error| side.unreadable(&error.to_string()))
    };
    let ids = items.iter().map(id).collect::<Result<_>>()?;
    Ok((ids, rest))
}

impl ToProtobuf for MissingRequest {
    fn to_protobuf(&self) -> Vec<u8> {
        let form = form::MissingRequest { caller: caller_form(&self.caller), ids: Vec::new() };
        let mut out = form.encode_to_vec();
        put_ids(&mut out, 2, &self.ids);
        out
    }
}

impl FromProtobuf for MissingRequest {
    fn from_protobuf(bytes: &[u8], limits: &WireLimits) -> Result<Self> {
        let (ids, rest) = take_ids(bytes, 2, limits, Side::Request)?;
        let form: form::MissingRequest = parse(&rest, Side::Request)?;
        Ok(MissingRequest { caller: request(|| caller(form.caller))?, ids })
    }
}

impl ToProtobuf for MissingResponse {
    fn to_protobuf(&self) -> Vec<u8> {
        let mut out = form::MissingResponse { ids: Vec::new(), answered: true }.encode_to_vec();
        put_ids(&mut out, 1, &self.ids);
        out
    }
}

impl FromProtobuf for MissingResponse {
    fn from_protobuf(bytes: &[u8], limits: &WireLimits) -> Result<Self> {
        let (ids, rest) = take_ids(bytes, 1, limits, Side::Answer)?;
        let form: form::MissingResponse = parse(&rest, Side::Answer)?;
        if !form.answered {
            return Err(Side::Answer.unreadable("it does not say that it is an answer"));
        }
        Ok(MissingResponse { ids })
    }
}
