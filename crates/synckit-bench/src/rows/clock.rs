//! Vector clocks: increment, merge, compare and look up, in equal shares.

use std::hint::black_box;

use synckit::{Dot, NodeId, VectorClock};

use crate::measure::{Measured, Sample};
use crate::raw;

/// The number of entries walked in one measurement, independent of the size of the clocks.
const ENTRIES: usize = 4_000_000;

fn rounds(nodes: usize) -> usize {
    ENTRIES / nodes.max(8)
}

/// Measures two clocks of this number of nodes, each ahead of the other at one node at the very end.
pub(super) fn ours<const NODES: usize>() -> Measured<Sample> {
    let names = (0..NODES).map(|at| NodeId::new(format!("till-{at:011}")));
    let names = names.collect::<Result<Vec<_>, _>>()?;
    let mut left = VectorClock::from_entries(names.iter().map(|name| (name.clone(), 7)))?;
    let mut right = left.clone();
    right.increment(&names[NODES - 1])?;
    let dots: Vec<Dot> = names.iter().map(|name| Dot::new(name.clone(), 7)).collect();
    Sample::of(rounds(NODES) * 4, || {
        for round in 0..rounds(NODES) {
            let at = round % NODES;
            left.increment(&names[at])?;
            black_box(left.compare(&right));
            black_box(right.has_seen(&dots[at]));
            right.merge(&left)?;
        }
        black_box(&right);
        Ok(())
    })
}

/// Measures the same with numbers for nodes.
pub(super) fn raw<const NODES: usize>() -> Measured<Sample> {
    // All have the same first bytes, as the names of one fleet do.
    let names: Vec<u128> = (0..NODES as u128).map(|at| (0x7469_6c6c_u128 << 96) | at).collect();
    let mut left = raw::clock::Clock::new(names.iter().map(|name| (*name, 7)));
    let mut right = left.clone();
    right.increment(names[NODES - 1]);
    Sample::of(rounds(NODES) * 4, || {
        for round in 0..rounds(NODES) {
            let at = round % NODES;
            left.increment(names[at]);
            black_box(left.compare(&right));
            black_box(right.has_seen(names[at], 7));
            right.merge(&left);
        }
        black_box(&right);
        Ok(())
    })
}
