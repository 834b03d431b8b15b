//! The JSON form of events.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::clock::{Dot, VectorClock};
use crate::data::{Data, Metadata};
use crate::error::Result;
use crate::event::{Event, NewEvent};
use crate::ids::{AggregateId, EventId, EventType};
use crate::timestamp::Timestamp;

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let form =
            EventForm::of(Some(&self.id), &self.event_type, &self.aggregate_id, &self.data, &self.metadata);
        let form = form.map_err(serde::ser::Error::custom)?;
        let (dot, clock) = (self.dot.as_ref().map(Cow::Borrowed), Some(Cow::Borrowed(&self.clock)));
        EventForm { dot, clock, time: Some(self.time), ..form }.serialize(serializer)
    }
}

impl Serialize for NewEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let id = self.id.as_ref();
        let form = EventForm::of(id, &self.event_type, &self.aggregate_id, &self.data, &self.metadata);
        form.map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

/// The JSON form of events and new events.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventForm<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    id: Option<Cow<'a, str>>,
    #[serde(rename = "type")]
    event_type: Cow<'a, EventType>,
    aggregate_id: Cow<'a, AggregateId>,
    #[serde(borrow, default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    data_base64: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dot: Option<Cow<'a, Dot>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clock: Option<Cow<'a, VectorClock>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Timestamp>,
}

/// Reads `null` as a value: data that is JSON `null` is not missing data.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&'a RawValue>::deserialize(deserializer).map(Some)
}

impl<'a> EventForm<'a> {
    fn of(
        id: Option<&'a EventId>,
        event_type: &'a EventType,
        aggregate_id: &'a AggregateId,
        data: &'a Data,
        metadata: &'a Metadata,
    ) -> serde_json::Result<Self> {
        Ok(EventForm {
            id: id.map(|id| Cow::Borrowed(id.as_str())),
            event_type: Cow::Borrowed(event_type),
            aggregate_id: Cow::Borrowed(aggregate_id),
            data: data.as_json().map(serde_json::from_str).transpose()?,
            data_base64: data.to_base64().map(Cow::Owned),
            metadata: (!metadata.is_empty()).then(|| serde_json::from_str(metadata.as_json())).transpose()?,
            dot: None,
            clock: None,
            time: None,
        })
    }

    fn new_event(self) -> Result<NewEvent> {
        Ok(NewEvent {
            id: self.id.map(EventId::new).transpose()?,
            event_type: self.event_type.into_owned(),
            aggregate_id: self.aggregate_id.into_owned(),
            data: Data::from_fields(self.data, self.data_base64.as_deref())?,
            metadata: self.metadata.map(Metadata::from_field).transpose()?.unwrap_or_default(),
        })
    }
}

impl<'de> Deserialize<'de> for Event {
    /// Reads the JSON form from text held in memory; the text of `data` is kept as it is.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let missing = serde::de::Error::missing_field;
        let mut form = EventForm::deserialize(deserializer)?;
        let clock = form.clock.take().ok_or_else(|| missing("clock"))?;
        let time = form.time.ok_or_else(|| missing("time"))?;
        let dot = form.dot.take();
        let mut new = form.new_event().map_err(serde::de::Error::custom)?;
        let id = new.id.take().ok_or_else(|| missing("id"))?;
        Ok(new.stamped(id, dot.map(Cow::into_owned), clock.into_owned(), time))
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
