//! Vector clocks: how they compare and merge, and their two encodings.

use proptest::prelude::*;
use synckit_core::{Causality, Dot, NodeId, VectorClock};

fn node(name: &str) -> NodeId {
    NodeId::new(name).expect("valid")
}

fn clock(entries: &[(&str, u64)]) -> VectorClock {
    VectorClock::from_entries(entries.iter().map(|(name, n)| (node(name), *n))).expect("valid")
}

fn any_clock() -> impl Strategy<Value = VectorClock> {
    proptest::collection::btree_map("[a-e]", 1_u64..5, 0..5).prop_map(|map| {
        VectorClock::from_entries(map.into_iter().map(|(name, n)| (node(&name), n))).expect("valid")
    })
}

#[test]
fn compares_in_four_ways() {
    let (a, b) = (clock(&[("a", 1)]), clock(&[("b", 1)]));
    let both = clock(&[("a", 1), ("b", 1)]);
    assert_eq!(a.compare(&both), Causality::Before);
    assert_eq!(both.compare(&a), Causality::After);
    assert_eq!(a.compare(&a), Causality::Equal);
    assert_eq!(a.compare(&b), Causality::Concurrent);
}

#[test]
fn the_1001st_node_is_an_error_and_changes_nothing() {
    let entries = (0..1_000).map(|n| (node(&format!("n{n}")), 1));
    let mut full = VectorClock::from_entries(entries).expect("at the limit");
    let before = full.clone();
    assert!(full.increment(&node("one too many")).is_err());
    assert!(full.merge(&clock(&[("another", 1)])).is_err());
    assert_eq!(full, before);
    assert_eq!(full.increment(&node("n7")).expect("known node"), 2);
}

#[test]
fn json_is_an_object_and_duplicates_are_refused() {
    let text = serde_json::to_string(&clock(&[("B", 7), ("A", 1)])).expect("encodes");
    assert_eq!(text, r#"{"A":1,"B":7}"#);
    assert!(serde_json::from_str::<VectorClock>(r#"{"A":1,"A":2}"#).is_err());
    assert!(serde_json::from_str::<VectorClock>(r#"{"A":-1}"#).is_err());
}

#[test]
fn binary_refuses_what_is_not_canonical() {
    for bad in [&[1_u8][..], &[2, 1, b'b', 1, 1, b'a', 1], &[1, 1, b'a', 0], &[0xff; 11], &[1, 9, b'a']] {
        assert!(VectorClock::decode(&mut &bad[..]).is_err(), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn merge_is_the_least_upper_bound(a in any_clock(), b in any_clock()) {
        let mut ab = a.clone();
        ab.merge(&b).expect("few nodes");
        let mut ba = b.clone();
        ba.merge(&a).expect("few nodes");
        prop_assert_eq!(&ab, &ba);
        prop_assert!(a.is_covered_by(&ab) && b.is_covered_by(&ab));
        prop_assert!(a.meet(&b).is_covered_by(&a) && a.meet(&b).is_covered_by(&b));
        prop_assert_eq!(ab.sum() + a.meet(&b).sum(), a.sum() + b.sum());
    }

    #[test]
    fn both_encodings_round_trip(a in any_clock()) {
        let json = serde_json::to_string(&a).expect("encodes");
        prop_assert_eq!(&serde_json::from_str::<VectorClock>(&json).expect("decodes"), &a);
        let mut bytes = Vec::new();
        a.encode(&mut bytes);
        let mut rest = &bytes[..];
        prop_assert_eq!(&VectorClock::decode(&mut rest).expect("decodes"), &a);
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn covering_is_one_of_four_ways_to_compare(a in any_clock(), b in any_clock(), more in 0_usize..100) {
        let mut large = b;
        for number in 0..more {
            large.increment(&node(&format!("more-{number}"))).expect("few nodes");
        }
        let covered = matches!(a.compare(&large), Causality::Before | Causality::Equal);
        prop_assert_eq!(a.is_covered_by(&large), covered);
        prop_assert_eq!(large.is_covered_by(&a), matches!(large.compare(&a), Causality::Before | Causality::Equal));
    }

    #[test]
    fn has_seen_agrees_with_the_counter(a in any_clock(), name in "[a-e]", counter in 1_u64..6) {
        let dot = Dot::new(node(&name), counter);
        prop_assert_eq!(a.has_seen(&dot), a.counter(&dot.node) >= counter);
    }
}
