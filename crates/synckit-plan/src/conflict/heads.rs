//! The heads of an aggregate: its events that no other event of it has seen.

use std::borrow::Borrow;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

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

/// The end of the binary form if there were more heads than are kept.
const CROWDED: [u8; 2] = [0, 1];

/// Returns the heads among these events, without duplicates, in canonical order: plain events that no other has seen,
/// and resolutions that lead. The work is proportional to the entries of all clocks.
///
/// A resolution *leads* if no other of these events has seen more of some node; of several that have seen as much, only
/// the one with the greatest clock leads. The last of all leads too, unless a plain event has seen it, so that what comes
/// on top of the heads is later than any resolution. One that does not lead is covered by the others together, so
/// nothing is lost when it is no head, and there are hardly more such heads than nodes.
pub(super) fn tops<'a, T: Borrow<Event>>(events: impl Iterator<Item = &'a T>) -> Vec<&'a T> {
    let mut events: Vec<&T> = events.collect();
    events.sort_by(|left, right| (*right).borrow().canonical_cmp((*left).borrow()));
    events.dedup_by(|left, right| (*left).borrow().id == (*right).borrow().id);
    // What later events have seen. Nobody has seen a plain event that is later in canonical order.
    let mut seen: HashMap<&NodeId, u64> = HashMap::new();
    events.retain(|event| {
        let event: &'a Event = (**event).borrow();
        let unseen = |dot: &Dot| seen.get(&dot.node).is_none_or(|counter| *counter < dot.counter);
        let open = event.dot.as_ref().is_none_or(unseen);
        for (node, counter) in event.clock.iter() {
            let most = seen.entry(node).or_default();
            *most = counter.max(*most);
        }
        open
    });
    events.reverse();
    if !events.iter().any(|event| (**event).borrow().is_derived()) {
        return events;
    }
    let mut leads = leading(events.iter().map(|event| &(**event).borrow().clock));
    let plain: Vec<&T> = events.iter().copied().filter(|event| !(**event).borrow().is_derived()).collect();
    let seen = |event: &&T| plain.iter().any(|by| (**by).borrow().has_seen((**event).borrow()));
    if let Some(last) = events.iter().rposition(|event| !seen(event)) {
        leads[last] = true;
    }
    let mut leads = leads.into_iter();
    events.retain(|event| leads.next().unwrap_or_default() || !(**event).borrow().is_derived());
    events
}

/// Returns which of these clocks, of events in canonical order, lead in some node.
fn leading<'a>(clocks: impl ExactSizeIterator<Item = &'a VectorClock>) -> Vec<bool> {
    let mut leads = vec![false; clocks.len()];
    let mut best: HashMap<&NodeId, (u64, u128, usize)> = HashMap::new();
    for (at, clock) in clocks.enumerate() {
        let sum = clock.sum();
        for (node, counter) in clock.iter() {
            let most = best.entry(node).or_default();
            *most = (counter, sum, at).max(*most);
        }
    }
    best.into_values().for_each(|(_, _, at)| leads[at] = true);
    leads
}

/// Adds clocks to this one, in this order, as far as they fit. Returns it, and which of them it contains.
pub(super) fn fitting<'a>(
    mut joined: VectorClock,
    clocks: impl Iterator<Item = &'a VectorClock>,
) -> (VectorClock, Vec<usize>) {
    let fit = clocks.enumerate().filter(|(_, clock)| joined.merge(clock).is_ok()).map(|(at, _)| at).collect();
    (joined, fit)
}

/// The heads of one aggregate, in canonical order. More than one is a conflict. At most [`Heads::MAX`] are kept, the
/// last in canonical order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heads {
    heads: Vec<Head>,
    /// Whether there were more heads than are kept.
    crowded: bool,
    /// Whether the log holds a restamp of an event that is not in the log.
    awaits: bool,
}

impl Heads {
    /// The maximum number of heads that are kept: as many as a clock has nodes.
    pub const MAX: usize = VectorClock::MAX_NODES;

    /// Adds one more event of the aggregate. The result does not depend on the order of the events, up to
    /// [`Heads::MAX`] heads.
    pub fn add(&mut self, event: &Event) {
        if event.is_restamp() {
            return;
        }
        let stamp = Stamp::of(event);
        if self.contains(&event.id) {
            return;
        }
        // What has seen it need not have seen what it has seen: a dot of its author may have named another event.
        self.heads.retain(|head| !stamp.has_seen(&head.stamp()));
        if self.heads.iter().any(|head| head.stamp().has_seen(&stamp)) {
            return;
        }
        self.insert(Head::of(event));
        // Of two that have not seen each other, both lead.
        if self.heads.len() > 2 && self.heads.iter().any(|head| head.dot.is_none()) {
            let mut leads = leading(self.heads.iter().map(|head| &head.clock));
            leads.last_mut().into_iter().for_each(|last| *last = true);
            let mut leads = leads.into_iter();
            self.heads.retain(|head| leads.next().unwrap_or_default() || head.dot.is_some());
        }
        self.keep_the_last();
    }

    /// Returns the heads among these events of an aggregate, in any order.
    pub(crate) fn among<'a>(events: impl Iterator<Item = &'a Event>) -> Self {
        let heads = tops(events.filter(|event| !event.is_restamp())).into_iter().map(Head::of).collect();
        let mut heads = Heads { heads, ..Heads::default() };
        heads.keep_the_last();
        heads
    }

    fn keep_the_last(&mut self) {
        if self.heads.len() > Self::MAX {
            self.heads.drain(..self.heads.len() - Self::MAX);
            self.crowded = true;
        }
    }

    /// Returns whether the aggregate is in conflict: it has more than one head, or had more than are kept.
    pub fn in_conflict(&self) -> bool {
        self.heads.len() > 1 || self.crowded
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

    /// The number of nodes from which on an aggregate is noted as nearly [full](crate::notes::full).
    pub(crate) const MANY: usize = VectorClock::MAX_NODES * 8 / 10;

    /// Returns the number of nodes that the heads have seen together, or an upper bound below [`Heads::MANY`].
    pub(crate) fn nodes(&self) -> usize {
        let most = self.heads.iter().map(|head| head.clock.len()).sum();
        if most < Self::MANY {
            return most;
        }
        let nodes = self.heads.iter().flat_map(|head| head.clock.iter()).map(|(node, _)| node);
        nodes.collect::<HashSet<_>>().len()
    }

    /// Returns the highest counter that the heads have seen of a node.
    pub(crate) fn counter(&self, node: &NodeId) -> u64 {
        self.heads.iter().map(|head| head.clock.counter(node)).max().unwrap_or_default()
    }

    /// Returns the clock of a new event with this dot, and the latest time of the heads that it goes on top of. They are
    /// all heads if one clock has room for them and the author. Otherwise it is first the one that has seen most
    /// of the author, then those with the smallest clocks, as far as they fit: the event says to have seen less than its
    /// author had.
    pub(crate) fn on_top(&self, author: &Dot) -> Result<(VectorClock, Option<Timestamp>)> {
        let node = &author.node;
        let all = self.clock().ok().filter(|all| all.len() < Self::MAX || all.counter(node) > 0);
        let latest = |heads: &mut dyn Iterator<Item = &Head>| heads.map(|head| head.time).max();
        if let Some(mut clock) = all {
            clock.observe(author)?;
            return Ok((clock, latest(&mut self.heads.iter())));
        }
        let mut heads: Vec<&Head> = self.heads.iter().collect();
        heads.sort_by_key(|head| (Reverse(head.clock.counter(node)), head.clock.len()));
        let own = VectorClock::from_entries([(node.clone(), author.counter)])?;
        let (clock, fit) = fitting(own, heads.iter().map(|head| &head.clock));
        Ok((clock, latest(&mut fit.into_iter().map(|at| heads[at]))))
    }

    /// Returns the compact binary form kept in the notebook: for each head its id, its dot (an empty node if it has
    /// none), its time and its clock. An empty id and a 1 at the end mean that there were more heads, an empty id after
    /// that that a restamp awaits its event.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.heads.len() * 96);
        for head in &self.heads {
            put_bytes(&mut out, head.id.as_bytes());
            put_bytes(&mut out, head.dot.as_ref().map_or(b"", |dot| dot.node.as_bytes()));
            put_varint(&mut out, head.dot.as_ref().map_or(0, |dot| dot.counter));
            put_varint(&mut out, head.time.to_bits());
            head.clock.encode(&mut out);
        }
        if self.crowded {
            out.extend(CROWDED);
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
        let (mut heads, mut crowded) = (Vec::with_capacity(1), false);
        while !bytes.is_empty() {
            if bytes == [0] {
                return Ok(Heads { heads, crowded, awaits: true });
            }
            if let Some(rest) = bytes.strip_prefix(&CROWDED) {
                (bytes, crowded) = (rest, true);
                continue;
            }
            heads.push(Self::take(&mut bytes).map_err(|error| {
                Error::corrupt("the heads of an aggregate cannot be read").with_source(error)
            })?);
        }
        Ok(Heads { heads, crowded, awaits: false })
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
