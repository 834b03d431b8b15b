//! The binary form of an event in the log.
//!
//! A version byte, a byte of flags, the mark (8 bytes, big-endian), the source (16 bytes, if there is one), the time (8
//! bytes, big-endian), then id, type, aggregate, the dot if there is one (node and counter), clock, metadata, and to the end the data.
//! A text is its length and its bytes; lengths and the counter are LEB128; the clock is in its own binary form.
//! A form, once released, never changes: another one gets another version byte, and the old is still read.

use std::error::Error as StdError;

use synckit_core::{
    AggregateId, Data, Dot, Error, Event, EventId, EventType, Mark, Metadata, NodeId, Position, Result,
    StoreId, StoredEvent, Timestamp, VectorClock,
};

const VERSION: u8 = 1;

/// The data is JSON, not bytes.
const JSON: u8 = 1;
const HAS_DOT: u8 = 2;
const HAS_SOURCE: u8 = 4;

type Unreadable = Box<dyn StdError + Send + Sync>;

/// The row of an event with this mark that came from this store.
pub(crate) fn encode(event: &Event, mark: Mark, source: Option<StoreId>) -> Vec<u8> {
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    let flags = flag(event.data.is_json(), JSON)
        | flag(event.dot.is_some(), HAS_DOT)
        | flag(source.is_some(), HAS_SOURCE);
    let mut row = Vec::with_capacity(event.size() + 64);
    row.extend_from_slice(&[VERSION, flags]);
    row.extend_from_slice(&mark.0.to_be_bytes());
    if let Some(source) = source {
        row.extend_from_slice(source.as_bytes());
    }
    row.extend_from_slice(&event.time.to_bits().to_be_bytes());
    put_text(&mut row, event.id.as_str());
    put_text(&mut row, event.event_type.as_str());
    put_text(&mut row, event.aggregate_id.as_str());
    if let Some(dot) = &event.dot {
        put_text(&mut row, dot.node.as_str());
        put_number(&mut row, dot.counter);
    }
    event.clock.encode(&mut row);
    put_text(&mut row, event.metadata.as_json());
    row.extend_from_slice(event.data.as_bytes());
    row
}

/// The event in a row.
pub(crate) fn decode(position: Position, row: &[u8]) -> Result<StoredEvent> {
    let read = read(row).map_err(|error| unreadable(position, error))?;
    let (event, Beside { mark, source }) = read;
    Ok(StoredEvent { position, mark, source, event })
}

/// What stands beside the event of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Beside {
    pub(crate) mark: Mark,
    pub(crate) source: Option<StoreId>,
}

/// What stands beside the event of a row, without reading the event.
pub(crate) fn beside(position: Position, row: &[u8]) -> Result<Beside> {
    Fields::open(row).map(|(_, _, beside)| beside).map_err(|error| unreadable(position, error))
}

fn unreadable(position: Position, error: Unreadable) -> Error {
    Error::corrupt("an event of the log cannot be read").with("position", position).with_source(error)
}

fn read(row: &[u8]) -> Result<(Event, Beside), Unreadable> {
    let (mut fields, flags, beside) = Fields::open(row)?;
    let time = Timestamp::from_bits(u64::from_be_bytes(fields.array()?));
    let id = EventId::new(fields.text()?)?;
    let event_type = EventType::new(fields.text()?)?;
    let aggregate_id = AggregateId::new(fields.text()?)?;
    let dot = match flags & HAS_DOT {
        0 => None,
        _ => Some(Dot::new(NodeId::new(fields.text()?)?, fields.number()?)),
    };
    let clock = VectorClock::decode(&mut fields.0)?;
    let metadata = Metadata::stored_json(fields.text()?);
    let data = match flags & JSON {
        0 => Data::bytes(fields.0),
        _ => Data::stored_json(std::str::from_utf8(fields.0)?),
    };
    Ok((Event { id, event_type, aggregate_id, data, metadata, dot, clock, time }, beside))
}

/// What is left to read of a row.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The fields after the source, the flags, and what stands beside the event.
    fn open(row: &'a [u8]) -> Result<(Self, u8, Beside), Unreadable> {
        let mut fields = Fields(row);
        let [version, flags] = fields.array()?;
        if version != VERSION {
            return Err(format!("the form of the row has version {version}, not {VERSION}").into());
        }
        let mark = Mark(u64::from_be_bytes(fields.array()?));
        let source = if flags & HAS_SOURCE == 0 { None } else { Some(StoreId::from_bytes(fields.array()?)) };
        Ok((fields, flags, Beside { mark, source }))
    }

    fn bytes(&mut self, length: usize) -> Result<&'a [u8], Unreadable> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or("the row ends too early")?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        Ok(self.bytes(N)?.try_into()?)
    }

    fn number(&mut self) -> Result<u64, Unreadable> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err("a number of the row is longer than 64 bits".into())
    }

    fn text(&mut self) -> Result<&'a str, Unreadable> {
        let length = usize::try_from(self.number()?)?;
        Ok(std::str::from_utf8(self.bytes(length)?)?)
    }
}

fn put_text(row: &mut Vec<u8>, text: &str) {
    put_number(row, text.len() as u64);
    row.extend_from_slice(text.as_bytes());
}

fn put_number(row: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        row.push(number as u8 | 0x80);
        number >>= 7;
    }
    row.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Event> {
        let node = NodeId::new("né").expect("valid");
        let clock = |counter| VectorClock::from_entries([(node.clone(), counter)]).expect("valid");
        let base = Event {
            id: EventId::new("x".repeat(255)).expect("valid"),
            event_type: EventType::new("T").expect("valid"),
            aggregate_id: AggregateId::new("\0a").expect("valid"),
            data: Data::json("{\"n\": 1.0}").expect("valid"),
            metadata: Metadata::json("{\"by\":\"ü\"}").expect("valid"),
            dot: Some(Dot::new(node.clone(), 300)),
            clock: clock(300),
            time: Timestamp::from_bits(u64::MAX - 1),
        };
        let largest = (1 << 53) - 1;
        vec![
            base.clone(),
            Event { dot: None, ..base.clone() },
            Event { data: Data::bytes(&[][..]), metadata: Metadata::default(), ..base.clone() },
            Event { data: Data::bytes(&[0xff, 0, 7][..]), ..base.clone() },
            Event { dot: Some(Dot::new(node.clone(), largest)), clock: clock(largest), ..base },
        ]
    }

    #[test]
    fn rows_round_trip() {
        for event in samples() {
            for source in [None, Some(StoreId::from_bytes([9; 16]))] {
                for mark in [0, 1 << 63, u64::MAX].map(Mark) {
                    let row = encode(&event, mark, source);
                    let expected = StoredEvent { position: 7, mark, source, event: event.clone() };
                    assert_eq!(decode(7, &row).expect("reads"), expected);
                    assert_eq!(beside(7, &row).expect("reads"), Beside { mark, source });
                }
            }
        }
    }

    #[test]
    fn a_row_cut_short_or_of_another_version_is_corrupt() {
        let event = &samples()[0];
        let row = encode(event, Mark(5), None);
        for length in 0..row.len() - event.data.as_bytes().len() {
            let error = decode(3, &row[..length]).expect_err("is cut short");
            assert_eq!(error.kind(), synckit_core::ErrorKind::Corrupt);
            assert_eq!(error.context(), [("position", "3".to_owned())]);
        }
        let mut newer = row;
        newer[0] = 2;
        assert!(decode(3, &newer).expect_err("is newer").to_string().contains("version 2"));
    }
}
