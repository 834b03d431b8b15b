//! The event that all figures are about: a UUIDv7 id, a type of 10 characters, one of 1,000 aggregates, 256 bytes of
//! JSON, one metadata field, a vector clock of 3 entries.

use synckit::{
    AggregateId, Data, Dot, Environment, Event, EventId, EventType, Metadata, NewEvent, NodeId, Result,
    SystemEnvironment, Timestamp, VectorClock, plan::Entropy,
};

/// The wall clock of all samples, in Unix milliseconds.
pub const NOW: u64 = 1_764_000_000_000;
/// The number of events in one page or batch.
pub const PAGE: usize = 1_000;

/// Returns the randomness of a commit, as an engine draws it.
///
/// # Panics
/// If the system has none.
pub fn entropy() -> Entropy {
    let mut bytes = [0; Entropy::BYTES];
    SystemEnvironment.fill_random(&mut bytes).expect("the system has randomness");
    Entropy::from_bytes(bytes)
}

/// The history before the samples: each clock has seen this number of events of every node.
const SEEN: u64 = 1_000;
const DATA_BYTES: usize = 256;

/// The number of nodes that write to one aggregate.
const WRITERS: usize = 3;

/// The number of aggregates that events are about, and of nodes that write them.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// The number of aggregates that the events are about, one after the other.
    pub aggregates: usize,
    /// The number of nodes that write them; each aggregate is written by three of them in turn.
    pub origins: usize,
}

impl Spread {
    /// Returns a spread over this number of aggregates and of origins.
    pub fn of(aggregates: usize, origins: usize) -> Spread {
        Spread { aggregates, origins }
    }
}

impl Default for Spread {
    fn default() -> Self {
        Spread::of(1_000, WRITERS)
    }
}

/// Events that follow each other, without a conflict. There is always a next one.
#[derive(Debug)]
pub struct Samples {
    aggregates: Vec<(AggregateId, VectorClock)>,
    nodes: Vec<(NodeId, u64)>,
    made: usize,
}

impl Samples {
    /// Creates events spread like this, from the first.
    ///
    /// # Errors
    /// `Invalid` if there are fewer than three origins.
    pub fn new(spread: Spread) -> Result<Samples> {
        let nodes = (0..spread.origins).map(|at| Ok((NodeId::new(format!("till-{at:05}"))?, SEEN)));
        let nodes = nodes.collect::<Result<Vec<_>>>()?;
        let aggregate = |at: usize| {
            let writers = (0..WRITERS).map(|turn| nodes[author(at, turn, nodes.len())].clone());
            Ok((AggregateId::new(format!("receipt-{at:04}"))?, VectorClock::from_entries(writers)?))
        };
        let aggregates = (0..spread.aggregates).map(aggregate).collect::<Result<Vec<_>>>()?;
        Ok(Samples { aggregates, nodes, made: 0 })
    }

    /// Returns the next `count` events.
    ///
    /// # Errors
    /// None that a sample could cause.
    pub fn take(&mut self, count: usize) -> Result<Vec<Event>> {
        (0..count).map(|_| self.next()).collect()
    }

    fn next(&mut self) -> Result<Event> {
        let (at, count) = (self.made, self.aggregates.len());
        let author = author(at % count, at / count, self.nodes.len());
        let ((node, counter), (aggregate, clock)) =
            (&mut self.nodes[author], &mut self.aggregates[at % count]);
        self.made += 1;
        *counter += 1;
        let dot = Dot::new(node.clone(), *counter);
        clock.observe(&dot)?;
        Ok(Event {
            id: id(at),
            event_type: EventType::new("NoteEdited")?,
            aggregate_id: aggregate.clone(),
            data: data(at)?,
            metadata: Metadata::json(r#"{"device":"till-4"}"#)?,
            dot: Some(dot),
            clock: clock.clone(),
            time: Timestamp::from_millis(NOW - 1_000_000 + at as u64),
        })
    }
}

/// Returns which of the origins writes to this aggregate in this turn.
fn author(aggregate: usize, turn: usize, origins: usize) -> usize {
    (aggregate * WRITERS + turn % WRITERS) % origins
}

/// Returns `count` events as three nodes write them in turn.
///
/// # Errors
/// The same as [`Samples::take`].
pub fn events(count: usize) -> Result<Vec<Event>> {
    Samples::new(Spread::default())?.take(count)
}

/// Returns `count` events that are not stamped yet.
///
/// # Errors
/// The same as [`Samples::take`].
pub fn new_events(count: usize) -> Result<Vec<NewEvent>> {
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

/// Returns 256 bytes of JSON: a text of words, a number, and bits that compress badly.
fn data(at: usize) -> Result<Data> {
    let head = format!(r#"{{"n":{at},"key":"{:016x}","text":""#, noise(at as u64));
    let words = "milk bread butter apples and a bar of dark chocolate, paid in cash; ".repeat(4);
    let room = DATA_BYTES - head.len() - 2;
    Data::json(format!("{head}{}\"}}", &words[..room]))
}

/// Returns bits that look random and are the same in every run (SplitMix64).
fn noise(at: u64) -> u64 {
    let mut z = at.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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

    #[test]
    fn events_are_spread_as_asked() {
        let spread = Spread::of(500, 100);
        let events = Samples::new(spread).and_then(|mut samples| samples.take(1_500)).expect("valid");
        let (mut aggregates, mut origins) = (BTreeSet::new(), BTreeSet::new());
        for event in &events {
            assert_eq!((event.check_stamp().is_ok(), event.clock.len()), (true, WRITERS));
            aggregates.insert(&event.aggregate_id);
            origins.extend(event.dot.as_ref().map(|dot| &dot.node));
        }
        assert_eq!((aggregates.len(), origins.len()), (500, 100));
    }
}
