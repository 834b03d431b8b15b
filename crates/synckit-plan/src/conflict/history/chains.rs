//! The events of a history as chains, in which whatever anybody has seen is at the front.

use std::collections::BTreeMap;
use std::ops::Range;

use synckit_core::{Event, NodeId};

use crate::conflict::history::place::Place;

/// The events of a history in canonical order, arranged in columns, chain after chain. Within a chain the canonical
/// order ascends.
pub(super) struct Chains<'a> {
    pub(super) events: &'a [Event],
    /// The index of the event in each column.
    indexes: Vec<usize>,
    /// The column of each event.
    columns: Vec<usize>,
    chains: Vec<Chain<'a>>,
}

struct Chain<'a> {
    /// The author of plain events, whose counters never descend; `None` for resolutions, each of which has seen the
    /// one before.
    author: Option<&'a NodeId>,
    columns: Range<usize>,
}

/// Columns of one chain that are next to each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Interval {
    pub(super) chain: usize,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl<'a> Chains<'a> {
    /// Arranges events in canonical order. Each author makes one chain, unless counters descend because a dot names
    /// two events or a time is wrong.
    pub(super) fn of(events: &'a [Event]) -> Self {
        let mut plain: BTreeMap<&NodeId, Vec<Vec<usize>>> = BTreeMap::new();
        let mut resolutions: Vec<Vec<usize>> = Vec::new();
        for (index, event) in events.iter().enumerate() {
            match &event.dot {
                Some(dot) => {
                    let chains = plain.entry(&dot.node).or_default();
                    // The last counters of the chains descend from chain to chain.
                    let at = chains.partition_point(|chain| counter(last(events, chain)) > dot.counter);
                    push(chains, at, index);
                }
                None => {
                    let seen = |chain: &Vec<usize>| event.has_seen(last(events, chain));
                    let at = resolutions.iter().position(seen).unwrap_or(resolutions.len());
                    push(&mut resolutions, at, index);
                }
            }
        }
        let indexes = Vec::with_capacity(events.len());
        let mut all = Chains { events, indexes, columns: vec![0; events.len()], chains: Vec::new() };
        for (node, chains) in plain {
            chains.into_iter().for_each(|chain| all.add(Some(node), chain));
        }
        resolutions.into_iter().for_each(|chain| all.add(None, chain));
        all
    }

    fn add(&mut self, author: Option<&'a NodeId>, chain: Vec<usize>) {
        let start = self.indexes.len();
        for index in chain {
            self.columns[index] = self.indexes.len();
            self.indexes.push(index);
        }
        self.chains.push(Chain { author, columns: start..self.indexes.len() });
    }

    /// Iterates over all events, chain by chain.
    pub(super) fn all(&self) -> impl Iterator<Item = Interval> {
        self.chains.iter().enumerate().map(|(chain, Chain { columns, .. })| Interval {
            chain,
            start: columns.start,
            end: columns.end,
        })
    }

    /// Iterates over the chains of resolutions.
    pub(super) fn of_resolutions(&self) -> impl Iterator<Item = Interval> {
        self.all().filter(|interval| self.chains[interval.chain].author.is_none())
    }

    /// Returns the index of the event in this column.
    pub(super) fn index(&self, column: usize) -> usize {
        self.indexes[column]
    }

    /// Returns the column of the event with this index.
    pub(super) fn column(&self, index: usize) -> usize {
        self.columns[index]
    }

    /// Returns where the events of an interval end that are within a place. What is within a place is at the front of
    /// every chain, except for [`Place::beyond`].
    pub(super) fn end(&self, Interval { chain, start, end }: &Interval, place: &Place<'_>) -> usize {
        let event = |column: usize| &self.events[self.indexes[column]];
        match self.chains[*chain].author {
            Some(node) => {
                let (upto, before) = (place.counter(node), place.before());
                front(*start..*end, |column| self.indexes[column] < before && counter(event(column)) <= upto)
            }
            None => front(*start..*end, |column| place.has_resolution(event(column))),
        }
    }
}

fn push(chains: &mut Vec<Vec<usize>>, at: usize, index: usize) {
    match chains.get_mut(at) {
        Some(chain) => chain.push(index),
        None => chains.push(vec![index]),
    }
}

fn last<'a>(events: &'a [Event], chain: &[usize]) -> &'a Event {
    &events[chain[chain.len() - 1]]
}

fn counter(event: &Event) -> u64 {
    event.dot.as_ref().map_or(0, |dot| dot.counter)
}

/// Returns where the front of a range ends: the part for which `within` is true. Searches from the end in growing
/// steps, because most often the end is near.
fn front(range: Range<usize>, within: impl Fn(usize) -> bool) -> usize {
    let (mut end, mut step) = (range.end, 1);
    let mut start = loop {
        if end == range.start {
            return end;
        }
        let probe = end.saturating_sub(step).max(range.start);
        if within(probe) {
            break probe + 1;
        }
        (end, step) = (probe, step * 2);
    };
    while start < end {
        let middle = start + (end - start) / 2;
        if within(middle) { start = middle + 1 } else { end = middle }
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_is_found_wherever_it_ends() {
        for len in 0..40 {
            for end in 0..=len {
                assert_eq!(front(7..7 + len, |at| at < 7 + end), 7 + end);
            }
        }
    }
}
