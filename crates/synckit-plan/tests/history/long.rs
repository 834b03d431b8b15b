//! Long histories, in which one half of the events are resolutions.

use std::time::Instant;

use synckit_core::{AggregateId, Data, Dot, Event, EventId, NewEvent, NodeId, Timestamp, VectorClock};
use synckit_plan::{Decision, History, Kept, Resolution, Side, Standing};

use crate::model;

/// Creates a row of edits, each concurrent with the last resolution, and on top of the one before. Each is settled at
/// once.
fn row(edits: usize, decide: impl Fn(usize, Dot) -> Decision) -> Vec<Event> {
    let nodes = ["a", "b"].map(|name| NodeId::new(name).expect("a short name"));
    let aggregate = AggregateId::new("x").expect("a short id");
    let (mut log, mut tops): (Vec<Event>, Vec<VectorClock>) = (Vec::new(), Vec::new());
    let mut last: Option<(Dot, VectorClock)> = None;
    for number in 0..edits {
        let dot = Dot::new(nodes[number % 2].clone(), number as u64 / 2 + 1);
        let mut clock = match number.checked_sub(3) {
            Some(before) => tops[before].clone(),
            None => VectorClock::new(),
        };
        clock.observe(&dot).expect("few nodes");
        let time = Timestamp::from_millis(number as u64 * 2);
        let new = NewEvent::with_data("T", "x", Data::json("1").expect("JSON")).expect("a good event");
        let id = EventId::new(dot.to_string()).expect("a short id");
        log.push(new.stamped(id, Some(dot.clone()), clock.clone(), time));
        if let Some((other, seen)) = last.replace((dot.clone(), clock.clone())) {
            let base = seen.meet(&clock);
            let side = |dot: &Dot, clock: &VectorClock| {
                let above = clock.iter().filter(|(node, n)| **node != dot.node && *n > base.counter(node));
                let above = above.map(|(node, n)| (node.clone(), n));
                Side { dot: dot.clone(), above: VectorClock::from_entries(above).expect("few nodes") }
            };
            let mut sides = vec![side(&other, &seen), side(&dot, &clock)];
            sides.sort_by(|left, right| left.dot.cmp(&right.dot));
            let resolution = Resolution::new(base, sides, decide(number, dot), "test");
            let resolution = resolution.into_event(aggregate.clone(), time.next()).expect("few nodes");
            tops.push(resolution.clock.clone());
            log.push(resolution);
        }
    }
    log
}

fn mixed(number: usize, dot: Dot) -> Decision {
    match number % 7 {
        0 => Decision::Merge(NewEvent::new("T", "x", &number).expect("a good event")),
        1..4 => Decision::KeepAll,
        _ => Decision::Keep(Kept::Side(dot)),
    }
}

#[test]
fn a_short_row_is_as_the_rule_says() {
    for log in [row(60, |_, _| Decision::KeepAll), row(60, mixed)] {
        let history = History::of(log.clone()).expect("readable");
        let entries = history.entries().iter().map(|entry| (entry.event.clone(), entry.standing.clone()));
        assert_eq!(entries.collect::<Vec<_>>(), model::history(log));
    }
}

/// Prints what 100,000 events cost, half of them resolutions. The time is not asserted, but a search that is not done
/// for all events at once does not end.
#[test]
fn a_hundred_thousand_events_are_searched_at_once() {
    for (name, log) in
        [("keep all", row(50_000, |_, _| Decision::KeepAll)), ("all kinds", row(50_000, mixed))]
    {
        let started = Instant::now();
        let history = History::of(log).expect("readable");
        println!("{name}: {} events in {:?}", history.entries().len(), started.elapsed());
        let decided = history.entries().iter().filter(|entry| entry.standing == Standing::Resolution).count();
        assert!(decided > 40_000 && history.live().count() > 0);
        if name == "keep all" {
            assert_eq!(history.live().count(), 50_000);
        }
    }
}
