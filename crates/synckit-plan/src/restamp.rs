//! Restamps: events that give another stamp to an event whose dot also named another event.
//!
//! No event is refused for its dot. If two events meet under one dot, the one with the greater id gets an
//! [alias](crate::NodeId::alias). If one event meets under two stamps, the greater stamp stands. Every replica reaches
//! the same result, and appends a restamp event, so that those who hold the other stamp learn of it.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use synckit_core::binary::put_bytes;
use synckit_core::{
    Data, Dot, Error, Event, EventId, EventType, Metadata, NodeId, RESTAMP_TYPE, Result, VectorClock,
};

/// The JSON data of a restamp event. The clock and time of the restamp event are the new clock and time of the event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restamp {
    /// The id of the restamped event.
    pub event: EventId,
    /// The dot that names the event from now on.
    pub dot: Dot,
    /// A dot that named the event before.
    pub was: Dot,
}

impl Restamp {
    /// Creates a restamp that records the stamp of this event, which it did not have when `was` named it.
    ///
    /// # Errors
    /// `Invalid` for an event without a dot.
    pub fn event_of(event: &Event, was: &Dot) -> Result<Event> {
        let dot =
            event.dot.clone().ok_or_else(|| Error::invalid("an event without a dot is not restamped"))?;
        let data = Data::of(&Restamp { event: event.id.clone(), dot, was: was.clone() })?;
        let mut restamp = Event {
            id: event.id.clone(),
            event_type: EventType::new(RESTAMP_TYPE)?,
            aggregate_id: event.aggregate_id.clone(),
            data,
            metadata: Metadata::default(),
            dot: None,
            clock: event.clock.clone(),
            time: event.time,
        };
        restamp.id = id(&restamp);
        Ok(restamp)
    }

    /// Reads a restamp event.
    ///
    /// # Errors
    /// `Corrupt` when the event is not a restamp.
    pub fn read(event: &Event) -> Result<Self> {
        let bad = || Error::corrupt("a restamp cannot be read").with("event", &event.id);
        if !event.is_restamp() {
            return Err(bad());
        }
        event.data.parse().map_err(|error| bad().with_source(error))
    }

    /// Checks a foreign restamp event: that its id is the hash of its content, and that its stamp is consistent.
    ///
    /// # Errors
    /// `Corrupt` when it cannot be read, `Invalid` when something is wrong.
    pub fn check(event: &Event) -> Result<()> {
        let Restamp { event: of, dot, .. } = Restamp::read(event)?;
        let bad = |message: &str| Err(Error::invalid(message).with("event", &event.id));
        if id(event) != event.id || !event.metadata.is_empty() {
            return bad("the id of a restamp is not the hash of what it says");
        }
        if dot.counter == 0 || event.clock.counter(&dot.node) != dot.counter {
            return bad("the clock of a restamp does not contain the dot it gives");
        }
        if dot.node.is_alias() && dot != Dot::new(NodeId::alias(&of), 1) {
            return bad("a restamp gives an alias that is another event's");
        }
        Ok(())
    }
}

/// Returns a UUIDv8 of a SHA-256 over aggregate, data, time and clock.
fn id(event: &Event) -> EventId {
    let mut bytes = b"synckit restamp 1".to_vec();
    put_bytes(&mut bytes, event.aggregate_id.as_bytes());
    put_bytes(&mut bytes, event.data.as_bytes());
    put_bytes(&mut bytes, &event.time.to_bits().to_be_bytes());
    event.clock.encode(&mut bytes);
    let mut hash = [0; 16];
    hash.copy_from_slice(&Sha256::digest(&bytes)[..16]);
    EventId::uuid_v8(hash)
}

/// Compares two stamps of one event; the greater stands. An alias is greater than any other. Of two that differ only in
/// time the earlier is greater, since times are only ever corrected to earlier ones.
pub(crate) fn compare(left: &Event, right: &Event) -> Ordering {
    let alias = |event: &Event| event.dot.as_ref().is_some_and(|dot| dot.node.is_alias());
    let by_clock = || left.clock.iter().cmp(right.clock.iter());
    alias(left)
        .cmp(&alias(right))
        .then_with(|| left.dot.cmp(&right.dot))
        .then_with(by_clock)
        .then_with(|| right.time.cmp(&left.time))
}

/// Returns the clock of an event under its alias: what it had seen, and of its author only what came before it, or
/// nothing if the clock has no room for that.
pub(crate) fn aliased(event: &Event, alias: &NodeId) -> Result<VectorClock> {
    let author = event.author();
    let others = event.clock.iter().filter(|(node, _)| Some(*node) != author);
    let others = others.map(|(node, counter)| (node.clone(), counter));
    let mut clock = VectorClock::from_entries(others.chain([(alias.clone(), 1)]))?;
    if let Some(Dot { node, counter: 2.. }) = &event.dot
        && clock.len() < VectorClock::MAX_NODES
    {
        clock.observe(&Dot::new(node.clone(), event.clock.counter(node) - 1))?;
    }
    Ok(clock)
}

#[cfg(test)]
mod tests {
    use synckit_core::{NewEvent, Timestamp};

    use super::*;

    fn sample() -> Event {
        let node = NodeId::new("a").expect("valid");
        let new = NewEvent::new("T", "x", &1).expect("valid");
        let clock = VectorClock::from_entries([(node.clone(), 3)]).expect("valid");
        new.stamped(
            EventId::new("e").expect("valid"),
            Some(Dot::new(node, 3)),
            clock,
            Timestamp::from_millis(5),
        )
    }

    #[test]
    fn what_is_written_down_reads_back_and_cannot_be_forged() {
        let event = sample();
        let restamp = Restamp::event_of(&event, &Dot::new(event.dot.clone().expect("it has one").node, 9))
            .expect("it has a dot");
        Restamp::check(&restamp).expect("it is one");
        assert_eq!(Restamp::read(&restamp).expect("reads").event, event.id);
        let mut other = restamp.clone();
        other.time = other.time.next();
        assert!(Restamp::check(&other).is_err());
        let was = event.dot.clone().expect("it has one");
        let mut aliased = event.clone();
        let alias = NodeId::alias(&EventId::new("another").expect("valid"));
        aliased.clock = super::aliased(&event, &alias).expect("few nodes");
        aliased.dot = Some(Dot::new(alias, 1));
        assert!(Restamp::check(&Restamp::event_of(&aliased, &was).expect("it has a dot")).is_err());
        assert_eq!(compare(&aliased, &event), Ordering::Greater);
    }
}
