//! Many rows in one value, and many keys in one parameter.
//!
//! The driver hands rows over one by one from the connection's thread, and binds parameters one by one. What is many is
//! therefore put together on either side: by SQL into one BLOB of fields, here into one text of JSON.
//!
//! Texts are UTF-8, in which the byte FF never occurs: it stands behind every field that is a text or a number. A
//! field of bytes has its length in an earlier field.

use std::error::Error as StdError;
use std::str::{self, FromStr};

use serde::{Serialize, Serializer};
use synckit_core::{
    AggregateId, Data, Dot, Error, ErrorKind, Event, EventId, EventType, Mark, Metadata, NodeId, Result,
    StoreId, StoredEvent, Timestamp, VectorClock,
};
use synckit_store::checksum;

const END: u8 = 0xff;

/// A row of `events` as one value, in the order in which [`Fields::stored`] reads it.
pub(crate) const EVENT: &str = "concat_ws(x'ff', events.position, events.mark, events.checksum, events.id, \
     events.type, events.aggregate, ifnull(events.origin, ''), ifnull(events.counter, ''), events.time, \
     typeof(events.data), octet_length(events.data), octet_length(events.clock), ifnull(octet_length(events.source), ''), events.metadata, events.data, events.clock, \
     ifnull(events.source, ''))";

/// How large a row is, in bytes: at most what [`Event::size`] says of it.
pub(crate) const EVENT_SIZE: &str = "octet_length(events.id) + octet_length(events.type) + octet_length(events.aggregate) \
     + octet_length(events.data) + octet_length(events.metadata) + octet_length(events.clock)";

/// The rows of a query put together: each of them this expression.
pub(crate) fn all(row: &str) -> String {
    format!("CAST(group_concat({row}, '') AS BLOB)")
}

/// What could be read of a row that cannot be read as a whole.
#[derive(Default)]
pub(crate) struct Named {
    pub(crate) position: Option<i64>,
    pub(crate) id: Option<EventId>,
}

pub(crate) type Unreadable = Box<dyn StdError + Send + Sync>;

/// The fields of rows put together.
pub(crate) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Fields(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Unreadable> {
        let end = self.0.iter().position(|byte| *byte == END).ok_or("a field without an end")?;
        let text = self.bytes(end)?;
        self.end()?;
        Ok(str::from_utf8(text)?)
    }

    pub(crate) fn number<T: FromStr<Err: StdError + Send + Sync + 'static>>(
        &mut self,
    ) -> Result<T, Unreadable> {
        Ok(self.text()?.parse()?)
    }

    fn bytes(&mut self, length: usize) -> Result<&'a [u8], Unreadable> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or("a field that is cut off")?;
        self.0 = rest;
        Ok(bytes)
    }

    /// Bytes behind a field with their length.
    pub(crate) fn value(&mut self) -> Result<&'a [u8], Unreadable> {
        let length = self.number()?;
        self.bytes(length)
    }

    fn end(&mut self) -> Result<(), Unreadable> {
        match self.0.split_first() {
            Some((&END, rest)) => {
                self.0 = rest;
                Ok(())
            }
            _ => Err("a field without an end".into()),
        }
    }

    /// The event of a row that was put together as [`EVENT`].
    pub(crate) fn stored(&mut self) -> Result<StoredEvent, (Named, Unreadable)> {
        let mut named = Named::default();
        match self.event(&mut named) {
            Ok(stored) => Ok(stored),
            Err(error) => Err((named, error)),
        }
    }

    /// The mark of a row at a position.
    pub(crate) fn mark(&mut self) -> Result<Mark, Unreadable> {
        Ok(Mark(self.number::<i64>()?.cast_unsigned()))
    }

    fn event(&mut self, named: &mut Named) -> Result<StoredEvent, Unreadable> {
        let position: i64 = self.number()?;
        named.position = Some(position);
        let mark = self.mark()?;
        let sum: u32 = self.number()?;
        let id = EventId::new(self.text()?)?;
        named.id = Some(id.clone());
        let event_type = EventType::new(self.text()?)?;
        let aggregate_id = AggregateId::new(self.text()?)?;
        let dot = match (self.text()?, self.text()?) {
            ("", "") => None,
            (origin, counter) => Some(Dot::new(NodeId::new(origin)?, counter.parse()?)),
        };
        let time = Timestamp::from_bits(self.number::<i64>()?.cast_unsigned());
        let kind = self.text()?;
        let (data, clock): (usize, usize) = (self.number()?, self.number()?);
        let from_elsewhere = !self.text()?.is_empty();
        let metadata = Metadata::stored_json(self.text()?);
        let data = self.bytes(data)?;
        let data = match kind {
            "text" => Data::stored_json(str::from_utf8(data)?),
            "blob" => Data::bytes(data),
            other => return Err(format!("data of type {other}").into()),
        };
        self.end()?;
        let clock = self.bytes(clock)?;
        self.end()?;
        let source = match from_elsewhere {
            true => Some(StoreId::from_bytes(self.bytes(16)?.try_into()?)),
            false => None,
        };
        let event = Event {
            id,
            event_type,
            aggregate_id,
            data,
            metadata,
            dot,
            clock: VectorClock::decode(&mut &*clock)?,
            time,
        };
        match sum == checksum::of(&event, clock, mark, source) {
            true => Ok(StoredEvent { position: position.cast_unsigned(), mark, source, event }),
            false => Err("the checksum of the row is another".into()),
        }
    }
}

/// Texts or numbers as one parameter: a JSON array, whose entries are `json_each` of it.
pub(crate) fn array<V: Serialize>(values: impl IntoIterator<Item = V>) -> Result<String> {
    let values: Vec<V> = values.into_iter().collect();
    json(&values)
}

/// Texts, each with a value, as one parameter: a JSON object, in which a text may stand more than once.
pub(crate) fn object<V: Serialize>(entries: &[(&str, V)]) -> Result<String> {
    json(&Object(entries))
}

struct Object<'a, V>(&'a [(&'a str, V)]);

impl<V: Serialize> Serialize for Object<'_, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(text, value)| (text, value)))
    }
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::new(ErrorKind::Internal, "parameters have no JSON form").with_source(error))
}

/// Bytes put one behind the other, and where each stands.
///
/// One byte stands before all others, since the engine takes a BLOB of none for NULL.
pub(crate) struct Bytes(Vec<u8>);

impl Bytes {
    pub(crate) fn new() -> Self {
        Bytes(vec![0])
    }

    /// Adds bytes and returns their place, of which SQL makes them again with [`bytes`].
    pub(crate) fn push(&mut self, bytes: &[u8]) -> u64 {
        // Bytes are counted from 1, as in SQL.
        let place = (self.0.len() as u64 + 1) << 32 | bytes.len() as u64;
        self.0.extend_from_slice(bytes);
        place
    }

    /// The parameter.
    pub(crate) fn into_parameter(self) -> Vec<u8> {
        self.0
    }
}

/// The bytes at a place, of this parameter.
pub(crate) fn bytes(parameter: &str, place: &str) -> String {
    format!("substr({parameter}, {place} >> 32, {place} & 4294967295)")
}
