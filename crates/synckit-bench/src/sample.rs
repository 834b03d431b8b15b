//! The event that all figures are about: a UUIDv7 id, a type of 10 characters, one of 1,000 aggregates, 256 bytes of
//! JSON, one metadata field, a vector clock of 3 entries.

use synckit::{AggregateId, Data, Dot, Event, EventId, EventType, Metadata, NewEvent, NodeId, Result};
use synckit::{Timestamp, VectorClock};

/// How many aggregates the events are about.
pub(crate) const AGGREGATES: usize = 1_000;
/// The wall clock of all samples, in Unix milliseconds.
pub(crate) const NOW: u64 = 1_764_000_000_000;
/// How many events one page or batch has.
pub(crate) const PAGE: usize = 1_000;

/// What earlier history each clock begins with: it has seen so many events of every node.
const SEEN: u64 = 1_000;
const DATA_BYTES: usize = 256;

/// So many events that follow each other, as three nodes write them in turn, without a conflict.
pub(crate) fn events(count: usize) -> Result<Vec<Event>> {
    let nodes = ["till-north", "till-south", "till-west"].map(NodeId::new);
    let nodes = nodes.into_iter().collect::<Result<Vec<_>>>()?;
    let aggregates = (0..AGGREGATES).map(|at| AggregateId::new(format!("receipt-{at:04}")));
    let aggregates = aggregates.collect::<Result<Vec<_>>>()?;
    let seen = VectorClock::from_entries(nodes.iter().map(|node| (node.clone(), SEEN)))?;
    let mut clocks = vec![seen; AGGREGATES];
    let mut counters = [SEEN; 3];
    let mut events = Vec::with_capacity(count);
    for at in 0..count {
        let (author, aggregate) = (at / AGGREGATES % 3, at % AGGREGATES);
        counters[author] += 1;
        let dot = Dot::new(nodes[author].clone(), counters[author]);
        clocks[aggregate].observe(&dot)?;
        events.push(Event {
            id: id(at),
            event_type: EventType::new("NoteEdited")?,
            aggregate_id: aggregates[aggregate].clone(),
            data: data(at)?,
            metadata: Metadata::json(r#"{"device":"till-4"}"#)?,
            dot: Some(dot),
            clock: clocks[aggregate].clone(),
            time: Timestamp::from_millis(NOW - 1_000_000 + at as u64),
        });
    }
    Ok(events)
}

/// The same, not stamped yet.
pub(crate) fn new_events(count: usize) -> Result<Vec<NewEvent>> {
    let unstamped = |event: Event| NewEvent {
        id: Some(event.id),
        event_type: event.event_type,
        aggregate_id: event.aggregate_id,
        data: event.data,
        metadata: event.metadata,
    };
    Ok(events(count)?.into_iter().map(unstamped).collect())
}

fn id(at: usize) -> EventId {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&noise(at as u64).to_be_bytes());
    EventId::uuid_v7(NOW + at as u64 / 100, &random)
}

/// 256 bytes of JSON: a text of words, a number, and something that does not pack well.
fn data(at: usize) -> Result<Data> {
    let head = format!(r#"{{"n":{at},"key":"{:016x}","text":""#, noise(at as u64));
    let words = "milk bread butter apples and a bar of dark chocolate, paid in cash; ".repeat(4);
    let room = DATA_BYTES - head.len() - 2;
    Data::json(format!("{head}{}\"}}", &words[..room]))
}

/// Bits that look random and are the same in every run (SplitMix64).
fn noise(at: u64) -> u64 {
    let mut z = at.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_as_described() {
        let events = events(2_000).expect("valid");
        for event in &events {
            assert!(event.check_stamp().is_ok());
            assert_eq!(event.clock.len(), 3);
            assert_eq!(event.data.as_bytes().len(), DATA_BYTES);
            assert_eq!((event.id.as_str().len(), event.event_type.as_str().len()), (36, 10));
        }
        let of_one: Vec<_> =
            events.iter().filter(|event| event.aggregate_id == events[0].aggregate_id).collect();
        assert_eq!(of_one.len(), 2);
        assert!(of_one[1].has_seen(of_one[0]) && of_one[1].time > of_one[0].time);
    }
}
