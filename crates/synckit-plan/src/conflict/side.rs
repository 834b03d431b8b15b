//! The sides of a conflict, as a resolution names them: by dot, with what all had seen stated once.

use std::borrow::Cow;
use std::collections::HashMap;

use synckit_core::{Dot, NodeId, Result, VectorClock};

/// A plain event on top of a branch, as a resolution names it. Its clock is the base of the resolution, joined with
/// `above` and the dot, so that what it had seen is known even if a filter left it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// The dot of the event.
    pub dot: Dot,
    /// What it had seen beyond the base, without its own dot.
    pub above: VectorClock,
}

impl Side {
    /// Returns the counter that the event had seen of a node, given this base.
    pub fn counter(&self, base: &VectorClock, node: &NodeId) -> u64 {
        let own = if self.dot.node == *node { self.dot.counter } else { 0 };
        own.max(self.above.counter(node)).max(base.counter(node))
    }

    /// Returns whether the event is this one, or had seen it, given this base.
    pub fn has_seen(&self, base: &VectorClock, dot: &Dot) -> bool {
        self.counter(base, &dot.node) >= dot.counter
    }

    /// Returns whether the event had seen everything that this clock has, given this base.
    pub fn covers(&self, base: &VectorClock, clock: &VectorClock) -> bool {
        clock.iter().all(|(node, counter)| self.counter(base, node) >= counter)
    }

    /// Returns the clock of the event, given this base.
    ///
    /// # Errors
    /// `TooLarge` above 1,000 nodes.
    pub fn clock(&self, base: &VectorClock) -> Result<VectorClock> {
        let mut clock = base.clone();
        clock.merge(&self.above)?;
        clock.observe(&self.dot)?;
        Ok(clock)
    }
}

/// A plain event that may become a side.
#[derive(Clone, Copy, Debug)]
pub(super) enum Candidate<'a> {
    /// A head, with its clock.
    Head(&'a Dot, &'a VectorClock),
    /// A side of an earlier resolution, with the base of that resolution.
    Side(&'a Side, &'a VectorClock),
}

impl<'a> Candidate<'a> {
    pub(super) fn dot(&self) -> &'a Dot {
        match self {
            Candidate::Head(dot, _) => dot,
            Candidate::Side(side, _) => &side.dot,
        }
    }

    pub(super) fn clock(&self) -> Result<Cow<'a, VectorClock>> {
        match self {
            Candidate::Head(_, clock) => Ok(Cow::Borrowed(clock)),
            Candidate::Side(side, base) => side.clock(base).map(Cow::Owned),
        }
    }
}

/// Returns the candidates that no other has seen together with everything they had seen, sorted by dot. Those with the
/// same dot are grouped: their clocks differ only if the dot names two events. Reads most clocks only once.
pub(super) fn unseen(mut candidates: Vec<Candidate<'_>>) -> Result<Vec<Vec<Candidate<'_>>>> {
    candidates.sort_by(|left, right| left.dot().cmp(right.dot()));
    // For each node of a candidate, the highest counter that the others have seen.
    let mut seen: HashMap<&NodeId, u64> = candidates.iter().map(|one| (&one.dot().node, 0)).collect();
    for candidate in &candidates {
        let own = &candidate.dot().node;
        for (node, counter) in candidate.clock()?.iter().filter(|(node, _)| *node != own) {
            if let Some(most) = seen.get_mut(node) {
                *most = counter.max(*most);
            }
        }
    }
    let mut unseen: Vec<Vec<Candidate<'_>>> = Vec::new();
    for (at, one) in candidates.iter().enumerate() {
        let Dot { node, counter } = one.dot();
        let more = |next: &Candidate<'_>| next.dot().node == *node && next.dot().counter >= *counter;
        let alone = seen[node] < *counter && !candidates.get(at + 1).is_some_and(more);
        if !alone && covered(&candidates, at)? {
            continue;
        }
        match unseen.last_mut().filter(|last| last[0].dot() == one.dot()) {
            Some(last) => last.push(*one),
            None => unseen.push(vec![*one]),
        }
    }
    Ok(unseen)
}

/// Returns whether another candidate has seen this one and everything it had seen. Of equal candidates the last one
/// counts.
fn covered(candidates: &[Candidate<'_>], at: usize) -> Result<bool> {
    let (one, clock) = (candidates[at].dot(), candidates[at].clock()?);
    for (number, other) in candidates.iter().enumerate().filter(|(number, _)| *number != at) {
        let theirs = other.clock()?;
        if theirs.has_seen(one) && clock.is_covered_by(&theirs) && (number > at || *theirs != *clock) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns the base and the sides of events with these dots and clocks. The base is what all have seen.
///
/// Reads the clocks twice, one at a time, so that they need not be held together.
pub(super) fn factor<'a>(
    dots: &[Dot],
    clock: impl Fn(usize) -> Result<Cow<'a, VectorClock>>,
) -> Result<(VectorClock, Vec<Side>)> {
    let mut base: Option<VectorClock> = None;
    for at in 0..dots.len() {
        let clock = clock(at)?;
        base = Some(base.map_or_else(|| clock.clone().into_owned(), |base| base.meet(&clock)));
    }
    let base = base.unwrap_or_default();
    let side = |(at, dot): (usize, &Dot)| {
        Ok(Side { dot: dot.clone(), above: beyond(&*clock(at)?, &base, &dot.node)? })
    };
    let mut sides = dots.iter().enumerate().map(side).collect::<Result<Vec<_>>>()?;
    sides.sort_by(|left, right| left.dot.cmp(&right.dot));
    Ok((base, sides))
}

/// Returns the entries of a clock that are greater than in the base, except that of one node.
fn beyond(clock: &VectorClock, base: &VectorClock, except: &NodeId) -> Result<VectorClock> {
    let more = clock.iter().filter(|(node, counter)| *node != except && *counter > base.counter(node));
    VectorClock::from_entries(more.map(|(node, counter)| (node.clone(), counter)))
}
