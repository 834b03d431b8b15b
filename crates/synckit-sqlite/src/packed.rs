//! Many rows in one value, and many keys in one parameter.
//!
//! The driver hands rows over one by one from the connection's thread, and binds parameters one by one. What is many is
//! therefore put together on either side: by SQL into one BLOB of fields, by [`List`] into one BLOB of texts.
//!
//! Texts are UTF-8, in which the byte FF never occurs: it stands behind every field that is a text or a number. A
//! field of bytes has its length in an earlier field.

use std::error::Error as StdError;
use std::str::{self, FromStr};

use synckit_core::{
    AggregateId, Data, Dot, Event, EventId, EventType, Metadata, NodeId, StoreId, StoredEvent, Timestamp,
    VectorClock,
};

const END: u8 = 0xff;

/// A row of `events` as one value, in the order in which [`Fields::stored`] reads it.
pub(crate) const EVENT: &str = "concat_ws(x'ff', events.position, events.id, events.type, events.aggregate, ifnull(events.origin, ''), \
     ifnull(events.counter, ''), events.time, typeof(events.data), octet_length(events.data), octet_length(events.clock), \
     ifnull(octet_length(events.source), ''), events.metadata, events.data, events.clock, ifnull(events.source, ''))";

/// How large a row is, in bytes: at most what [`Event::size`] says of it.
pub(crate) const EVENT_SIZE: &str = "octet_length(events.id) + octet_length(events.type) + octet_length(events.aggregate) \
     + octet_length(events.data) + octet_length(events.metadata) + octet_length(events.clock)";

/// The rows of a query put together: each of them this expression.
pub(crate) fn all(row: &str) -> String {
    format!("CAST(group_concat({row}, '') AS BLOB)")
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
    pub(crate) fn stored(&mut self) -> Result<StoredEvent, (Option<i64>, Unreadable)> {
        let position: i64 = self.number().map_err(|error| (None, error))?;
        let stored = |(event, source)| StoredEvent { position: position.cast_unsigned(), source, event };
        self.event().map(stored).map_err(|error| (Some(position), error))
    }

    fn event(&mut self) -> Result<(Event, Option<StoreId>), Unreadable> {
        let id = EventId::new(self.text()?)?;
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
        let mut clock = self.bytes(clock)?;
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
            clock: VectorClock::decode(&mut clock)?,
            time,
        };
        match clock.is_empty() {
            true => Ok((event, source)),
            false => Err("bytes after the clock".into()),
        }
    }
}

/// Texts as two parameters: the bytes of all of them, and a JSON array that says where each stands.
///
/// In SQL, [`text`], [`number`] and [`rest`] take an entry apart, over `json_each` of the second parameter as `place`.
#[derive(Default)]
pub(crate) struct List {
    bytes: Vec<u8>,
    places: String,
}

/// The digits of the number that stands before each text.
const DIGITS: usize = 20;

impl List {
    /// Adds a text, a number, and what else belongs to it: as many bytes as the number says, or none.
    pub(crate) fn push(&mut self, text: &str, number: u64, rest: &[u8]) {
        // Bytes are counted from 1, as in SQL.
        let place = (self.bytes.len() as u64 + 1) << 32 | text.len() as u64;
        self.places.push(if self.places.is_empty() { '[' } else { ',' });
        self.places.extend(digits(place).map(char::from).into_iter().skip_while(|digit| *digit == '0'));
        self.bytes.extend_from_slice(&digits(number));
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.extend_from_slice(rest);
    }

    /// Texts alone.
    pub(crate) fn of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut list = List::default();
        texts.into_iter().for_each(|text| list.push(text, 0, &[]));
        list
    }

    /// The two parameters.
    pub(crate) fn into_parameters(self) -> (Vec<u8>, String) {
        (self.bytes, if self.places.is_empty() { "[]".to_owned() } else { self.places + "]" })
    }
}

fn digits(mut number: u64) -> [u8; DIGITS] {
    let mut digits = [b'0'; DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit += (number % 10) as u8;
        number /= 10;
    }
    digits
}

/// The text of an entry of the list whose bytes are this parameter.
pub(crate) fn text(bytes: &str) -> String {
    format!("CAST(substr({bytes}, (place.value >> 32) + {DIGITS}, place.value & 4294967295) AS TEXT)")
}

/// The number of an entry.
pub(crate) fn number(bytes: &str) -> String {
    format!("CAST(substr({bytes}, place.value >> 32, {DIGITS}) AS INTEGER)")
}

/// What else belongs to an entry whose number is the length of it.
pub(crate) fn rest(bytes: &str) -> String {
    let start = format!("(place.value >> 32) + {DIGITS} + (place.value & 4294967295)");
    format!("substr({bytes}, {start}, {})", number(bytes))
}
