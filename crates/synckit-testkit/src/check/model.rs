//! The reference models of which events stand: plain, slow and written independently of the code they check.
//!
//! `standing` asks of events what they had seen. `standing_by_clocks` asks of clocks alone, as decisions write them down:
//! it also holds where a dot has named two events, or where what a decision names is not in the log.

use std::collections::{BTreeMap, BTreeSet};

use synckit_core::{Dot, Event, EventId, VectorClock};
use synckit_plan::{Decision, Kept, Resolution, Side};

/// Returns for each event whether it stands; of resolutions only those that merge.
pub(super) fn standing(log: &[Event]) -> BTreeMap<EventId, bool> {
    let log: Vec<&Event> = log.iter().collect();
    log.iter().filter(|event| shows(event)).map(|event| (event.id.clone(), live(&log, event))).collect()
}

/// Returns whether everything that decisions name is in the log.
pub(super) fn knows_all(log: &[Event]) -> bool {
    let sides = |resolution: Resolution| resolution.sides.iter().all(|side| holds(log, &side.dot));
    has_what_is_kept(log, &BTreeSet::new()) && log.iter().filter_map(decision).all(sides)
}

/// Returns whether everything that decisions keep is in the log, or was there under a dot that named two events.
pub(super) fn has_what_is_kept(log: &[Event], renamed: &BTreeSet<Dot>) -> bool {
    log.iter().filter_map(decision).all(|resolution| match &resolution.decision {
        Decision::Keep(Kept::Side(dot) | Kept::Seen(dot, _)) => holds(log, dot) || renamed.contains(dot),
        Decision::Keep(Kept::Resolution(id, _)) => log.iter().any(|event| event.id == *id),
        Decision::KeepAll | Decision::Merge(_) => true,
    })
}

fn holds(log: &[Event], dot: &Dot) -> bool {
    log.iter().any(|event| event.dot.as_ref() == Some(dot))
}

/// Returns whether a clock contains a dot of an event that is later: it can only have seen another event of that dot, which
/// is gone.
pub(super) fn contradicts(log: &[Event]) -> bool {
    let covers = |x: &Event, dot: &Dot| x.clock.counter(&dot.node) >= dot.counter;
    let later = |x: &Event, y: &Event| x.id != y.id && key(x) < key(y);
    log.iter().any(|x| log.iter().any(|y| y.dot.as_ref().is_some_and(|dot| covers(x, dot)) && later(x, y)))
}

fn decision(event: &Event) -> Option<Resolution> {
    event.dot.is_none().then(|| Resolution::read(event).expect("only well-formed resolutions are stored"))
}

fn shows(event: &Event) -> bool {
    decision(event).is_none_or(|resolution| matches!(resolution.decision, Decision::Merge(_)))
}

fn below(left: &Event, right: &Event) -> bool {
    left.clock.iter().all(|(node, counter)| right.clock.counter(node) >= counter)
}

pub(super) fn key(event: &Event) -> impl Ord + use<> {
    let sum: u128 = event.clock.iter().map(|(_, counter)| u128::from(counter)).sum();
    let dot = event.dot.as_ref().map(|dot| (dot.node.clone(), dot.counter));
    (event.time, sum, dot, event.id.clone())
}

pub(super) fn seen(x: &Event, y: &Event) -> bool {
    if x.id == y.id {
        return false;
    }
    match &y.dot {
        Some(dot) => x.clock.counter(&dot.node) >= dot.counter && key(x) > key(y),
        None => below(y, x) && (x.dot.is_some() && x.clock != y.clock || key(x) > key(y)),
    }
}

fn live(log: &[&Event], y: &Event) -> bool {
    let over = log.iter().filter(|r| r.dot.is_none() && seen(r, y)).max_by_key(|r| key(r));
    let Some(resolution) = over.and_then(|r| decision(r)) else { return true };
    let within = |kept: &Event| -> Vec<&Event> {
        log.iter().copied().filter(|e| e.id == kept.id || seen(kept, e)).collect()
    };
    let held = |is: &dyn Fn(&Event) -> bool| -> &Event {
        log.iter().copied().find(|e| is(e)).expect("what is kept is in the log")
    };
    let find = |dot: &Dot| held(&|e| e.dot.as_ref() == Some(dot));
    let inside = |kept: &Event| y.id == kept.id || seen(kept, y);
    match &resolution.decision {
        Decision::Keep(kept) => {
            let kept = match kept {
                Kept::Side(dot) | Kept::Seen(dot, _) => find(dot),
                Kept::Resolution(id, _) => held(&|e| e.dot.is_none() && e.id == *id),
            };
            inside(kept) && live(&within(kept), y)
        }
        Decision::KeepAll => {
            resolution.sides.iter().map(|s| find(&s.dot)).any(|side| inside(side) && live(&within(side), y))
        }
        Decision::Merge(_) => {
            let sides: Vec<&Event> = resolution.sides.iter().map(|s| find(&s.dot)).collect();
            let common: Vec<&Event> = log
                .iter()
                .copied()
                .filter(|e| sides.iter().all(|side| e.id == side.id || seen(side, e)))
                .collect();
            sides.iter().all(|side| inside(side)) && live(&common, y)
        }
    }
}

/// Returns for each event whether it stands, by what clocks say; of resolutions only those that merge.
pub(super) fn standing_by_clocks(log: &[Event]) -> BTreeMap<EventId, bool> {
    let decisions: Vec<_> = log.iter().filter_map(|event| Some((event, decision(event)?))).collect();
    let everything = Part::Everything;
    let shown = log.iter().filter(|event| shows(event));
    shown.map(|event| (event.id.clone(), stands(&decisions, &everything, event, None))).collect()
}

/// A part of a history.
enum Part<'a> {
    Everything,
    /// What a side had seen, and the side.
    Side(&'a Side, &'a VectorClock),
    /// What a clock covers, and the resolution that has it.
    Clock(&'a VectorClock, Option<&'a Event>),
}

impl Part<'_> {
    fn has(&self, event: &Event) -> bool {
        match (self, &event.dot) {
            (Part::Everything, _) => true,
            (Part::Side(side, base), Some(dot)) => side_counts(side, base, dot) >= dot.counter,
            (Part::Side(side, base), None) => event
                .clock
                .iter()
                .all(|(node, counter)| side_counts(side, base, &Dot::new(node.clone(), counter)) >= counter),
            (Part::Clock(clock, _), Some(dot)) => clock.counter(&dot.node) >= dot.counter,
            (Part::Clock(_, Some(own)), None) if own.id == event.id => true,
            (Part::Clock(clock, Some(own)), None) if **clock == event.clock => seen(own, event),
            (Part::Clock(clock, _), None) => {
                event.clock.iter().all(|(node, counter)| clock.counter(node) >= counter)
            }
        }
    }
}

fn side_counts(side: &Side, base: &VectorClock, dot: &Dot) -> u64 {
    let own = if side.dot.node == dot.node { side.dot.counter } else { 0 };
    [own, side.above.counter(&dot.node), base.counter(&dot.node)].into_iter().max().unwrap_or(0)
}

/// Returns whether an event stands in a part of the history, as decided by resolutions before this one.
fn stands(decisions: &[(&Event, Resolution)], part: &Part<'_>, y: &Event, before: Option<&Event>) -> bool {
    let over = decisions
        .iter()
        .filter(|(r, _)| before.is_none_or(|before| key(r) < key(before)) && part.has(r) && seen(r, y));
    let Some((last, resolution)) = over.max_by_key(|(r, _)| key(r)) else { return true };
    let base = &resolution.base;
    let kept: Vec<Part<'_>> = match &resolution.decision {
        Decision::Keep(Kept::Side(dot)) => resolution
            .sides
            .iter()
            .filter(|side| side.dot == *dot)
            .map(|side| Part::Side(side, base))
            .collect(),
        Decision::Keep(Kept::Seen(_, clock)) => vec![Part::Clock(clock, None)],
        Decision::Keep(Kept::Resolution(id, clock)) => {
            let named = decisions.iter().map(|(r, _)| *r).find(|r| r.id == *id);
            vec![Part::Clock(clock, named)]
        }
        Decision::KeepAll => resolution.sides.iter().map(|side| Part::Side(side, base)).collect(),
        Decision::Merge(_) => vec![Part::Clock(base, None)],
    };
    kept.iter().any(|part| part.has(y) && stands(decisions, part, y, Some(last)))
}
