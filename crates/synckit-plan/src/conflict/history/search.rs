//! Follows all events through the decisions at once.
//!
//! An event is decided by the last resolution that covers it, then by the last one in the past of what that one keeps,
//! and so on. It stands where it arrives at a place in which no resolution covers it, and is superseded where it is in
//! nothing that is kept. Since the way leads to ever earlier resolutions, one pass over them, the last first, moves all
//! events. They move as intervals of [`Chains`]: most often one for each chain, however long.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use synckit_core::{Event, EventId, Result};

use crate::conflict::history::Standing;
use crate::conflict::history::chains::{Chains, Interval};
use crate::conflict::history::place::Place;
use crate::conflict::resolution::{Decision, Kept, Resolution};

/// Returns the standing of each of these events, which are in canonical order.
pub(super) fn standings(events: &[Event]) -> Result<Vec<Standing>> {
    let mut decisions = BTreeMap::new();
    for (index, event) in events.iter().enumerate().filter(|(_, event)| event.is_resolution()) {
        decisions.insert(index, Resolution::read(event)?);
    }
    if decisions.is_empty() {
        return Ok(vec![Standing::Live; events.len()]);
    }
    let mut search = Search::of(events);
    search.arrive(&Place::Everything, search.chains.all().collect());
    for (index, resolution) in decisions.iter().rev() {
        search.decide(*index, resolution);
    }
    let mut standings = vec![Standing::Live; events.len()];
    for (index, standing) in standings.iter_mut().enumerate() {
        let column = search.chains.column(index);
        if decisions.get(&index).is_some_and(|own| !matches!(own.decision, Decision::Merge(_))) {
            *standing = Standing::Resolution;
        } else if search.live.at(column).is_none()
            && let Some(by) = search.lost.at(column)
        {
            *standing = Standing::Superseded { by: events[*by].id.clone() };
        }
    }
    Ok(standings)
}

struct Search<'a> {
    chains: Chains<'a>,
    /// The indexes of the resolutions, by id.
    by_id: HashMap<&'a EventId, usize>,
    /// The chains of resolutions, as far as they have not been passed.
    ahead: Vec<Interval>,
    /// For each resolution, by index, the events that it decides.
    arrived: Vec<Vec<Interval>>,
    /// The events that stand.
    live: Painted<()>,
    /// The events that are in nothing that a resolution keeps, and the index of the last such resolution.
    lost: Painted<usize>,
}

impl<'a> Search<'a> {
    fn of(events: &'a [Event]) -> Self {
        let chains = Chains::of(events);
        let resolutions = events.iter().enumerate().filter(|(_, event)| event.is_resolution());
        Search {
            by_id: resolutions.map(|(index, event)| (&event.id, index)).collect(),
            ahead: chains.of_resolutions().collect(),
            arrived: vec![Vec::new(); events.len()],
            live: Painted::new(events.len()),
            lost: Painted::new(events.len()),
            chains,
        }
    }

    /// Hands events within a place to the last resolution there that covers them. Those that none covers stand.
    fn arrive(&mut self, place: &Place<'_>, mut events: Vec<Interval>) {
        if events.is_empty() {
            return;
        }
        // The last one of each chain has seen what any other of the chain has.
        let mut last: Vec<usize> = Vec::new();
        for chain in &self.ahead {
            let end = self.chains.end(chain, place);
            if end > chain.start {
                last.push(self.chains.index(end - 1));
            }
        }
        last.extend(place.beyond().filter(|index| self.is_ahead(*index)));
        last.sort_unstable();
        for index in last.into_iter().rev() {
            if events.is_empty() {
                return;
            }
            let past = Place::Past(&self.chains.events[index], index);
            events.retain_mut(|interval| {
                let end = self.chains.end(interval, &past);
                if end > interval.start {
                    self.arrived[index].push(Interval { end, ..interval.clone() });
                }
                interval.start = end;
                interval.start < interval.end
            });
        }
        for Interval { start, end, .. } in events {
            self.live.paint(start..end, ());
        }
    }

    /// Hands the events that a resolution decides to what it keeps.
    fn decide(&mut self, index: usize, resolution: &Resolution) {
        self.pass(index);
        let events = joined(std::mem::take(&mut self.arrived[index]));
        if events.is_empty() {
            return;
        }
        let places = self.kept(resolution);
        let mut within = vec![Vec::new(); places.len()];
        for interval in events {
            let Interval { chain, start, end } = interval;
            let mut reached = start;
            let mut beyond = None;
            for (place, within) in places.iter().zip(&mut within) {
                let upto = self.chains.end(&interval, place);
                within.extend((upto > start).then_some(Interval { chain, start, end: upto }));
                reached = reached.max(upto);
                let named = place.beyond().map(|named| self.chains.column(named));
                if let Some(named) = named.filter(|named| (upto..end).contains(named)) {
                    within.push(Interval { chain, start: named, end: named + 1 });
                    beyond = Some(named);
                }
            }
            if let Some(named) = beyond {
                self.lost.paint(reached..named, index);
                reached = named + 1;
            }
            self.lost.paint(reached..end, index);
        }
        for (place, within) in places.iter().zip(within) {
            self.arrive(place, within);
        }
    }

    /// Leaves a resolution behind: what it keeps is decided by earlier ones.
    fn pass(&mut self, index: usize) {
        let (chain, column) = self.place_of(index);
        self.ahead[chain].end = column;
    }

    fn is_ahead(&self, index: usize) -> bool {
        let (chain, column) = self.place_of(index);
        column < self.ahead[chain].end
    }

    /// Returns which chain of `ahead` a resolution belongs to, and its column.
    fn place_of(&self, index: usize) -> (usize, usize) {
        let column = self.chains.column(index);
        (self.ahead.partition_point(|chain| chain.start <= column) - 1, column)
    }

    /// Returns the places whose events stand or not as they did there.
    fn kept<'r>(&self, resolution: &'r Resolution) -> Vec<Place<'r>>
    where
        'a: 'r,
    {
        let Resolution { base, sides, decision, .. } = resolution;
        match decision {
            Decision::Keep(Kept::Side(dot)) => {
                resolution.side(dot).map(|side| Place::Side(side, base)).into_iter().collect()
            }
            Decision::Keep(Kept::Seen(_, clock)) => vec![Place::Clock(clock)],
            Decision::Keep(Kept::Resolution(id, clock)) => {
                let named = self.by_id.get(id).map(|index| (*index, &self.chains.events[*index]));
                vec![Place::Resolution(id, clock, named)]
            }
            Decision::KeepAll => sides.iter().map(|side| Place::Side(side, base)).collect(),
            Decision::Merge(_) => vec![Place::Clock(base)],
        }
    }
}

/// Joins intervals that overlap or touch.
fn joined(mut intervals: Vec<Interval>) -> Vec<Interval> {
    intervals.sort_unstable();
    intervals.dedup_by(|next, before| {
        let touch = next.chain == before.chain && next.start <= before.end;
        if touch {
            before.end = before.end.max(next.end);
        }
        touch
    });
    intervals
}

/// Columns that keep the first value they get. The time does not depend on how often ranges overlap: a disjoint-set
/// forest leads to the next column without a value.
struct Painted<T> {
    values: Vec<Option<T>>,
    next: Vec<usize>,
}

impl<T: Copy> Painted<T> {
    fn new(columns: usize) -> Self {
        Painted { values: vec![None; columns], next: (0..=columns).collect() }
    }

    fn at(&self, column: usize) -> Option<&T> {
        self.values[column].as_ref()
    }

    fn paint(&mut self, range: Range<usize>, value: T) {
        let mut column = self.free(range.start);
        while column < range.end {
            self.values[column] = Some(value);
            self.next[column] = column + 1;
            column = self.free(column + 1);
        }
    }

    /// Returns the first column without a value at or after this one.
    fn free(&mut self, mut column: usize) -> usize {
        while self.next[column] != column {
            self.next[column] = self.next[self.next[column]];
            column = self.next[column];
        }
        column
    }
}
