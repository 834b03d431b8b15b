//! Events, before and after they are stamped. `json.rs` has their JSON form.

mod json;

use std::cmp::Ordering;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::binary::put_bytes;
use crate::clock::{Dot, VectorClock};
use crate::data::{Data, Metadata};
use crate::error::{Error, Result};
use crate::ids::{AggregateId, EventId, EventType, NodeId};
use crate::timestamp::Timestamp;

/// The largest counter of a dot: the largest integer that every JSON parser represents exactly.
pub const MAX_COUNTER: u64 = (1 << 53) - 1;

/// The type of every restamp event.
pub const RESTAMP_TYPE: &str = "synckit.restamp";

/// An immutable fact about one aggregate, stamped by its author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The id of the event, the same on every replica.
    pub id: EventId,
    /// The kind of fact.
    pub event_type: EventType,
    /// The aggregate that the fact is about.
    pub aggregate_id: AggregateId,
    /// The payload.
    pub data: Data,
    /// A JSON object beside the payload.
    pub metadata: Metadata,
    /// The author, and the author's counter for this event. `None` for resolutions and restamps, which any replica may
    /// derive.
    pub dot: Option<Dot>,
    /// What the author had seen of the aggregate, including this event.
    pub clock: VectorClock,
    /// The hybrid logical time, later than everything the author had seen of the aggregate.
    pub time: Timestamp,
}

impl Event {
    /// Parses the data as a value of this type.
    ///
    /// # Errors
    /// `Invalid` when the data is binary or does not match the type.
    pub fn data_as<T: DeserializeOwned>(&self) -> Result<T> {
        self.data.parse().map_err(|error| error.with("event", &self.id))
    }

    /// Returns the node that authored this event; `None` for a derived one.
    pub fn author(&self) -> Option<&NodeId> {
        self.dot.as_ref().map(|dot| &dot.node)
    }

    /// Returns whether any replica may derive this event: it is a resolution or a restamp, and has no author.
    pub fn is_derived(&self) -> bool {
        self.dot.is_none()
    }

    /// Returns whether this event is a resolution, which says which sides of a conflict stand.
    pub fn is_resolution(&self) -> bool {
        self.dot.is_none() && self.event_type.as_str() != RESTAMP_TYPE
    }

    /// Returns whether this event is a restamp, which gives another event another dot.
    pub fn is_restamp(&self) -> bool {
        self.dot.is_none() && self.event_type.as_str() == RESTAMP_TYPE
    }

    /// Returns whether the author of this event had seen another event of the same aggregate.
    ///
    /// Nobody has seen a plain event that is later in [canonical order](Event::canonical_cmp), whatever the clocks say.
    /// So when two events share a dot, a clock with that dot does not count as having seen the later one. A resolution
    /// was seen by what covers its clock: a later resolution, or a plain event with more in its clock.
    pub fn has_seen(&self, other: &Event) -> bool {
        Stamp::of(self).has_seen(&Stamp::of(other))
    }

    /// Compares two events of an aggregate in canonical order: time, then the sum of the clock, then node and counter,
    /// then id. The order is the same everywhere and never contradicts causality.
    pub fn canonical_cmp(&self, other: &Event) -> Ordering {
        Stamp::of(self).canonical_cmp(&Stamp::of(other))
    }

    /// Returns the size that limits are checked against: all texts, the binary clock and the payload, in bytes.
    pub fn size(&self) -> usize {
        let clock: usize = self.clock.iter().map(|(node, _)| node.as_bytes().len() + 8).sum();
        self.id.as_bytes().len()
            + self.event_type.as_bytes().len()
            + self.aggregate_id.as_bytes().len()
            + self.data.as_bytes().len()
            + self.metadata.as_json().len()
            + clock
    }

    /// Returns a hash over every field, which tells whether two copies of an event are the same: SHA-256 over the
    /// [content digest](Event::content_digest), the dot, the time and the clock.
    pub fn digest(&self) -> [u8; 32] {
        let mut bytes = self.content_digest().to_vec();
        let (node, counter) = self.dot.as_ref().map_or(("", 0), |dot| (dot.node.as_str(), dot.counter));
        put_bytes(&mut bytes, node.as_bytes());
        put_bytes(&mut bytes, &counter.to_be_bytes());
        put_bytes(&mut bytes, &self.time.to_bits().to_be_bytes());
        self.clock.encode(&mut bytes);
        Sha256::digest(&bytes).into()
    }

    /// Returns a hash over the application's part of the event, without the stamp: SHA-256 over id, type, aggregate,
    /// kind of data, data and metadata, each preceded by its length.
    pub fn content_digest(&self) -> [u8; 32] {
        content_digest(&self.id, &self.event_type, &self.aggregate_id, &self.data, &self.metadata)
    }

    /// Checks what every correct author ensures: the clock contains the dot with exactly its counter, and no counter
    /// exceeds [`MAX_COUNTER`].
    ///
    /// # Errors
    /// `Invalid`, with the id of the event.
    pub fn check_stamp(&self) -> Result<()> {
        let bad = |message: &str| Err(Error::invalid(message).with("event", &self.id));
        if self.clock.iter().any(|(_, counter)| counter > MAX_COUNTER) {
            return bad("a counter of the clock is out of range");
        }
        match &self.dot {
            Some(dot) if dot.counter == 0 => bad("the counter of the dot is 0; counters begin at 1"),
            Some(dot) if self.clock.counter(&dot.node) != dot.counter => {
                bad("the clock does not contain the event's own dot")
            }
            None if self.clock.is_empty() => bad("a derived event has an empty clock"),
            _ => Ok(()),
        }
    }
}

/// The parts of an event that causality and canonical order need, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// The id.
    pub id: &'a EventId,
    /// The dot; `None` for a derived event.
    pub dot: Option<&'a Dot>,
    /// The clock.
    pub clock: &'a VectorClock,
    /// The time.
    pub time: Timestamp,
}

impl<'a> Stamp<'a> {
    /// Borrows the stamp of an event.
    pub fn of(event: &'a Event) -> Self {
        Stamp { id: &event.id, dot: event.dot.as_ref(), clock: &event.clock, time: event.time }
    }

    /// Same as [`Event::has_seen`].
    pub fn has_seen(&self, other: &Stamp<'_>) -> bool {
        if self.id == other.id {
            return false;
        }
        match other.dot {
            Some(dot) => {
                self.time >= other.time && self.clock.has_seen(dot) && self.canonical_cmp(other).is_gt()
            }
            None if !other.clock.is_covered_by(self.clock) => false,
            None => self.dot.is_some() && self.clock != other.clock || self.canonical_cmp(other).is_gt(),
        }
    }

    /// Same as [`Event::canonical_cmp`].
    pub fn canonical_cmp(&self, other: &Stamp<'_>) -> Ordering {
        self.time
            .cmp(&other.time)
            .then_with(|| self.clock.sum().cmp(&other.clock.sum()))
            .then_with(|| self.dot.cmp(&other.dot))
            .then_with(|| self.id.cmp(other.id))
    }
}

/// An event before it is recorded: the application's part, without a stamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// An id chosen by the caller; `None` to generate a UUIDv7.
    pub id: Option<EventId>,
    /// The kind of fact.
    pub event_type: EventType,
    /// The aggregate that the fact is about.
    pub aggregate_id: AggregateId,
    /// The payload.
    pub data: Data,
    /// A JSON object beside the payload.
    pub metadata: Metadata,
}

impl NewEvent {
    /// Creates an event of this type about this aggregate, with any serialisable payload.
    ///
    /// ```
    /// # fn main() -> synckit_core::Result<()> {
    /// let event = synckit_core::NewEvent::new("NoteEdited", "note-1", &["hello"])?;
    /// assert_eq!(event.data.as_json(), Some(r#"["hello"]"#));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Invalid` or `TooLarge` when a name is empty or above 255 bytes, or the payload has no JSON form.
    pub fn new<T: Serialize + ?Sized>(
        event_type: impl AsRef<str>,
        aggregate_id: impl AsRef<str>,
        payload: &T,
    ) -> Result<Self> {
        NewEvent::with_data(event_type, aggregate_id, Data::of(payload)?)
    }

    /// Creates an event with a payload that is already JSON text or bytes.
    ///
    /// # Errors
    /// `Invalid` or `TooLarge` when a name is empty or above 255 bytes.
    pub fn with_data(event_type: impl AsRef<str>, aggregate_id: impl AsRef<str>, data: Data) -> Result<Self> {
        Ok(NewEvent {
            id: None,
            event_type: EventType::new(event_type)?,
            aggregate_id: AggregateId::new(aggregate_id)?,
            data,
            metadata: Metadata::default(),
        })
    }

    /// Sets the id, so that recording the event twice has the same effect as recording it once.
    pub fn with_id(mut self, id: EventId) -> Self {
        self.id = Some(id);
        self
    }

    /// Sets the metadata.
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// Returns the [`Event::content_digest`] of the event that this becomes under that id.
    pub fn content_digest(&self, id: &EventId) -> [u8; 32] {
        content_digest(id, &self.event_type, &self.aggregate_id, &self.data, &self.metadata)
    }

    /// Creates the event from its content and this stamp.
    pub fn stamped(self, id: EventId, dot: Option<Dot>, clock: VectorClock, time: Timestamp) -> Event {
        let NewEvent { event_type, aggregate_id, data, metadata, .. } = self;
        Event { id, event_type, aggregate_id, data, metadata, dot, clock, time }
    }
}

fn content_digest(
    id: &EventId,
    event_type: &EventType,
    aggregate: &AggregateId,
    data: &Data,
    metadata: &Metadata,
) -> [u8; 32] {
    let mut bytes = Vec::with_capacity(data.as_bytes().len() + metadata.as_json().len() + 256);
    put_bytes(&mut bytes, id.as_bytes());
    put_bytes(&mut bytes, event_type.as_bytes());
    put_bytes(&mut bytes, aggregate.as_bytes());
    put_bytes(&mut bytes, if data.is_json() { b"json" } else { b"bytes" });
    put_bytes(&mut bytes, data.as_bytes());
    put_bytes(&mut bytes, metadata.as_json().as_bytes());
    Sha256::digest(&bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn sample() -> Event {
        let node = NodeId::new("a").expect("valid");
        let new =
            NewEvent::with_data("T", "x", Data::json(r#"{"n":9007199254740993,"f":1.0}"#).expect("valid"));
        let clock = VectorClock::from_entries([(node.clone(), 3)]).expect("valid");
        new.expect("valid").stamped(
            EventId::new("e\"1").expect("valid"),
            Some(Dot::new(node, 3)),
            clock,
            Timestamp::from_millis(5),
        )
    }

    #[test]
    fn stamps_that_no_author_makes_are_refused() {
        assert!(sample().check_stamp().is_ok());
        let mut event = sample();
        event.clock = VectorClock::new();
        assert!(event.check_stamp().is_err());
        event.dot = None;
        assert!(event.check_stamp().is_err());
        let mut far = sample();
        far.dot = Some(Dot::new(NodeId::new("a").expect("valid"), u64::MAX));
        far.clock = VectorClock::from_entries([(NodeId::new("a").expect("valid"), u64::MAX)]).expect("valid");
        assert!(far.check_stamp().is_err());
    }
}
