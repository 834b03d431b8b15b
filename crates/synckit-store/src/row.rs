//! The binary form of an event in a log.
//!
//! A version byte, a byte of flags, the mark (8 bytes, big-endian), the source (16 bytes, if there is one), the time (8
//! bytes, big-endian), then id, type, aggregate, the dot if there is one (node and counter), clock, metadata, and to the
//! end the data. A text is its length and its bytes; lengths and the counter are LEB128; the clock is in its own binary
//! form. A form, once released, never changes: another one gets another version byte, and the old is still read.
//!
//! ```
//! use synckit_core::{Event, Mark};
//! use synckit_store::row;
//! # use synckit_core::{EventId, NewEvent, Timestamp, VectorClock};
//! # fn main() -> synckit_core::Result<()> {
//! # let event: Event = NewEvent::new("T", "x", "data")?
//! #     .stamped(EventId::new("e")?, None, VectorClock::new(), Timestamp::ZERO);
//! let bytes = row::encode(&event, Mark(5), None);
//! let stored = row::decode(1, &bytes)?;
//! assert_eq!((stored.position, stored.mark, &stored.event), (1, Mark(5), &event));
//! # Ok(()) }
//! ```

use synckit_core::binary::{put_bytes, put_varint, take_text, take_varint};
use synckit_core::{
    AggregateId, Data, Dot, Error, Event, EventId, EventType, Mark, Metadata, NodeId, Position, Result,
    StoreId, StoredEvent, Timestamp, VectorClock,
};

const VERSION: u8 = 1;

/// The data is JSON, not bytes.
const JSON: u8 = 1;
const HAS_DOT: u8 = 2;
const HAS_SOURCE: u8 = 4;

/// Returns the row of an event with this mark that came from this store.
pub fn encode(event: &Event, mark: Mark, source: Option<StoreId>) -> Vec<u8> {
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
    for text in [event.id.as_str(), event.event_type.as_str(), event.aggregate_id.as_str()] {
        put_bytes(&mut row, text.as_bytes());
    }
    if let Some(dot) = &event.dot {
        put_bytes(&mut row, dot.node.as_bytes());
        put_varint(&mut row, dot.counter);
    }
    event.clock.encode(&mut row);
    put_bytes(&mut row, event.metadata.as_json().as_bytes());
    row.extend_from_slice(event.data.as_bytes());
    row
}

/// Reads the row at a position.
///
/// # Errors
/// `Corrupt`, naming the position.
pub fn decode(position: Position, row: &[u8]) -> Result<StoredEvent> {
    let read = beside_and_rest(row).and_then(|(beside, flags, rest)| Ok((beside, event(flags, rest)?)));
    let (Beside { mark, source }, event) = read.map_err(|error| unreadable(position, error))?;
    Ok(StoredEvent { position, mark, source, event })
}

/// Reads the row at a position, unless it came from this store.
///
/// # Errors
/// `Corrupt`, naming the position.
pub fn decode_except(position: Position, row: &[u8], except: Option<StoreId>) -> Result<Option<StoredEvent>> {
    match except {
        Some(_) if beside(position, row)?.source == except => Ok(None),
        _ => decode(position, row).map(Some),
    }
}

/// What stands beside the event of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beside {
    /// The mark of the commit that appended it.
    pub mark: Mark,
    /// The store it came from.
    pub source: Option<StoreId>,
}

/// Reads what stands beside the event at a position, without the event.
///
/// # Errors
/// `Corrupt`, naming the position.
pub fn beside(position: Position, row: &[u8]) -> Result<Beside> {
    beside_and_rest(row).map(|(beside, ..)| beside).map_err(|error| unreadable(position, error))
}

fn unreadable(position: Position, error: Error) -> Error {
    Error::corrupt("an event of the log cannot be read").with("position", position).with_source(error)
}

/// The parts before the event, the flags, and the bytes of the event.
fn beside_and_rest(mut row: &[u8]) -> Result<(Beside, u8, &[u8])> {
    let row = &mut row;
    let [version, flags] = take_array(row)?;
    if version != VERSION {
        return Err(Error::invalid(format!("the form of the row has version {version}, not {VERSION}")));
    }
    let mark = Mark(u64::from_be_bytes(take_array(row)?));
    let source = if flags & HAS_SOURCE == 0 { None } else { Some(StoreId::from_bytes(take_array(row)?)) };
    Ok((Beside { mark, source }, flags, row))
}

fn event(flags: u8, mut row: &[u8]) -> Result<Event> {
    let row = &mut row;
    let time = Timestamp::from_bits(u64::from_be_bytes(take_array(row)?));
    let id = EventId::new(take_text(row)?)?;
    let event_type = EventType::new(take_text(row)?)?;
    let aggregate_id = AggregateId::new(take_text(row)?)?;
    let dot = match flags & HAS_DOT {
        0 => None,
        _ => Some(Dot::new(NodeId::new(take_text(row)?)?, take_varint(row)?)),
    };
    let clock = VectorClock::decode(row)?;
    let metadata = Metadata::stored_json(take_text(row)?);
    let data = match flags & JSON {
        0 => Data::bytes(*row),
        _ => {
            let text = std::str::from_utf8(row);
            Data::stored_json(text.map_err(|error| Error::invalid("JSON is not UTF-8").with_source(error))?)
        }
    };
    Ok(Event { id, event_type, aggregate_id, data, metadata, dot, clock, time })
}

fn take_array<const N: usize>(row: &mut &[u8]) -> Result<[u8; N]> {
    let (array, rest) = row.split_first_chunk().ok_or_else(|| Error::invalid("the row ends too early"))?;
    *row = rest;
    Ok(*array)
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
