//! A page of a log.

use prost::Message;
use synckit_core::{Cursor, PullResponse, Result, Unreadable};

use super::event::put_events;
use super::fields::{Split, split};
use super::parts::{code, code_of, names, put_names};
use super::read::Reader;
use super::{FromProtobuf, ToProtobuf, error, generated as form, parse};
use crate::checks::{Side, brief, check_length};
use crate::limits::WireLimits;

const EVENTS: u32 = 1;
const UNREADABLE: u32 = 2;
const IDS: u32 = 5;

impl ToProtobuf for PullResponse {
    fn to_protobuf(&self) -> Vec<u8> {
        let unreadable = self.unreadable.iter().map(|bad| form::Unreadable {
            id: bad.id.clone(),
            code: code_of(bad.code).into(),
            message: bad.message.clone(),
            text: bad.text.clone(),
        });
        let rest = form::PullResponse {
            events: Vec::new(),
            unreadable: unreadable.collect(),
            next: self.next.to_string(),
            more: self.more,
            ids: Vec::new(),
        };
        let mut out = Vec::new();
        put_events(&mut out, EVENTS, &self.events);
        rest.encode_raw(&mut out);
        put_names(&mut out, IDS, &self.ids);
        out
    }
}

impl FromProtobuf for PullResponse {
    fn from_protobuf(bytes: &[u8], limits: &WireLimits) -> Result<Self> {
        check_length(bytes, limits.decoded_bytes)?;
        let most = limits.limits.batch_events;
        let tags = [EVENTS, UNREADABLE, IDS];
        let Split { mut items, rest } = split(bytes, &tags, "events and ids", most, Side::Answer)?;
        if let Some(error) = error::read(&rest)? {
            return Err(error);
        }
        let form::PullResponse { next, more, .. } = parse(&rest, Side::Answer)?;
        let next: Cursor = next.parse().map_err(|_| Side::Answer.unreadable("it has no cursor in `next`"))?;
        let ids: Vec<_> = items.extract_if(.., |(tag, _)| *tag == IDS).collect();
        let ids = names(&ids, Side::Answer)?;
        let mut page = PullResponse { events: Vec::new(), ids, unreadable: Vec::new(), next, more };
        page.events.reserve_exact(items.len());
        let mut reader = Reader::new(limits);
        for (tag, item) in items {
            if tag == UNREADABLE {
                page.unreadable.push(passed_on(item)?);
                continue;
            }
            match reader.read(item) {
                Ok(event) => page.events.push(event),
                Err(bad) => page.unreadable.push(bad),
            }
        }
        Ok(page)
    }
}

/// Reads an entry that the peer could not read and passed on.
fn passed_on(bytes: &[u8]) -> Result<Unreadable> {
    let form::Unreadable { id, code: number, message, text } = parse(bytes, Side::Answer)?;
    Ok(Unreadable { id: brief(&id).to_owned(), code: code(number), message, text })
}
