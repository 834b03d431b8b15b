//! Clocks as a sorted vector of numbers: what causality costs if nodes are 16 bytes instead of names.

use std::cmp::Ordering;

/// A vector clock whose nodes are numbers.
#[derive(Clone)]
pub(crate) struct Clock(Vec<(u128, u64)>);

impl Clock {
    pub(crate) fn new(entries: impl Iterator<Item = (u128, u64)>) -> Clock {
        let mut entries: Vec<_> = entries.collect();
        entries.sort_unstable();
        Clock(entries)
    }

    pub(crate) fn increment(&mut self, node: u128) {
        match self.0.binary_search_by_key(&node, |entry| entry.0) {
            Ok(at) => self.0[at].1 += 1,
            Err(at) => self.0.insert(at, (node, 1)),
        }
    }

    pub(crate) fn has_seen(&self, node: u128, counter: u64) -> bool {
        self.0.binary_search_by_key(&node, |entry| entry.0).is_ok_and(|at| self.0[at].1 >= counter)
    }

    pub(crate) fn merge(&mut self, other: &Clock) {
        let mut merged = Vec::with_capacity(self.0.len().max(other.0.len()));
        walk(&self.0, &other.0, |node, left, right| {
            merged.push((node, left.max(right)));
            true
        });
        self.0 = merged;
    }

    pub(crate) fn compare(&self, other: &Clock) -> Option<Ordering> {
        let (mut less, mut more) = (false, false);
        walk(&self.0, &other.0, |_, left, right| {
            less |= left < right;
            more |= left > right;
            !(less && more)
        });
        match (less, more) {
            (false, false) => Some(Ordering::Equal),
            (true, false) => Some(Ordering::Less),
            (false, true) => Some(Ordering::Greater),
            (true, true) => None,
        }
    }
}

/// Walks both sides once, in order, until `see` returns false.
fn walk(mut left: &[(u128, u64)], mut right: &[(u128, u64)], mut see: impl FnMut(u128, u64, u64) -> bool) {
    loop {
        let (node, counters) = match (left.first(), right.first()) {
            (None, None) => return,
            (Some(mine), Some(theirs)) if mine.0 == theirs.0 => {
                (left, right) = (&left[1..], &right[1..]);
                (mine.0, (mine.1, theirs.1))
            }
            (Some(mine), theirs) if theirs.is_none_or(|theirs| mine.0 < theirs.0) => {
                left = &left[1..];
                (mine.0, (mine.1, 0))
            }
            (_, Some(theirs)) => {
                right = &right[1..];
                (theirs.0, (0, theirs.1))
            }
            (Some(_), None) => return,
        };
        if !see(node, counters.0, counters.1) {
            return;
        }
    }
}
