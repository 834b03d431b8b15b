//! Dots and vector clocks.
//!
//! Vector clocks are after Fidge and Mattern (1988). Naming one event by its author's counter is after Preguiça et al.,
//! *Dotted Version Vectors* (2010). A clock is a small vector sorted by node id: lookups are binary searches, and
//! comparing or merging walks both sides once.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::binary::{put_bytes, put_varint, take_text, take_varint};
use crate::error::{Error, Result};
use crate::ids::NodeId;

/// The n-th event authored by a node: identifies one event, permanently.
///
/// ```
/// use synckit_core::{Dot, NodeId};
///
/// let dot = Dot::new(NodeId::new("till-1")?, 7);
/// assert_eq!(dot.to_string(), "till-1:7");
/// # Ok::<(), synckit_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dot {
    /// The author.
    pub node: NodeId,
    /// The author's counter, from 1.
    pub counter: u64,
}

impl Dot {
    /// Returns the dot of this node and counter.
    pub fn new(node: NodeId, counter: u64) -> Self {
        Dot { node, counter }
    }
}

impl fmt::Display for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.node, self.counter)
    }
}

/// Up to this number of nodes, a linear search is faster than a binary search.
const FEW: usize = 16;

/// How two vector clocks are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Causality {
    /// The right has seen everything the left has, and more.
    Before,
    /// The left has seen everything the right has, and more.
    After,
    /// Both have seen the same.
    Equal,
    /// Each has seen something the other has not.
    Concurrent,
}

/// What has been seen of one aggregate: node id → counter, at most [`VectorClock::MAX_NODES`] entries.
///
/// An object in JSON: `{"A":1,"B":7}`.
///
/// ```
/// use synckit_core::{Causality, NodeId, VectorClock};
///
/// let (mut here, mut there) = (VectorClock::new(), VectorClock::new());
/// here.increment(&NodeId::new("here")?)?;
/// there.increment(&NodeId::new("there")?)?;
/// assert_eq!(here.compare(&there), Causality::Concurrent);
/// # Ok::<(), synckit_core::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct VectorClock(Vec<(NodeId, u64)>);

impl VectorClock {
    /// The maximum number of nodes in one clock. Exceeding it is an error; a clock is never silently truncated.
    pub const MAX_NODES: usize = 1_000;

    /// Creates a clock that has seen nothing.
    pub const fn new() -> Self {
        VectorClock(Vec::new())
    }

    /// Returns the counter seen of a node, or 0 if the node has not been seen.
    #[inline]
    pub fn counter(&self, node: &NodeId) -> u64 {
        self.find(node).map_or(0, |at| self.0[at].1)
    }

    /// Returns whether this clock has seen the event that the dot identifies.
    #[inline]
    pub fn has_seen(&self, dot: &Dot) -> bool {
        self.counter(&dot.node) >= dot.counter
    }

    /// Counts one more event of this node and returns the new counter.
    ///
    /// # Errors
    /// `TooLarge` when the node would be the 1,001st; the clock is unchanged.
    #[inline]
    pub fn increment(&mut self, node: &NodeId) -> Result<u64> {
        let counter = self.entry(node)?;
        *counter += 1;
        Ok(*counter)
    }

    /// Marks the event that this dot identifies, and all earlier events of its node, as seen.
    ///
    /// # Errors
    /// `TooLarge` when the node would be the 1,001st; the clock is unchanged.
    pub fn observe(&mut self, dot: &Dot) -> Result<()> {
        if !self.has_seen(dot) {
            *self.entry(&dot.node)? = dot.counter;
        }
        Ok(())
    }

    /// Merges everything another clock has seen into this one: the least upper bound of both.
    ///
    /// Does not allocate when both have the same nodes.
    ///
    /// # Errors
    /// `TooLarge` when the result would have more than 1,000 nodes; the clock is unchanged.
    pub fn merge(&mut self, other: &VectorClock) -> Result<()> {
        if other.0.is_empty() {
            return Ok(());
        }
        let same = |((mine, _), (theirs, _)): (&(NodeId, u64), &(NodeId, u64))| mine == theirs;
        if self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(same) {
            for ((_, mine), (_, theirs)) in self.0.iter_mut().zip(&other.0) {
                *mine = (*mine).max(*theirs);
            }
            return Ok(());
        }
        let mut nodes = 0;
        walk(&self.0, &other.0, |_, _, _| {
            nodes += 1;
            true
        });
        check_nodes(nodes)?;
        let mine = std::mem::replace(&mut self.0, Vec::with_capacity(nodes));
        let mut theirs = other.0.iter().peekable();
        for (node, counter) in mine {
            while let Some(before) = theirs.next_if(|(other, _)| *other < node) {
                self.0.push(before.clone());
            }
            let same = theirs.next_if(|(other, _)| *other == node);
            self.0.push((node, same.map_or(counter, |(_, other)| counter.max(*other))));
        }
        self.0.extend(theirs.cloned());
        Ok(())
    }

    /// Returns what both clocks have seen: the greatest lower bound.
    pub fn meet(&self, other: &VectorClock) -> VectorClock {
        let mut common = Vec::new();
        walk(&self.0, &other.0, |node, left, right| {
            if left.min(right) > 0 {
                common.push((node.clone(), left.min(right)));
            }
            true
        });
        VectorClock(common)
    }

    /// Compares two clocks without allocating.
    #[inline]
    pub fn compare(&self, other: &VectorClock) -> Causality {
        let (mut less, mut more) = (false, false);
        walk(&self.0, &other.0, |_, left, right| {
            less |= left < right;
            more |= left > right;
            !(less && more)
        });
        match (less, more) {
            (false, false) => Causality::Equal,
            (true, false) => Causality::Before,
            (false, true) => Causality::After,
            (true, true) => Causality::Concurrent,
        }
    }

    /// Returns whether the other clock has seen everything this one has.
    pub fn is_covered_by(&self, other: &VectorClock) -> bool {
        if self.0.len() < other.0.len() / FEW {
            return self.0.iter().all(|(node, counter)| other.counter(node) >= *counter);
        }
        let mut covered = true;
        walk(&self.0, &other.0, |_, left, right| {
            covered = left <= right;
            covered
        });
        covered
    }

    /// Returns the sum of all counters. It grows along every causal path.
    pub fn sum(&self) -> u128 {
        self.0.iter().map(|(_, counter)| u128::from(*counter)).sum()
    }

    /// Iterates over the entries, sorted by node id.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&NodeId, u64)> {
        self.0.iter().map(|(node, counter)| (node, *counter))
    }

    /// Returns the number of nodes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether nothing has been seen.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Creates a clock from entries in any order; zero counters are dropped.
    ///
    /// # Errors
    /// `Invalid` when a node appears twice, `TooLarge` above 1,000 nodes.
    pub fn from_entries(entries: impl IntoIterator<Item = (NodeId, u64)>) -> Result<Self> {
        let mut unsorted = Vec::new();
        for (node, counter) in entries {
            check_nodes(unsorted.len() + 1)?;
            unsorted.push((node, counter));
        }
        VectorClock::from_unsorted(unsorted)
    }

    /// Creates a clock from at most 1,000 entries in any order.
    fn from_unsorted(mut sorted: Vec<(NodeId, u64)>) -> Result<Self> {
        sorted.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Error::invalid("a vector clock names a node twice").with("node", &pair[0].0));
        }
        sorted.retain(|(_, counter)| *counter > 0);
        Ok(VectorClock(sorted))
    }

    /// Appends the compact binary form: the number of entries, then for each entry the length of the node id, its bytes
    /// and the counter. All numbers are LEB128.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.0.len() as u64);
        for (node, counter) in &self.0 {
            put_bytes(out, node.as_bytes());
            put_varint(out, *counter);
        }
    }

    /// Reads the compact binary form from the front of `bytes`, and advances `bytes` past it.
    ///
    /// # Errors
    /// `Invalid` when the bytes are not a clock in canonical form, `TooLarge` above 1,000 nodes.
    pub fn decode(bytes: &mut &[u8]) -> Result<Self> {
        let nodes = take_varint(bytes)?;
        check_nodes(usize::try_from(nodes).unwrap_or(usize::MAX))?;
        let mut entries: Vec<(NodeId, u64)> = Vec::with_capacity(nodes as usize);
        for _ in 0..nodes {
            let node = NodeId::new(take_text(bytes)?)?;
            let counter = take_varint(bytes)?;
            if counter == 0 || entries.last().is_some_and(|(last, _)| *last >= node) {
                return Err(Error::invalid("a binary vector clock is not in canonical form"));
            }
            entries.push((node, counter));
        }
        Ok(VectorClock(entries))
    }

    #[inline]
    fn find(&self, node: &NodeId) -> Result<usize, usize> {
        // Testing for equality is cheaper, and most often the node is known.
        if self.0.len() <= FEW
            && let Some(at) = self.0.iter().position(|(entry, _)| entry == node)
        {
            return Ok(at);
        }
        self.0.binary_search_by(|(entry, _)| entry.cmp(node))
    }

    /// Returns the counter of a node for writing, adding the node if needed. The caller must set it above 0.
    #[inline]
    fn entry(&mut self, node: &NodeId) -> Result<&mut u64> {
        let at = match self.find(node) {
            Ok(at) => at,
            Err(at) => {
                check_nodes(self.0.len() + 1)?;
                self.0.insert(at, (node.clone(), 0));
                at
            }
        };
        Ok(&mut self.0[at].1)
    }
}

fn check_nodes(nodes: usize) -> Result<()> {
    if nodes <= VectorClock::MAX_NODES {
        return Ok(());
    }
    Err(Error::too_large(format!(
        "a vector clock holds at most {} nodes; split the aggregate so that fewer nodes write to it",
        VectorClock::MAX_NODES
    )))
}

/// Walks two clocks together in node order, for as long as `see` returns true. A clock without the node counts as 0.
#[inline]
fn walk<'a>(
    mut left: &'a [(NodeId, u64)],
    mut right: &'a [(NodeId, u64)],
    mut see: impl FnMut(&'a NodeId, u64, u64) -> bool,
) {
    loop {
        let go_on = match (left, right) {
            // Most often both have the node, and testing for equality is cheaper.
            ([(mine, counter), left_rest @ ..], [(theirs, other), right_rest @ ..]) if mine == theirs => {
                (left, right) = (left_rest, right_rest);
                see(mine, *counter, *other)
            }
            ([(mine, counter), rest @ ..], _) if right.first().is_none_or(|(theirs, _)| mine < theirs) => {
                left = rest;
                see(mine, *counter, 0)
            }
            (_, [(theirs, other), rest @ ..]) => {
                right = rest;
                see(theirs, 0, *other)
            }
            (_, []) => return,
        };
        if !go_on {
            return;
        }
    }
}

impl fmt::Debug for VectorClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Serialize for VectorClock {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for VectorClock {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = VectorClock;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of node ids and counters")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<VectorClock, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry::<NodeId, u64>()? {
                    check_nodes(entries.len() + 1).map_err(serde::de::Error::custom)?;
                    entries.push(entry);
                }
                VectorClock::from_unsorted(entries).map_err(serde::de::Error::custom)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}
