//! Which events stand: written out for each decision, and over random histories in any order of arrival.

use std::sync::Arc;

use proptest::prelude::*;
use synckit_core::{Data, Dot, Event, EventId, NewEvent, NodeId, Timestamp, VectorClock};
use synckit_plan::{Answer, Conflict, Heads, History, Standing};

/// Creates an event of a node on top of others, in the only aggregate of these tests.
fn on_top_of(node: &str, counter: u64, seen: &[&Event]) -> Event {
    let node = NodeId::new(node).expect("a short name");
    let mut clock = VectorClock::new();
    seen.iter().for_each(|event| clock.merge(&event.clock).expect("few nodes"));
    let dot = Dot::new(node, counter);
    clock.observe(&dot).expect("few nodes");
    let new = NewEvent::with_data("T", "x", Data::json("1").expect("JSON")).expect("a good event");
    Event {
        id: EventId::new(dot.to_string()).expect("a short id"),
        event_type: new.event_type,
        aggregate_id: new.aggregate_id,
        data: new.data,
        metadata: new.metadata,
        time: Timestamp::after(1_000, seen.iter().map(|event| event.time)),
        dot: Some(dot),
        clock,
    }
}

fn settled(log: &[Event], answer: impl Fn(&Conflict) -> Answer) -> Event {
    let conflict = Conflict::in_history(log.to_vec()).expect("readable").expect("there is a conflict");
    conflict.settle(answer(&conflict), "test").expect("a good answer").expect("a decision")
}

fn live(log: &[Event]) -> Vec<String> {
    let history = History::of(log.to_vec()).expect("readable");
    history.live().map(|event| event.id.to_string()).collect()
}

/// Two copies of a store have authored under one name. An event of one copy counts as having seen an event of the other
/// under a lower counter, but not what that one had seen.
#[test]
fn heads_are_the_same_in_any_order_where_a_copy_has_authored_too() {
    let cause = on_top_of("a", 1, &[]);
    let of_one_copy = on_top_of("x", 9, &[&cause]);
    let mut of_the_other = on_top_of("x", 12, &[]);
    of_the_other.time = Timestamp::after(1_000, [of_one_copy.time]);
    assert!(of_the_other.has_seen(&of_one_copy) && !of_the_other.has_seen(&cause));
    for at in 0..3 {
        let mut log = vec![&cause, &of_one_copy];
        log.insert(at, &of_the_other);
        let mut heads = Heads::default();
        log.iter().for_each(|event| heads.add(event));
        let ids: Vec<&str> = heads.iter().map(|head| head.id.as_str()).collect();
        assert_eq!(ids, ["x:12"], "it came at place {at}");
        let log: Vec<Event> = log.into_iter().cloned().collect();
        assert!(Conflict::in_history(log).expect("readable").is_none());
    }
}

#[test]
fn a_kept_branch_stands_with_what_it_had_seen() {
    let base = on_top_of("a", 1, &[]);
    let left = on_top_of("a", 2, &[&base]);
    let (right, top) =
        (on_top_of("b", 1, &[&base]), on_top_of("b", 2, &[&base, &on_top_of("b", 1, &[&base])]));
    let mut log = vec![base, left, right, top.clone()];
    let conflict = Conflict::in_history(log.clone()).expect("readable").expect("there is a conflict");
    assert_eq!(conflict.base.len(), 1);
    assert_eq!(conflict.branches.iter().map(|branch| branch.events.len()).collect::<Vec<_>>(), [1, 2]);
    let resolution = settled(&log, |_| Answer::Keep(top.id.clone()));
    assert!(log.iter().all(|event| resolution.has_seen(event) && resolution.time > event.time));
    log.push(resolution.clone());
    assert_eq!(live(&log), ["a:1", "b:1", "b:2"]);
    let history = History::of(log.clone()).expect("readable");
    let lost =
        history.entries().iter().find(|entry| entry.event.id.as_str() == "a:2").expect("it stays in the log");
    assert_eq!(lost.standing, Standing::Superseded { by: resolution.id });
    assert!(Conflict::in_history(log.clone()).expect("readable").is_none());
}

#[test]
fn all_branches_can_stand_and_a_merge_takes_their_place() {
    let base = on_top_of("a", 1, &[]);
    let (left, right) = (on_top_of("a", 2, &[&base]), on_top_of("b", 1, &[&base]));
    let log = vec![base, left, right];
    let with = |resolution: Event| [log.clone(), vec![resolution]].concat();
    assert_eq!(live(&with(settled(&log, |_| Answer::KeepAll))), ["a:1", "a:2", "b:1"]);
    let merged =
        NewEvent::with_data("Merged", "x", Data::json("[1,2]").expect("JSON")).expect("a good event");
    let merge = settled(&log, |_| Answer::Merge(merged.clone()));
    assert_eq!(live(&with(merge.clone())), ["a:1", merge.id.as_str()]);
    let content = History::content(&merge).expect("readable");
    assert_eq!((content.id, content.data.as_json()), (merge.id, Some("[1,2]")));
}

#[test]
fn an_answer_that_no_branch_stands_for_is_an_error() {
    let log = [on_top_of("a", 1, &[]), on_top_of("b", 1, &[])];
    let conflict = Conflict::in_history(log.clone()).expect("readable").expect("there is a conflict");
    let stranger = EventId::new("stranger").expect("a short id");
    assert!(conflict.settle(Answer::Keep(stranger), "test").is_err());
    let elsewhere = NewEvent::with_data("T", "y", Data::json("1").expect("JSON")).expect("a good event");
    assert!(conflict.settle(Answer::Merge(elsewhere), "test").is_err());
    assert_eq!(conflict.settle(Answer::Review, "test").expect("no error"), None);
}

#[test]
fn replicas_that_decide_alike_write_the_same_event() {
    let (a, b, c) = (on_top_of("a", 1, &[]), on_top_of("b", 1, &[]), on_top_of("c", 1, &[]));
    let keep_last = |conflict: &Conflict| {
        let last =
            conflict.branches.iter().map(|branch| &branch.stands_for).max_by(|x, y| x.canonical_cmp(y));
        Answer::Keep(last.expect("a branch").id.clone())
    };
    let at_once = settled(&[c.clone(), a.clone(), b.clone()], keep_last);
    let first = settled(&[a.clone(), b.clone()], keep_last);
    let step_by_step = settled(&[first, a, b, c], keep_last);
    assert_eq!(at_once, step_by_step);
}

/// Creates `count` conflicts in a row, each on top of the previous resolution.
fn in_a_row(count: usize, answer: impl Fn(usize, &Conflict) -> Answer) -> Vec<Event> {
    let mut log: Vec<Event> = Vec::new();
    let mut top: Vec<Event> = Vec::new();
    for number in 0..count {
        let counter = number as u64 + 1;
        let sides = ["a", "b"].map(|node| on_top_of(node, counter, &top.iter().collect::<Vec<_>>()));
        let conflict = Conflict::in_history([top.clone(), sides.to_vec()].concat()).expect("readable");
        let conflict = conflict.expect("two sides");
        let resolution =
            conflict.settle(answer(number, &conflict), "test").expect("good").expect("a decision");
        log.extend(sides);
        log.push(resolution.clone());
        top = vec![resolution];
    }
    log
}

#[test]
fn a_long_row_of_conflicts_needs_no_deep_stack() {
    let log = in_a_row(1_500, |_, conflict| Answer::Keep(conflict.branches[1].stands_for.id.clone()));
    let live = std::thread::Builder::new().stack_size(256 << 10).spawn(move || live(&log)).expect("a thread");
    let live = live.join().expect("the stack suffices");
    assert_eq!(live.len(), 1_500);
}

#[test]
fn the_ways_through_a_history_are_not_walked_one_by_one() {
    // The first conflict has a loser. All later ones keep both sides, and each doubles the number of paths to it.
    let log = in_a_row(60, |number, conflict| match number {
        0 => Answer::Keep(conflict.branches[0].stands_for.id.clone()),
        _ => Answer::KeepAll,
    });
    let live = live(&log);
    assert_eq!(live.len(), 119);
    assert!(!live.contains(&"b:1".to_owned()));
}

#[test]
fn a_superseded_event_names_the_decision_that_it_lost() {
    // All decisions but the first keep both sides, and so the standing that the event has in them.
    let log = in_a_row(5, |number, conflict| match number {
        0 => Answer::Keep(conflict.branches[0].stands_for.id.clone()),
        _ => Answer::KeepAll,
    });
    let history = History::of(log.clone()).expect("readable");
    let lost = history.entries().iter().find(|entry| entry.event.id.as_str() == "b:1").expect("it is held");
    assert_eq!(lost.standing, Standing::Superseded { by: log[2].id.clone() });
}

#[test]
fn what_a_side_shows_follows_earlier_decisions() {
    let base = on_top_of("a", 1, &[]);
    let (left, right) = (on_top_of("a", 2, &[&base]), on_top_of("b", 1, &[&base]));
    let log = vec![base.clone(), left.clone(), right.clone()];
    let third = on_top_of("c", 1, &[&base]);
    let shown = |answer: Answer| {
        let resolution = settled(&log, |_| answer.clone());
        let conflict = Conflict::in_history([log.clone(), vec![resolution, third.clone()]].concat());
        let conflict = conflict.expect("readable").expect("the third has not seen the resolution");
        assert!(conflict.whole && conflict.base == [Arc::new(base.clone())]);
        let branch =
            conflict.branches.iter().find(|branch| branch.head.is_resolution()).expect("it is on top");
        branch
            .shows
            .iter()
            .map(|event| event.data.as_json().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(shown(Answer::Keep(left.id.clone())).len(), 1);
    assert_eq!(shown(Answer::KeepAll).len(), 2);
    let merged =
        NewEvent::with_data("Merged", "x", Data::json("[1,2]").expect("JSON")).expect("a good event");
    assert_eq!(shown(Answer::Merge(merged)), ["[1,2]"]);
    // Without the kept event, nothing can be shown.
    let resolution = settled(&log, |_| Answer::Keep(left.id.clone()));
    let partial = Conflict::in_history([base.clone(), right, resolution, third.clone()]);
    let partial = partial.expect("readable").expect("a conflict");
    assert!(!partial.whole && partial.branches.iter().any(|branch| branch.shows.is_empty()));
    // Nor is the conflict whole without what the sides share.
    let without_base = Conflict::in_history([left, third]).expect("readable").expect("a conflict");
    assert!(!without_base.whole && without_base.base.is_empty());
}

#[test]
fn a_person_is_later_than_resolvers_and_than_the_person_before() {
    let log = vec![on_top_of("a", 1, &[]), on_top_of("b", 1, &[])];
    let open = Conflict::in_history(log.clone()).expect("readable").expect("there is a conflict");
    let keep = |side: usize| Answer::Keep(open.branches[side].stands_for.id.clone());
    // This must hold whatever the hashes are, so each side gets a hundred names.
    for name in 0..100 {
        let resolved = open.settle(keep(0), &format!("resolver {name}")).expect("good").expect("a decision");
        let person =
            open.override_with(keep(1), &format!("person {name}")).expect("good").expect("a decision");
        assert!(person.has_seen(&resolved) && !resolved.has_seen(&person));
        let with = [log.clone(), vec![person.clone(), resolved]].concat();
        assert_eq!(live(&with), [open.branches[1].stands_for.id.as_str()]);
        let again = Conflict::decided_by(&person, &with).expect("readable").expect("both sides are held");
        assert_eq!((&again.branches, again.settled_by.is_some()), (&open.branches, true));
        let later = again.override_with(keep(0), "another").expect("good").expect("a decision");
        assert!(later.has_seen(&person) && (later.time, &later.clock) == (person.time, &person.clock));
    }
}

#[test]
fn a_person_decides_on_top_also_where_the_log_lacks_a_side() {
    let base = on_top_of("a", 1, &[]);
    let (left, right) = (on_top_of("a", 2, &[&base]), on_top_of("b", 1, &[]));
    let before = settled(&[base.clone(), left, right.clone()], |_| Answer::KeepAll);
    // A filter left one side out, and a resolution of what it had seen takes its place.
    let log = [base, right.clone(), before.clone()];
    let conflict = Conflict::decided_by(&before, &log).expect("readable").expect("two sides are held");
    let again = conflict.override_with(Answer::Keep(right.id), "ann").expect("a good answer");
    let again = again.expect("a decision");
    assert!(again.has_seen(&before) && !before.has_seen(&again));
    let mut heads = Heads::default();
    log.iter().chain([&again]).for_each(|event| heads.add(event));
    assert_eq!(heads.iter().map(|head| &head.id).collect::<Vec<_>>(), [&again.id]);
}

/// Generates random histories: who writes, and on top of which of the events so far.
fn histories() -> impl Strategy<Value = Vec<(usize, Vec<prop::sample::Index>)>> {
    prop::collection::vec((0_usize..4, prop::collection::vec(any::<prop::sample::Index>(), 0..3)), 1..12)
}

fn build(steps: &[(usize, Vec<prop::sample::Index>)]) -> Vec<Event> {
    let mut log: Vec<Event> = Vec::new();
    for (node, seen) in steps {
        let name = ["a", "b", "c", "d"][*node];
        let own = log
            .iter()
            .filter(|event| event.dot.as_ref().is_some_and(|dot| dot.node.as_str() == name))
            .count();
        let mut below: Vec<Event> = Vec::new();
        if !log.is_empty() {
            below.extend(seen.iter().map(|index| index.get(&log).clone()));
        }
        below.extend(log.iter().rfind(|event| event.id.as_str().starts_with(name)).cloned());
        log.push(on_top_of(name, own as u64 + 1, &below.iter().collect::<Vec<_>>()));
        if seen.len() == 2
            && let Some(conflict) = Conflict::in_history(log.clone()).expect("readable")
        {
            let kept = conflict.branches[0].stands_for.id.clone();
            let resolution = conflict.settle(Answer::Keep(kept), "test").expect("a good answer");
            log.extend(resolution);
        }
    }
    log
}

proptest! {
    #[test]
    fn heads_and_history_do_not_depend_on_the_order_of_arrival(
        steps in histories(),
        order in any::<prop::sample::Index>(),
    ) {
        let log = build(&steps);
        let mut other = log.clone();
        other.rotate_left(order.index(log.len()));
        if order.index(2) == 0 {
            other.reverse();
        }
        let fold = |log: &[Event]| {
            let mut heads = Heads::default();
            log.iter().for_each(|event| heads.add(event));
            heads
        };
        let heads = fold(&log);
        prop_assert_eq!(&heads, &fold(&other));
        prop_assert_eq!(&Heads::decode(&heads.encode()).expect("decodes"), &heads);
        prop_assert_eq!(History::of(log.clone()).expect("readable"), History::of(other).expect("readable"));
        prop_assert!(!live(&log).is_empty());
        for (one, two) in log.iter().flat_map(|one| log.iter().map(move |two| (one, two))) {
            prop_assert!(!one.has_seen(two) || one.canonical_cmp(two).is_gt());
        }
    }
}
