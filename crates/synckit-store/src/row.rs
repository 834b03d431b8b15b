//! The binary form of an event in a log.
//!
//! A version byte, a byte of flags, the mark (8 bytes, big-endian), the checksum (4 bytes, big-endian), the source (16
//! bytes, if there is one), the time (8 bytes, big-endian), then id, type, aggregate, the dot if there is one (node and
//! counter), clock, metadata, and to the end the data. A text is its length and its bytes; lengths and the counter are
//! LEB128; the clock is in its own binary form. A form, once released, never changes: another one gets another version
//! byte, and the old is still read.
//!
//! The checksum is the CRC-32 of the flags and of all that follows it, to which both halves of the mark are added, as
//! in [`crate::checksum`]. It is checked where an event is read, and not by [`beside`].
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

use std::ops::{Range, RangeFrom};

use crc32fast::Hasher;
use synckit_core::binary::{put_bytes, put_varint, take_text, take_varint};
use synckit_core::{
    AggregateId, Data, Dot, Error, Event, EventId, EventType, Mark, Metadata, NodeId, Position, Result,
    StoreId, StoredEvent, Timestamp, VectorClock,
};

use crate::checksum;

const VERSION: u8 = 2;

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
    row.extend_from_slice(&[0; 4]);
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
    let sum = checksum(flags, mark, &row[REST]);
    row[SUM].copy_from_slice(&sum.to_be_bytes());
    row
}

/// Gives a row another mark. A damaged row stays damaged, and one of another form stays as it is.
pub fn remark(row: &mut [u8], mark: Mark) {
    let Ok(Parts { beside, sum, .. }) = parts(row) else { return };
    row[MARK].copy_from_slice(&mark.0.to_be_bytes());
    row[SUM].copy_from_slice(&checksum::remarked(sum, beside.mark, mark).to_be_bytes());
}

/// Reads the row at a position.
///
/// # Errors
/// `Corrupt`, naming the position, and what may be the id of the event if a text stands there.
pub fn decode(position: Position, row: &[u8]) -> Result<StoredEvent> {
    let read = || {
        let Parts { beside: Beside { mark, source }, flags, sum, rest } = parts(row)?;
        if sum != checksum(flags, mark, &row[REST]) {
            return Err(Error::invalid("the checksum of the row is another"));
        }
        Ok(StoredEvent { position, mark, source, event: event(flags, rest)? })
    };
    read().map_err(|error| match id(row) {
        Ok(id) => unreadable(position, error).with("event", id),
        Err(_) => unreadable(position, error),
    })
}

/// Reads the id in a row, which may be damaged.
fn id(row: &[u8]) -> Result<EventId> {
    let (_, mut rest) =
        parts(row)?.rest.split_at_checked(8).ok_or_else(|| Error::invalid("it is cut off"))?;
    EventId::new(take_text(&mut rest)?)
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
    parts(row).map(|parts| parts.beside).map_err(|error| unreadable(position, error))
}

fn unreadable(position: Position, error: Error) -> Error {
    Error::corrupt("an event of the log cannot be read").with("position", position).with_source(error)
}

/// What a row has before the event, and the bytes of the event.
struct Parts<'r> {
    beside: Beside,
    flags: u8,
    sum: u32,
    rest: &'r [u8],
}

/// Where the mark stands in a row, where its checksum, and what follows that.
const MARK: Range<usize> = 2..10;
const SUM: Range<usize> = 10..14;
const REST: RangeFrom<usize> = 14..;

fn checksum(flags: u8, mark: Mark, rest: &[u8]) -> u32 {
    let mut crc = Hasher::new();
    crc.update(&[flags]);
    crc.update(rest);
    checksum::with_mark(crc.finalize(), mark)
}

fn parts(mut row: &[u8]) -> Result<Parts<'_>> {
    let row = &mut row;
    let [version, flags] = take_array(row)?;
    if version != VERSION {
        return Err(Error::invalid(format!("the form of the row has version {version}, not {VERSION}")));
    }
    let mark = Mark(u64::from_be_bytes(take_array(row)?));
    let sum = u32::from_be_bytes(take_array(row)?);
    let source = if flags & HAS_SOURCE == 0 { None } else { Some(StoreId::from_bytes(take_array(row)?)) };
    Ok(Parts { beside: Beside { mark, source }, flags, sum, rest: row })
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
        for length in 0..row.len() {
            let error = decode(3, &row[..length]).expect_err("is cut short");
            assert_eq!(error.kind(), synckit_core::ErrorKind::Corrupt);
            assert_eq!(error.context()[0], ("position", "3".to_owned()));
        }
        let mut newer = row;
        newer[0] = VERSION + 1;
        assert!(decode(3, &newer).expect_err("is newer").to_string().contains("version 3"));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        for event in samples() {
            for source in [None, Some(StoreId::from_bytes([9; 16]))] {
                let row = encode(&event, Mark(5 << 40), source);
                for bit in 0..row.len() * 8 {
                    let mut flipped = row.clone();
                    flipped[bit / 8] ^= 1 << (bit % 8);
                    let error = decode(3, &flipped).expect_err("is another");
                    assert_eq!(error.kind(), synckit_core::ErrorKind::Corrupt);
                    assert_eq!(error.context()[0], ("position", "3".to_owned()));
                }
                for byte in 0..row.len() {
                    for other in (0..=u8::MAX).filter(|other| *other != row[byte]) {
                        let mut another = row.clone();
                        another[byte] = other;
                        assert!(decode(3, &another).is_err(), "byte {byte} as {other}");
                    }
                }
            }
        }
    }

    #[test]
    fn another_mark_leaves_a_row_whole_and_a_damaged_one_damaged() {
        for event in samples() {
            for (before, after) in
                [(0, u64::MAX), (1 << 63, 7), (u64::MAX, 1 << 31)].map(|(b, a)| (Mark(b), Mark(a)))
            {
                let mut row = encode(&event, before, None);
                let mut damaged = row.clone();
                remark(&mut row, after);
                assert_eq!(row, encode(&event, after, None));
                let last = damaged.len() - 1;
                damaged[last] ^= 1;
                remark(&mut damaged, after);
                assert_eq!(beside(7, &damaged).expect("reads").mark, after);
                assert!(decode(7, &damaged).is_err());
                remark(&mut damaged[..9], before);
            }
        }
    }
}
