//! Hello, and its answer.

use prost::Message;
use synckit_core::{EventId, HelloRequest, HelloResponse, Limits, NodeId, Result};

use super::parts::{answer, caller, caller_form, check_plain, cursor, request, text};
use super::{FromProtobuf, ToProtobuf, count, generated as form, parse, size};
use crate::checks::Side;
use crate::limits::WireLimits;

impl ToProtobuf for HelloRequest {
    fn to_protobuf(&self) -> Vec<u8> {
        form::HelloRequest {
            protocol: self.protocol,
            caller: caller_form(&self.caller),
            filter: self.filter.clone(),
            cursor: text(self.cursor.as_ref()),
        }
        .encode_to_vec()
    }
}

impl FromProtobuf for HelloRequest {
    fn from_protobuf(bytes: &[u8], limits: &WireLimits) -> Result<Self> {
        check_plain(bytes, limits)?;
        let form: form::HelloRequest = parse(bytes, Side::Request)?;
        request(|| {
            Ok(HelloRequest {
                protocol: form.protocol,
                caller: caller(form.caller)?,
                filter: form.filter,
                cursor: cursor(form.cursor)?,
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
            known: text(self.known.as_ref()),
            cursor_known: self.cursor_known,
        }
        .encode_to_vec()
    }
}

impl FromProtobuf for HelloResponse {
    fn from_protobuf(bytes: &[u8], limits: &WireLimits) -> Result<Self> {
        check_plain(bytes, limits)?;
        let form: form::HelloResponse = parse(bytes, Side::Answer)?;
        let said = form.limits.unwrap_or_default();
        let default = Limits::default();
        answer(|| {
            Ok(HelloResponse {
                protocol: form.protocol,
                store: form.store.parse()?,
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
                known: cursor(form.known)?,
                cursor_known: form.cursor_known,
            })
        })
    }
}
