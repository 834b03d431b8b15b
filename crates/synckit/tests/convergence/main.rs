//! P3 over random histories: whatever the order, repetition and grouping of deliveries, and whoever decides what, all
//! replicas reach the same view in a bounded number of rounds, with no more resolutions than conflicts were found. A view
//! that is kept in a store shows the events that stand after every commit.
//!
//! A failure is minimised, and is replayed from then on: see `proptest-regressions`.

mod replica;
mod views;

use std::cell::Cell;

use proptest::prelude::*;
use synckit::{
    AggregateId, Conflict, Data, FieldMerge, FirstWriteWins, KeepAll, LastWriteWins, ManualReview, NewEvent,
    NodeId, RuleResolver, Rules,
    conflict::{Answer, Clash, Closure, Condition, Relation, Rule, SharedResolver},
};

use replica::Replica;

/// Rounds of exchanging everything until nothing changes: one to exchange, one to settle, and two for those who decide
/// differently.
const ROUNDS: usize = 4;

const NAMES: [&str; 6] = ["A", "B", "C", "D", "E", "F"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    LastWrite,
    FirstWrite,
    KeepAll,
    FieldMerge,
    Rules,
    Review,
    /// Each replica prefers its own side: not symmetric.
    OwnSide,
    /// Each replica merges into different content: not symmetric.
    OwnMerge,
    /// Not even the same twice.
    Random,
    /// Each replica has a different one of these.
    Mixed,
}

impl Who {
    const ALL: [Who; 10] = [
        Who::LastWrite,
        Who::FirstWrite,
        Who::KeepAll,
        Who::FieldMerge,
        Who::Rules,
        Who::Review,
        Who::OwnSide,
        Who::OwnMerge,
        Who::Random,
        Who::Mixed,
    ];

    fn resolver(self, index: usize) -> SharedResolver {
        let node = NodeId::new(NAMES[index]).expect("a short name");
        match self {
            Who::LastWrite => SharedResolver::new(LastWriteWins),
            Who::FirstWrite => SharedResolver::new(FirstWriteWins),
            Who::KeepAll => SharedResolver::new(KeepAll),
            Who::FieldMerge => SharedResolver::new(FieldMerge::new().with_clash(Clash::Largest)),
            Who::Rules => SharedResolver::new(rules()),
            Who::Review => SharedResolver::new(ManualReview),
            Who::OwnSide => SharedResolver::new(Closure::new("own", move |conflict: &Conflict| {
                let own = |branch: &&synckit::conflict::Branch| {
                    branch.stands_for.dot.as_ref().is_some_and(|dot| dot.node == node)
                };
                let branch = conflict.branches.iter().find(own).unwrap_or(&conflict.branches[0]);
                Ok(Answer::Keep(branch.stands_for.id.clone()))
            })),
            Who::OwnMerge => SharedResolver::new(Closure::new("mine", move |conflict: &Conflict| {
                NewEvent::new("Set", &conflict.aggregate_id, node.as_str()).map(Answer::Merge)
            })),
            Who::Random => {
                let state = std::sync::atomic::AtomicUsize::new(index + 1);
                SharedResolver::new(Closure::new("random", move |conflict: &Conflict| {
                    let number = state.fetch_add(7, std::sync::atomic::Ordering::Relaxed) % 5;
                    Ok(match conflict.branches.get(number) {
                        Some(branch) => Answer::Keep(branch.stands_for.id.clone()),
                        None => Answer::KeepAll,
                    })
                }))
            }
            Who::Mixed => Who::ALL[(index * 3) % 9].resolver(index),
        }
    }
}

fn rules() -> RuleResolver {
    let field = |name: &str| name.parse().expect("a name");
    let rules = Rules::new(LastWriteWins)
        .with_rule(Rule::new("many", Condition::Relation(Relation::ManySides), FirstWriteWins))
        .with_rule(Rule::new("apart", Condition::Relation(Relation::CreatedApart), KeepAll))
        .with_rule(Rule::group(
            "x",
            Condition::FieldChanged(field("x")),
            [
                Rule::new("both", Condition::FieldClashes(field("x")), FirstWriteWins),
                Rule::new("else", Condition::Always, FieldMerge::new().with_otherwise(KeepAll)),
            ],
        ));
    RuleResolver::new(rules).expect("good rules")
}

#[derive(Clone, Debug)]
enum Step {
    Record { at: usize, aggregate: usize, field: usize, value: u8, skew: u64 },
    Deliver { from: usize, to: usize, keep: u64, turn: prop::sample::Index, twice: bool },
    Settle { at: usize },
    Decide { at: usize, aggregate: usize, choice: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let replica = 0..NAMES.len();
    prop_oneof![
        5 => (replica.clone(), 0..20_usize, 0..3_usize, 0..4_u8, 0..5_000_u64)
            .prop_map(|(at, aggregate, field, value, skew)| Step::Record { at, aggregate, field, value, skew }),
        5 => (replica.clone(), replica.clone(), any::<u64>(), any::<prop::sample::Index>(), any::<bool>())
            .prop_map(|(from, to, keep, turn, twice)| Step::Deliver { from, to, keep, turn, twice }),
        2 => replica.clone().prop_map(|at| Step::Settle { at }),
        1 => (replica, 0..20_usize, 0..4_usize)
            .prop_map(|(at, aggregate, choice)| Step::Decide { at, aggregate, choice }),
    ]
}

fn aggregate(number: usize, of: usize) -> AggregateId {
    AggregateId::new(format!("x{}", number % of)).expect("a short id")
}

/// Creates an edit: a form of three fields, as the replica sees it, with one of them set.
fn edited(replica: &Replica, aggregate: &AggregateId, field: usize, value: u8) -> NewEvent {
    let events = replica.events_of(aggregate);
    let latest = events.iter().filter(|event| !event.is_resolution()).max_by(|x, y| x.canonical_cmp(y));
    let mut form: std::collections::BTreeMap<String, u8> =
        latest.and_then(|event| event.data_as().ok()).unwrap_or_default();
    form.insert(["x", "y", "z"][field].to_owned(), value);
    NewEvent::with_data("Set", aggregate, Data::of(&form).expect("JSON")).expect("a good event")
}

/// Returns part of a log, in another order, with possible duplicates.
fn delivery(
    log: &[synckit::Event],
    keep: u64,
    turn: prop::sample::Index,
    twice: bool,
) -> Vec<synckit::Event> {
    let kept = log.iter().enumerate().filter(|(at, _)| keep.rotate_right(*at as u32) & 3 != 0);
    let mut events: Vec<_> = kept.map(|(_, event)| event.clone()).collect();
    if !events.is_empty() {
        let by = turn.index(events.len());
        events.rotate_left(by);
        if by % 2 == 1 {
            events.reverse();
        }
    }
    if twice {
        events.extend(events.clone());
    }
    events
}

fn run(who: Who, replicas: usize, aggregates: usize, steps: &[Step]) {
    let mut world: Vec<Replica> = NAMES[..replicas].iter().map(|name| Replica::new(name)).collect();
    let resolvers: Vec<SharedResolver> = (0..replicas).map(|index| who.resolver(index)).collect();
    let decided = Cell::new(0);
    for step in steps {
        match step {
            Step::Record { at, aggregate: number, field, value, skew } => {
                let replica = &mut world[at % replicas];
                let aggregate = aggregate(*number, aggregates);
                let event = edited(replica, &aggregate, *field, *value);
                replica.record(event, *skew);
            }
            Step::Deliver { from, to, keep, turn, twice } => {
                let events = delivery(&world[from % replicas].log, *keep, *turn, *twice);
                world[to % replicas].receive(events);
            }
            Step::Settle { at } => world[at % replicas].settle(&resolvers[at % replicas]),
            Step::Decide { at, aggregate: number, choice } => {
                decided.set(decided.get() + 1);
                world[at % replicas].decide(&aggregate(*number, aggregates), *choice);
            }
        }
    }
    let mut rounds = 0;
    loop {
        rounds += 1;
        let before: Vec<usize> = world.iter().map(|replica| replica.log.len()).collect();
        let mut logs: Vec<_> = world.iter().map(|replica| replica.log.clone()).collect();
        for replica in &mut world {
            replica.receive(logs.concat());
            logs.rotate_left(1);
        }
        for (index, replica) in world.iter_mut().enumerate() {
            replica.settle(&resolvers[index]);
            // People on all replicas settle what is left, each differently, at the same time.
            for aggregate in replica.in_conflict() {
                decided.set(decided.get() + 1);
                replica.decide(&aggregate, index);
            }
        }
        if world.iter().map(|replica| replica.log.len()).eq(before) {
            break;
        }
        assert!(rounds < ROUNDS, "no quiescence after {ROUNDS} rounds");
    }
    let views: Vec<_> = world.iter().map(Replica::view).collect();
    for (replica, view) in world.iter().zip(&views) {
        assert_eq!(view, &views[0], "{} sees another view", replica.node);
        assert_eq!(replica.in_conflict(), [], "nothing is left in conflict");
    }
    let choices = steps.iter().fold(steps.len() as u64, |choices, step| match step {
        Step::Deliver { keep, .. } => choices.rotate_left(5) ^ keep,
        _ => choices.rotate_left(3),
    });
    views::show_what_stands(&world[choices as usize % replicas].log, choices);
    let (found, derived) = world
        .iter()
        .fold((0, 0), |(found, derived), replica| (found + replica.found, derived + replica.derived));
    assert!(derived <= found + decided.get(), "{derived} resolutions for {found} conflicts");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn replicas_agree_whatever_comes_when_and_whoever_decides(
        who in prop::sample::select(&Who::ALL[..]),
        replicas in 2..=NAMES.len(),
        aggregates in prop_oneof![3 => 1..=2_usize, 1 => 1..=20_usize],
        steps in prop::collection::vec(step(), 1..40),
    ) {
        run(who, replicas, aggregates, &steps);
    }
}
