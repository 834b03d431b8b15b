//! Random histories: those that replicas write, and those that nobody should.

use proptest::prelude::*;
use proptest::sample::Index;
use synckit_core::{Data, Dot, Event, EventId, NewEvent, NodeId, Timestamp, VectorClock};
use synckit_plan::{Answer, Conflict, Decision, Kept, RESOLUTION_TYPE, Resolution, Side};

const NODES: [&str; 4] = ["a", "b", "c", "d"];

fn node(at: usize) -> NodeId {
    NodeId::new(NODES[at]).expect("a short name")
}

fn new_event(event_type: &str) -> NewEvent {
    NewEvent::with_data(event_type, "x", Data::json("1").expect("JSON")).expect("a good event")
}

/// Creates an event with this content and stamp.
fn stamped(new: NewEvent, id: String, dot: Option<Dot>, clock: VectorClock, time: Timestamp) -> Event {
    new.stamped(EventId::new(id).expect("a short id"), dot, clock, time)
}

/// One step of a history that replicas write.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A node writes on top of its last event and of some others.
    Write { node: usize, seen: Vec<Index> },
    /// Somebody who knows all events, or some and what they had seen, settles the conflict there.
    Settle { known: Vec<Index>, answer: usize, name: usize },
    /// A person decides a settled conflict again.
    Again { resolution: Index, answer: usize },
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let some = |most| prop::collection::vec(any::<Index>(), 0..most);
    let step = prop_oneof![
        5 => (0..NODES.len(), some(3)).prop_map(|(node, seen)| Step::Write { node, seen }),
        4 => (some(5), 0_usize..8, 0_usize..3)
            .prop_map(|(known, answer, name)| Step::Settle { known, answer, name }),
        1 => (any::<Index>(), 0_usize..8).prop_map(|(resolution, answer)| Step::Again { resolution, answer }),
    ];
    prop::collection::vec(step, 1..40)
}

fn answer(number: usize, conflict: &Conflict) -> Answer {
    match number {
        0 => Answer::Merge(new_event("Merged")),
        1 | 2 => Answer::KeepAll,
        more => Answer::Keep(conflict.branches[more % conflict.branches.len()].stands_for.id.clone()),
    }
}

/// Writes the history.
pub(crate) fn written(steps: &[Step]) -> Vec<Event> {
    let mut log: Vec<Event> = Vec::new();
    for step in steps {
        let next = match step {
            Step::Write { node: at, seen } => Some(write(&log, *at, seen)),
            Step::Settle { known, answer: number, name } => {
                let mut events = log.clone();
                if !known.is_empty() && !log.is_empty() {
                    let tops: Vec<&Event> = known.iter().map(|index| index.get(&log)).collect();
                    events.retain(|event| tops.iter().any(|top| top.id == event.id || top.has_seen(event)));
                }
                let conflict = Conflict::in_history(events).expect("readable");
                conflict.and_then(|conflict| {
                    conflict.settle(answer(*number, &conflict), &format!("resolver {name}")).ok().flatten()
                })
            }
            Step::Again { resolution, answer: number } => {
                let settled: Vec<&Event> = log.iter().filter(|event| event.is_resolution()).collect();
                let before = (!settled.is_empty()).then(|| *resolution.get(&settled));
                let conflict = before.and_then(|one| Conflict::decided_by(one, &log).expect("readable"));
                conflict.and_then(|conflict| {
                    conflict.override_with(answer(*number, &conflict), "ann").ok().flatten()
                })
            }
        };
        log.extend(next.filter(|next| log.iter().all(|event| event.id != next.id)));
    }
    log
}

fn write(log: &[Event], at: usize, seen: &[Index]) -> Event {
    let node = node(at);
    let own: Vec<&Event> = log.iter().filter(|event| event.author() == Some(&node)).collect();
    let others = seen.iter().filter_map(|one| log.get(one.index(log.len().max(1))));
    let below: Vec<&Event> = own.last().copied().into_iter().chain(others).collect();
    let mut clock = VectorClock::new();
    below.iter().for_each(|event| clock.merge(&event.clock).expect("few nodes"));
    let dot = Dot::new(node.clone(), own.len() as u64 + 1);
    clock.observe(&dot).expect("few nodes");
    let time = Timestamp::after(1_000, below.iter().map(|event| event.time));
    stamped(new_event("T"), dot.to_string(), Some(dot), clock, time)
}

fn any_clock() -> impl Strategy<Value = VectorClock> {
    prop::collection::vec(0_u64..5, NODES.len()).prop_map(|counters| {
        let entries = counters.into_iter().enumerate().map(|(at, counter)| (node(at), counter));
        VectorClock::from_entries(entries).expect("few nodes")
    })
}

fn any_dot() -> impl Strategy<Value = Dot> {
    (0..NODES.len(), 1_u64..5).prop_map(|(at, counter)| Dot::new(node(at), counter))
}

fn any_kept() -> impl Strategy<Value = Kept> {
    prop_oneof![
        2 => any_dot().prop_map(Kept::Side),
        1 => (any_dot(), any_clock().prop_filter("an empty clock is left out", |clock| !clock.is_empty()))
            .prop_map(|(dot, clock)| Kept::Seen(dot, clock)),
        2 => (0_usize..12, any_clock()).prop_map(|(number, clock)| {
            Kept::Resolution(EventId::new(format!("e{number:02}")).expect("a short id"), clock)
        }),
    ]
}

fn any_resolution() -> impl Strategy<Value = Resolution> {
    let side = (any_dot(), any_clock()).prop_map(|(dot, above)| Side { dot, above });
    let decision = prop_oneof![
        3 => any_kept().prop_map(Decision::Keep),
        2 => Just(Decision::KeepAll),
        1 => Just(Decision::Merge(new_event("Merged"))),
    ];
    (any_clock(), prop::collection::vec(side, 2..4), decision).prop_map(|(base, mut sides, decision)| {
        sides.sort_by(|left, right| left.dot.cmp(&right.dot));
        sides.dedup_by(|left, right| left.dot == right.dot);
        Resolution::new(base, sides, decision, "anybody")
    })
}

/// Generates events whose dots, clocks, times and decisions contradict each other: dots that name two events, times
/// that descend, resolutions that name others with wrong clocks.
pub(crate) fn nonsense() -> impl Strategy<Value = Vec<Event>> {
    let content = prop_oneof![
        any_dot().prop_map(|dot| (new_event("T"), Some(dot))),
        any_resolution().prop_map(|resolution| {
            let data = Data::of(&resolution).expect("JSON");
            (NewEvent::with_data(RESOLUTION_TYPE, "x", data).expect("a good event"), None)
        }),
    ];
    prop::collection::vec((content, any_clock(), 1_u64..6), 1..14).prop_map(|events| {
        let event = |(number, ((new, dot), clock, millis)): (usize, ((NewEvent, Option<Dot>), _, _))| {
            stamped(new, format!("e{number:02}"), dot, clock, Timestamp::from_millis(millis))
        };
        events.into_iter().enumerate().map(event).collect()
    })
}
