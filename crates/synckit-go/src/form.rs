//! Events as clients of go-sync-kit read and write them.
//!
//! Data for which they have no form is wrapped, and unwrapped when it comes back, since they push what they pulled:
//! bytes are `{"data_base64":"…"}`, and JSON that they cannot read, such as 1e400, is `{"data_text":"…"}`.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use synckit_core::{Data, Event, EventId, Metadata, NewEvent, Refused, RefusedCode, Result};
use synckit_wire::{WireLimits, items};

use crate::value::Value;

/// The most events of one push.
const MOST: usize = 20_000;

/// A pushed event that could be read, and its place in the push.
pub(super) struct Pushed {
    pub(super) index: usize,
    /// The number that the client gives it: usually that of its row in the client's table.
    pub(super) version: Option<u64>,
    pub(super) id: EventId,
    pub(super) event: NewEvent,
}

/// The events of a push that cannot be stored, each with its place in the push.
pub(super) type Unstored = Vec<(usize, Refused)>;

/// Reads the events of a push, and returns separately those that cannot be read.
///
/// # Errors
/// `Invalid` when this is not an array, `TooLarge` for too many events.
pub(super) fn read(body: &[u8], limits: &WireLimits) -> Result<(Vec<Pushed>, Unstored)> {
    let (mut events, mut refused) = (Vec::new(), Vec::new());
    for (index, text) in items(body, MOST)?.into_iter().enumerate() {
        let bad = |code, message| (index, Refused { id: id_of(text), code, message });
        if text.len() > limits.event_text_bytes() {
            let most = limits.limits.event_bytes;
            refused.push(bad(
                RefusedCode::TooLarge,
                format!("the event is larger than the {most} bytes allowed"),
            ));
            continue;
        }
        match read_one(text) {
            Ok((version, id, event)) => events.push(Pushed { index, version, id, event }),
            Err(message) => refused.push(bad(RefusedCode::Invalid, message)),
        }
    }
    Ok((events, refused))
}

#[derive(Deserialize)]
struct Form<'a> {
    #[serde(borrow)]
    event: EventForm<'a>,
    #[serde(borrow, default)]
    version: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct EventForm<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    aggregate_id: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    metadata: Option<&'a RawValue>,
}

/// Reads `null` as the value it is.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&'a RawValue>::deserialize(deserializer).map(Some)
}

fn read_one(text: &str) -> Result<(Option<u64>, EventId, NewEvent), String> {
    let form: Form<'_> =
        serde_json::from_str(text).map_err(|error| format!("the event cannot be read: {error}"))?;
    let version = form.version.and_then(|text| text.get().trim_matches('"').parse().ok());
    let form = form.event;
    let read = || {
        let id = EventId::new(&form.id)?;
        let data = data_of(form.data.map_or("null", RawValue::get))?;
        let mut event = NewEvent::with_data(&form.event_type, &form.aggregate_id, data)?;
        if let Some(metadata) = form.metadata.filter(|raw| raw.get() != "null") {
            event = event.with_metadata(metadata_of(metadata.get())?);
        }
        Ok((version, id, event))
    };
    read().map_err(|error: synckit_core::Error| error.to_string())
}

/// Returns the id of something that is not an event, as far as it has one.
fn id_of(text: &str) -> String {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        event: Id<'a>,
    }
    #[derive(Deserialize)]
    struct Id<'a> {
        #[serde(borrow)]
        id: Cow<'a, str>,
    }
    let id = serde_json::from_str::<Named<'_>>(text).map(|named| named.event.id.into_owned());
    id.unwrap_or_default().chars().take(255).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrapped {
    data_base64: Option<String>,
    data_text: Option<String>,
}

/// Returns the data behind what was pushed. Data that looks wrapped but has a form of its own is taken as it is.
fn data_of(text: &str) -> Result<Data> {
    match unwrap(text) {
        Some(Wrapped { data_base64: Some(packed), data_text: None }) => match BASE64.decode(packed) {
            Ok(bytes) => Ok(Data::bytes(bytes)),
            Err(_) => Data::json(text),
        },
        Some(Wrapped { data_base64: None, data_text: Some(inner) }) if !is_read_by_clients(&inner) => {
            Data::json(inner).or_else(|_| Data::json(text))
        }
        _ => Data::json(text),
    }
}

fn metadata_of(text: &str) -> Result<Metadata> {
    match unwrap(text) {
        Some(Wrapped { data_base64: None, data_text: Some(inner) }) if !is_read_by_clients(&inner) => {
            Metadata::json(inner).or_else(|_| Metadata::json(text))
        }
        _ => Metadata::json(text),
    }
}

fn unwrap(text: &str) -> Option<Wrapped> {
    let maybe = text.starts_with('{') && text.contains("\"data_");
    if maybe { serde_json::from_str(text).ok() } else { None }
}

/// Returns whether a program that reads numbers as doubles can read this JSON at all.
fn is_read_by_clients(text: &str) -> bool {
    Value::read(text).is_some()
}

/// Returns the data in the form that a client is sent.
pub(super) fn sent(data: &Data) -> Cow<'_, str> {
    match data.as_json() {
        Some(text) => sent_text(text),
        None => Cow::Owned(wrapped("data_base64", &BASE64.encode(data.as_bytes()))),
    }
}

/// Returns JSON, such as metadata, in the form that a client is sent.
pub(super) fn sent_text(text: &str) -> Cow<'_, str> {
    match is_read_by_clients(text) {
        true => Cow::Borrowed(text),
        false => Cow::Owned(wrapped("data_text", text)),
    }
}

fn wrapped(name: &str, text: &str) -> String {
    format!("{{\"{name}\":{}}}", serde_json::Value::from(text))
}

/// Appends `{"event":{…},"version":"…"}`.
pub(super) fn put(out: &mut Vec<u8>, event: &Event, version: u64) {
    out.extend_from_slice(b"{\"event\":{\"id\":");
    put_string(out, event.id.as_str());
    out.extend_from_slice(b",\"type\":");
    put_string(out, event.event_type.as_str());
    out.extend_from_slice(b",\"aggregate_id\":");
    put_string(out, event.aggregate_id.as_str());
    out.extend_from_slice(b",\"data\":");
    out.extend_from_slice(sent(&event.data).as_bytes());
    out.extend_from_slice(b",\"metadata\":");
    out.extend_from_slice(sent_text(event.metadata.as_json()).as_bytes());
    out.extend_from_slice(format!("}},\"version\":\"{version}\"}}").as_bytes());
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(text: &str) -> Data {
        data_of(text).expect("valid")
    }

    #[test]
    fn what_has_no_form_is_wrapped_and_unwrapped() {
        assert_eq!(data(r#"{"data_base64":"AP8="}"#), Data::bytes(vec![0, 255]));
        assert_eq!(data(r#"{"data_text":"1e400"}"#).as_json(), Some("1e400"));
        for text in
            ["1.0", "9007199254740993", "null", r#"{"data_base64":"AP8=","more":1}"#, r#"{"data_base64":7}"#]
        {
            assert_eq!(data(text).as_json(), Some(text));
        }
    }

    #[test]
    fn events_are_read_one_by_one() {
        let body =
            br#"[{"event":{"id":"1","type":"T","aggregate_id":"x","data":1.0,"metadata":null},"version":"7"},
            {"event":{"id":"2","type":"","aggregate_id":"x"}}, 7,
            {"event":{"id":"3","type":"T","aggregate_id":"x","extra":1}}]"#;
        let (events, refused) = read(body, &WireLimits::default()).expect("an array");
        assert_eq!(
            events.iter().map(|one| (one.index, one.version, one.id.as_str())).collect::<Vec<_>>(),
            [(0, Some(7), "1"), (3, None, "3")]
        );
        assert_eq!(events[0].event.data.as_json(), Some("1.0"));
        assert_eq!(events[1].event.data.as_json(), Some("null"));
        assert_eq!(
            refused.iter().map(|(index, one)| (*index, one.id.as_str())).collect::<Vec<_>>(),
            [(1, "2"), (2, "")]
        );
        assert!(read(b"{}", &WireLimits::default()).is_err());
    }
}
