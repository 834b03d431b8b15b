//! The checksum over what a store keeps of an event, for stores that keep its parts apart.
//!
//! A CRC-32 over everything but the mark, to which the two halves of the mark are added. So a commit that gives many
//! events another mark moves their checksums by one difference ([`remarked`]) and reads none of them; the checksum of
//! a damaged row stays wrong.
//!
//! ```
//! use synckit_core::Mark;
//! use synckit_store::checksum;
//! # use synckit_core::{EventId, NewEvent, Timestamp, VectorClock};
//! # fn main() -> synckit_core::Result<()> {
//! # let event = NewEvent::new("T", "x", "data")?.stamped(EventId::new("e")?, None, VectorClock::new(), Timestamp::ZERO);
//! let mut clock = Vec::new();
//! event.clock.encode(&mut clock);
//! let sum = checksum::of(&event, &clock, Mark(5), None);
//! assert_eq!(checksum::remarked(sum, Mark(5), Mark(6)), checksum::of(&event, &clock, Mark(6), None));
//! # Ok(()) }
//! ```

use synckit_core::{Event, Mark, StoreId};

/// Returns the checksum of an event with this mark that came from this store; `clock` is the binary form of its clock.
pub fn of(event: &Event, clock: &[u8], mark: Mark, source: Option<StoreId>) -> u32 {
    let node = event.dot.as_ref().map(|dot| dot.node.as_bytes());
    let parts = [
        event.id.as_bytes(),
        event.event_type.as_bytes(),
        event.aggregate_id.as_bytes(),
        node.unwrap_or_default(),
        clock,
        event.metadata.as_json().as_bytes(),
        event.data.as_bytes(),
    ];
    // What has a fixed length comes first, with the lengths of the rest: no two events give the same bytes.
    let mut fixed = [0; 8 + 8 + 16 + 1 + 7 * 8];
    let flags =
        u8::from(event.data.is_json()) | u8::from(node.is_some()) << 1 | u8::from(source.is_some()) << 2;
    fixed[..8].copy_from_slice(&event.time.to_bits().to_be_bytes());
    fixed[8..16].copy_from_slice(&event.dot.as_ref().map_or(0, |dot| dot.counter).to_be_bytes());
    fixed[16..32].copy_from_slice(source.as_ref().map_or(&[0; 16], StoreId::as_bytes).as_slice());
    fixed[32] = flags;
    for (length, part) in fixed[33..].chunks_exact_mut(8).zip(parts) {
        length.copy_from_slice(&(part.len() as u64).to_be_bytes());
    }
    // One long run of bytes is hashed several times faster than many short ones.
    let mut bytes = Vec::with_capacity(fixed.len() + parts.iter().map(|part| part.len()).sum::<usize>());
    bytes.extend(fixed);
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    with_mark(crc32fast::hash(&bytes), mark)
}

/// Returns the checksum of an event that has another mark now. The checksum of a damaged one stays wrong.
pub fn remarked(checksum: u32, from: Mark, to: Mark) -> u32 {
    with_mark(checksum.wrapping_sub(halves(from)), to)
}

/// Adds the mark to the checksum of the rest.
pub(crate) fn with_mark(rest: u32, mark: Mark) -> u32 {
    rest.wrapping_add(halves(mark))
}

/// The sum of both halves of a mark.
fn halves(mark: Mark) -> u32 {
    let [high, low] = [mark.0 >> 32, mark.0].map(|half| (half & u64::from(u32::MAX)) as u32);
    high.wrapping_add(low)
}
