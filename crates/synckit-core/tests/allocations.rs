//! The frequent operations on clocks do not allocate, whatever the number of nodes.

use std::hint::black_box;

use synckit_core::{Causality, Dot, NodeId, VectorClock};

/// Counts the allocations that `of` makes on this thread.
fn allocations(of: impl FnOnce()) -> u64 {
    allocation_counter::measure(of).count_total
}

/// Returns a clock of this number of nodes, and dots that it has seen and has not seen. Half of the names are too long
/// to be stored inline.
fn sample(nodes: usize) -> (VectorClock, Vec<Dot>) {
    let name = |at: usize| {
        let long = if at.is_multiple_of(2) { "" } else { ", the one beside the entrance" };
        NodeId::new(format!("till {at}{long}")).expect("a short name")
    };
    let clock = VectorClock::from_entries((0..nodes).map(|at| (name(at), 7))).expect("few nodes");
    let dots = (0..nodes).flat_map(|at| [Dot::new(name(at), 7), Dot::new(name(at), 8)]);
    (clock, dots.chain([Dot::new(name(nodes), 1)]).collect())
}

fn looking_up_and_comparing_takes_no_memory(nodes: usize) {
    let (clock, dots) = sample(nodes);
    let last = &dots[2 * nodes - 1];
    let (mut ahead, mut aside) = (clock.clone(), VectorClock::new());
    ahead.observe(last).expect("few nodes");
    aside.observe(&dots[2 * nodes]).expect("few nodes");
    let mut seen = 0;
    let counted = allocations(|| {
        seen = dots.iter().filter(|dot| black_box(&clock).has_seen(dot)).count();
        assert_eq!(black_box(&clock).compare(&clock), Causality::Equal);
        assert_eq!(black_box(&clock).compare(&ahead), Causality::Before);
        assert_eq!(black_box(&ahead).compare(&clock), Causality::After);
        assert_eq!(black_box(&clock).compare(&aside), Causality::Concurrent);
    });
    assert_eq!((seen, counted), (nodes, 0));
}

#[test]
fn at_3_nodes() {
    looking_up_and_comparing_takes_no_memory(3);
}

#[test]
fn at_10_nodes() {
    looking_up_and_comparing_takes_no_memory(10);
}

#[test]
fn at_100_nodes() {
    looking_up_and_comparing_takes_no_memory(100);
}

#[test]
fn at_1000_nodes() {
    looking_up_and_comparing_takes_no_memory(1_000);
}

#[test]
fn what_takes_memory_is_counted() {
    let (clock, _) = sample(3);
    assert_eq!(allocations(|| drop(black_box(clock.clone()))), 1);
}
