//! The heads of an aggregate: its events that no other event of it has seen.

use std::borrow::Borrow;

use synckit_core::binary::{put_bytes, put_varint, take_text, take_varint};
use synckit_core::{Dot, Error, Event, EventId, NodeId, Result, Stamp, Timestamp, VectorClock};

/// An event that no other event of its aggregate has seen, reduced to what planning needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The id of the event.
    pub id: EventId,
    /// Its dot; `None` for a resolution.
    pub dot: Option<Dot>,
    /// Its clock.
    pub clock: VectorClock,
    /// Its time.
    pub time: Timestamp,
}

impl Head {
    /// Creates a head from this event.
    pub fn of(event: &Event) -> Self {
        Head { id: event.id.clone(), dot: event.dot.clone(), clock: event.clock.clone(), time: event.time }
    }

    fn stamp(&self) -> Stamp<'_> {
        Stamp { id: &self.id, dot: self.dot.as_ref(), clock: &self.clock, time: self.time }
    }
}

/// Returns the events that no other of them has seen, without duplicates, in canonical order.
///
/// Apart from resolutions, nobody has seen an event that is later in canonical order. Most often an event was seen by
/// one of those already found.
pub(super) fn tops<'a, T: Borrow<Event>>(events: impl Iterator<Item = &'a T>) -> Vec<&'a T> {
    let mut events: Vec<&T> = events.collect();
    events.sort_by(|left, right| (*right).borrow().canonical_cmp((*left).borrow()));
    events.dedup_by(|left, right| (*left).borrow().id == (*right).borrow().id);
    let mut tops: Vec<&T> = Vec::new();
    for (at, event) in events.iter().enumerate() {
        let derived = (**event).borrow().is_derived();
        let seen = |by: &&T| (**by).borrow().has_seen((**event).borrow());
        let others = if derived { &events[..] } else { &events[..at] };
        if !tops.iter().any(seen) && !others.iter().any(seen) {
            tops.push(event);
        }
    }
    tops.reverse();
    tops
}

/// The heads of one aggregate, in canonical order. More than one is a conflict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heads {
    heads: Vec<Head>,
    /// Whether the log holds a restamp of an event that is not in the log.
    awaits: bool,
}

impl Heads {
    /// Adds one more event of the aggregate. The result does not depend on the order of the events.
    pub fn add(&mut self, event: &Event) {
        if event.is_restamp() {
            return;
        }
        let stamp = Stamp::of(event);
        if self.heads.iter().any(|head| head.id == event.id || head.stamp().has_seen(&stamp)) {
            return;
        }
        self.heads.retain(|head| !stamp.has_seen(&head.stamp()));
        self.insert(Head::of(event));
    }

    /// Returns the heads among these events of an aggregate, in any order.
    pub(crate) fn among<'a>(events: impl Iterator<Item = &'a Event>) -> Self {
        let heads = tops(events.filter(|event| !event.is_restamp())).into_iter().map(Head::of).collect();
        Heads { heads, awaits: false }
    }

    /// Returns whether the log holds a restamp of an event of the aggregate that is not in the log, so that the event
    /// gets its stamp when it arrives. Read from the binary form: the last number of a clock is never 0.
    pub(crate) fn awaits_in(encoded: &[u8]) -> bool {
        encoded.last() == Some(&0)
    }

    pub(crate) fn set_awaits(&mut self, awaits: bool) {
        self.awaits = awaits;
    }

    fn insert(&mut self, head: Head) {
        let at = self.heads.partition_point(|other| other.stamp().canonical_cmp(&head.stamp()).is_lt());
        self.heads.insert(at, head);
    }

    /// Iterates over the heads, in canonical order.
    pub fn iter(&self) -> std::slice::Iter<'_, Head> {
        self.heads.iter()
    }

    /// Returns the number of heads.
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// Returns whether the aggregate has no events yet.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Returns whether this event is a head.
    pub fn contains(&self, id: &EventId) -> bool {
        self.heads.iter().any(|head| head.id == *id)
    }

    /// Returns the least clock that has seen all heads.
    ///
    /// # Errors
    /// `TooLarge` above 1,000 nodes.
    pub fn clock(&self) -> Result<VectorClock> {
        let mut clock = VectorClock::new();
        for head in &self.heads {
            clock.merge(&head.clock)?;
        }
        Ok(clock)
    }

    /// Returns the compact binary form kept in the notebook: for each head its id, its dot (an empty node if it has
    /// none), its time and its clock. An empty id at the end means that a restamp awaits its event.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.heads.len() * 96);
        for head in &self.heads {
            put_bytes(&mut out, head.id.as_bytes());
            put_bytes(&mut out, head.dot.as_ref().map_or(b"", |dot| dot.node.as_bytes()));
            put_varint(&mut out, head.dot.as_ref().map_or(0, |dot| dot.counter));
            put_varint(&mut out, head.time.to_bits());
            head.clock.encode(&mut out);
        }
        if self.awaits {
            put_bytes(&mut out, b"");
        }
        out
    }

    /// Reads the compact binary form.
    ///
    /// # Errors
    /// `Corrupt` when the bytes are not heads.
    pub fn decode(mut bytes: &[u8]) -> Result<Self> {
        let mut heads = Vec::with_capacity(1);
        while !bytes.is_empty() {
            if bytes == [0] {
                return Ok(Heads { heads, awaits: true });
            }
            heads.push(Self::take(&mut bytes).map_err(|error| {
                Error::corrupt("the heads of an aggregate cannot be read").with_source(error)
            })?);
        }
        Ok(Heads { heads, awaits: false })
    }

    fn take(bytes: &mut &[u8]) -> Result<Head> {
        let id = EventId::new(take_text(bytes)?)?;
        let node = take_text(bytes)?;
        let counter = take_varint(bytes)?;
        let dot = match node {
            "" => None,
            node => Some(Dot::new(NodeId::new(node)?, counter)),
        };
        let time = Timestamp::from_bits(take_varint(bytes)?);
        Ok(Head { id, dot, time, clock: VectorClock::decode(bytes)? })
    }
}
