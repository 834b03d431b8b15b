//! The JSON form of events.

use std::borrow::Cow;

use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::clock::{Dot, VectorClock};
use crate::data::{Data, Metadata};
use crate::error::Result;
use crate::event::{Event, NewEvent};
use crate::ids::{AggregateId, EventId, EventType};
use crate::json;
use crate::timestamp::Timestamp;

impl Event {
    /// Appends the JSON form, without parsing the data or the metadata.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":");
        json::put_string(out, self.id.as_str());
        out.extend_from_slice(b",\"type\":");
        json::put_string(out, self.event_type.as_str());
        out.extend_from_slice(b",\"aggregate_id\":");
        json::put_string(out, self.aggregate_id.as_str());
        out.push(b',');
        self.data.put_field(out);
        if !self.metadata.is_empty() {
            out.extend_from_slice(b",\"metadata\":");
            out.extend_from_slice(self.metadata.as_json().as_bytes());
        }
        if let Some(dot) = &self.dot {
            out.extend_from_slice(b",\"dot\":{\"node\":");
            json::put_string(out, dot.node.as_str());
            out.extend_from_slice(b",\"counter\":");
            json::put_number(out, dot.counter);
            out.push(b'}');
        }
        out.extend_from_slice(b",\"clock\":{");
        for (at, (node, counter)) in self.clock.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            json::put_string(out, node.as_str());
            out.push(b':');
            json::put_number(out, counter);
        }
        out.extend_from_slice(b"},\"time\":\"");
        json::put_number(out, self.time.millis());
        out.push(b'-');
        json::put_number(out, self.time.counter().into());
        out.extend_from_slice(b"\"}");
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::with_capacity(self.size() + 128);
        self.write_json(&mut bytes);
        let text = std::str::from_utf8(&bytes).map_err(serde::ser::Error::custom)?;
        json::raw::<S::Error>(text)?.serialize(serializer)
    }
}

/// The JSON form of events and new events, as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventForm<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(rename = "type")]
    event_type: EventType,
    aggregate_id: AggregateId,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    data_base64: Option<Cow<'a, str>>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    dot: Option<Dot>,
    clock: Option<VectorClock>,
    time: Option<Timestamp>,
}

/// Reads `null` as the value it is: data that is JSON `null` is not absent data.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&'a RawValue>::deserialize(deserializer).map(Some)
}

impl EventForm<'_> {
    fn new_event(self) -> Result<NewEvent> {
        Ok(NewEvent {
            id: self.id.map(EventId::new).transpose()?,
            event_type: self.event_type,
            aggregate_id: self.aggregate_id,
            data: Data::from_fields(self.data, self.data_base64.as_deref())?,
            metadata: self.metadata.map(Metadata::from_field).transpose()?.unwrap_or_default(),
        })
    }
}

impl<'de> Deserialize<'de> for Event {
    /// Reads the JSON form from text held in memory; `data` keeps its text.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let missing = serde::de::Error::missing_field;
        let mut form = EventForm::deserialize(deserializer)?;
        let clock = form.clock.take().ok_or_else(|| missing("clock"))?;
        let time = form.time.ok_or_else(|| missing("time"))?;
        let dot = form.dot.take();
        let mut new = form.new_event().map_err(serde::de::Error::custom)?;
        let id = new.id.take().ok_or_else(|| missing("id"))?;
        Ok(new.stamped(id, dot, clock, time))
    }
}

impl<'de> Deserialize<'de> for NewEvent {
    /// Reads `{"type","aggregate_id","data","metadata"?,"id"?}` from text held in memory.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = EventForm::deserialize(deserializer)?;
        if form.dot.is_some() || form.clock.is_some() || form.time.is_some() {
            return Err(serde::de::Error::custom(
                "a new event has no dot, clock or time; they are stamped when it is recorded",
            ));
        }
        form.new_event().map_err(serde::de::Error::custom)
    }
}

impl Serialize for NewEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(id) = &self.id {
            map.serialize_entry("id", id)?;
        }
        map.serialize_entry("type", &self.event_type)?;
        map.serialize_entry("aggregate_id", &self.aggregate_id)?;
        let mut field = vec![b'{'];
        self.data.put_field(&mut field);
        field.push(b'}');
        let fields: std::collections::BTreeMap<&str, &RawValue> =
            serde_json::from_slice(&field).map_err(serde::ser::Error::custom)?;
        for (name, value) in fields {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("metadata", json::raw::<S::Error>(self.metadata.as_json())?)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::tests::sample;

    #[test]
    fn json_round_trips_to_the_letter() {
        let mut event = sample();
        for data in [Data::json("null").expect("valid"), Data::bytes(vec![0, 255]), sample().data] {
            event.data = data;
            let text = serde_json::to_string(&event).expect("encodes");
            let back: Event = serde_json::from_str(&text).expect("decodes");
            assert_eq!(back, event);
            assert_eq!(back.digest(), event.digest());
        }
        event.metadata = Metadata::json(r#"{"b":1, "a":2}"#).expect("valid");
        let text = serde_json::to_string(&event).expect("encodes");
        assert_eq!(serde_json::from_str::<Event>(&text).expect("decodes"), event);
    }

    #[test]
    fn unknown_and_duplicate_fields_are_refused() {
        let good = serde_json::to_string(&sample()).expect("encodes");
        for bad in [
            good.replacen('{', r#"{"extra":1,"#, 1),
            good.replacen('{', r#"{"type":"T","#, 1),
            good.replace(r#""data":"#, r#""data_base64":"AA==","data":"#),
            good.replace(r#","time":"5-0""#, ""),
        ] {
            assert!(serde_json::from_str::<Event>(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn new_events_read_from_a_line() {
        let line = r#"{"type":"T","aggregate_id":"x","data":null}"#;
        let new: NewEvent = serde_json::from_str(line).expect("decodes");
        assert_eq!(new.data.as_json(), Some("null"));
        let again: NewEvent =
            serde_json::from_str(&serde_json::to_string(&new).expect("encodes")).expect("decodes");
        assert_eq!(again, new);
        assert!(serde_json::from_str::<NewEvent>(r#"{"type":"T","aggregate_id":"x"}"#).is_err());
    }
}
