//! The keys of a log in its trees.
//!
//! | tree | key | value |
//! |---|---|---|
//! | `Events` | position | the event's [row](crate::row) |
//! | `Ids` | event id | its position |
//! | `Dots` | node FF counter | the position of the event with this dot |
//! | `Aggregates` | aggregate FF position | nothing |
//! | `Notes` | note key | the note |
//! | `Notes` | FF `F` | the version of this format, 8 bytes big-endian |
//! | `Notes` | FF `L` | the last position; absent in an empty log |
//!
//! Positions and counters are 8 bytes big-endian. The byte FF is in no text: names sort before longer ones.

use std::ops::Range;

use synckit_core::{AggregateId, Dot, Error, EventId, Position, Result};

/// The version of the keys and of the oldest rows. That of a row also stands in the row.
pub(crate) const VERSION: u64 = 2;
pub(crate) const FORMAT: &[u8] = b"\xffF";
pub(crate) const LAST: &[u8] = b"\xffL";

const END: u8 = 0xff;

pub(crate) fn event(position: Position) -> Vec<u8> {
    position.to_be_bytes().to_vec()
}

/// Events from one position up to another, which is not among them.
pub(crate) fn events(positions: Range<Position>) -> Range<Vec<u8>> {
    event(positions.start)..event(positions.end)
}

pub(crate) fn id(id: &EventId) -> Vec<u8> {
    id.as_bytes().to_vec()
}

/// Returns a dot as a key: the node, the byte FF, the counter in 8 bytes, big-endian.
pub fn dot(dot: &Dot) -> Vec<u8> {
    [dot.node.as_bytes(), &[END], &dot.counter.to_be_bytes()].concat()
}

pub(crate) fn place(aggregate: &AggregateId, position: Position) -> Vec<u8> {
    [aggregate.as_bytes(), &[END], &position.to_be_bytes()].concat()
}

/// The places of an aggregate from one position up to another, which is not among them.
pub(crate) fn places(aggregate: &AggregateId, positions: Range<Position>) -> Range<Vec<u8>> {
    place(aggregate, positions.start)..place(aggregate, positions.end)
}

pub(crate) fn note(key: &str) -> Vec<u8> {
    key.as_bytes().to_vec()
}

/// Returns the range of the keys of notes after a key, if there is one, among those with a prefix, in the order of bytes.
pub fn notes(prefix: &str, after: &str) -> Range<Vec<u8>> {
    let mut end = note(prefix);
    match end.last_mut() {
        // The last byte of a text is never FF.
        Some(last) => *last += 1,
        None => end.push(END),
    }
    let mut start = note(after.max(prefix));
    if after >= prefix {
        start.push(0);
    }
    if start > end { end.clone()..end } else { start..end }
}

/// The key of a note as text.
pub(crate) fn note_key(key: &[u8]) -> Result<&str> {
    std::str::from_utf8(key).map_err(|_| Error::corrupt("the key of a note cannot be read"))
}

/// The position at the end of a key, or in a value.
pub(crate) fn position(bytes: &[u8]) -> Result<Position> {
    let position = bytes.last_chunk().map(|bytes| u64::from_be_bytes(*bytes));
    position.ok_or_else(|| Error::corrupt("a position cannot be read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_found_by_prefix_and_after_a_key() {
        let keys = ["", "p", "p/", "p/\0", "p/a", "p/a\0b", "p/ab", "p/\u{10ffff}z", "p0"];
        let found = |prefix: &str, after: &str| {
            let range = notes(prefix, after);
            assert!(range.start <= range.end);
            keys.into_iter().filter(|key| range.contains(&note(key))).collect::<Vec<_>>()
        };
        assert_eq!(found("p/", ""), &keys[2..8]);
        assert_eq!(found("p/", "p/"), &keys[3..8]);
        assert_eq!(found("p/", "p/a"), &keys[5..8]);
        assert_eq!(found("p/", "A"), &keys[2..8]);
        assert_eq!(found("p/", "z"), [""; 0]);
        assert_eq!(found("p/\u{10ffff}", ""), &keys[7..8]);
        assert_eq!(found("", "p/ab"), &keys[7..]);
    }

    #[test]
    fn the_places_of_one_aggregate_are_not_among_those_of_another() {
        let aggregate = |name: &str| AggregateId::new(name).expect("valid");
        let range = places(&aggregate("a"), 1..u64::MAX);
        assert!(range.contains(&place(&aggregate("a"), 1)));
        for other in ["a\0", "aa", "A", "b"] {
            assert!(!range.contains(&place(&aggregate(other), 1)), "{other:?}");
        }
    }
}
