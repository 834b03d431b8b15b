//! Which events stand, against the rule applied to one event at a time.

mod any;
mod long;
mod model;

use proptest::prelude::*;
use synckit_core::{Event, EventId};
use synckit_plan::{Conflict, Current, Entry, History};

fn computed(events: Vec<Event>) -> Vec<(Event, synckit_plan::Standing)> {
    let history = History::of(events).expect("readable");
    history.entries().iter().map(|Entry { event, standing }| (event.clone(), standing.clone())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_history_that_replicas_write_is_as_the_rule_says(
        steps in any::steps(),
        lost in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let mut log = any::written(&steps);
        prop_assert_eq!(computed(log.clone()), model::history(log.clone()));
        // A filter, or a log that is not whole, leaves some events out.
        for one in lost {
            if !log.is_empty() {
                log.swap_remove(one.index(log.len()));
            }
        }
        prop_assert_eq!(computed(log.clone()), model::history(log));
    }

    /// What is true now is what stands and nothing later that stands has seen.
    #[test]
    fn what_is_true_now_is_the_top_of_what_stands(steps in any::steps()) {
        let log = any::written(&steps);
        let (current, history) = (Current::of(log.clone()).expect("readable"), History::of(log.clone()).expect("readable"));
        let live: Vec<&Event> = history.live().collect();
        let tops = live.iter().filter(|event| !live.iter().any(|other| other.has_seen(event)));
        let tops: Vec<&EventId> = tops.map(|event| &event.id).collect();
        let shown: Vec<&EventId> = current.events().iter().map(|event| &event.id).collect();
        match &current {
            Current::Nothing => prop_assert!(log.is_empty()),
            Current::One(_) | Current::Several(_) => prop_assert_eq!(shown, tops),
            Current::InConflict(conflict) => {
                let expected = Conflict::in_history(log).expect("readable");
                prop_assert_eq!(Some(&**conflict), expected.as_ref());
            }
        }
    }

    #[test]
    fn a_history_that_nobody_should_write_is_as_the_rule_says(events in any::nonsense()) {
        prop_assert_eq!(computed(events.clone()), model::history(events));
    }
}

/// The random histories hold what they are made for.
#[test]
fn the_random_histories_have_every_kind_of_decision_and_of_standing() {
    use proptest::strategy::{Strategy, ValueTree};
    use proptest::test_runner::TestRunner;
    use synckit_plan::{Decision, Kept, Resolution, Standing};

    let mut runner = TestRunner::deterministic();
    let (mut seen, mut equal_clocks, mut concurrent, mut rounds) =
        (std::collections::BTreeSet::new(), 0, 0, 0);
    for _ in 0..500 {
        let steps = any::steps().new_tree(&mut runner).expect("a value").current();
        let history = model::history(any::written(&steps));
        let decided: Vec<&Event> =
            history.iter().map(|(event, _)| event).filter(|event| event.is_resolution()).collect();
        for event in &decided {
            let resolution = Resolution::read(event).expect("readable");
            rounds = rounds.max(resolution.round);
            seen.insert(match resolution.decision {
                Decision::Keep(Kept::Side(_)) => "keep a side",
                Decision::Keep(Kept::Seen(..)) => "keep what a side had seen",
                Decision::Keep(Kept::Resolution(..)) => "keep a resolution",
                Decision::KeepAll => "keep all",
                Decision::Merge(_) => "merge",
            });
            for other in &decided {
                let apart = other.id != event.id && !other.has_seen(event) && !event.has_seen(other);
                concurrent += usize::from(apart);
                equal_clocks += usize::from(other.id != event.id && other.clock == event.clock);
            }
        }
        for (event, standing) in &history {
            seen.insert(match (standing, event.is_resolution()) {
                (Standing::Live, true) => "a merge stands",
                (Standing::Superseded { .. }, true) => "a merge lost",
                (Standing::Superseded { .. }, false) => "an event lost",
                (Standing::Live, false) => "an event stands",
                (Standing::Resolution, _) => "a decision",
            });
        }
    }
    assert_eq!(seen.len(), 10, "{seen:?}");
    assert!(equal_clocks > 100 && concurrent > 100 && rounds > 1, "{equal_clocks} {concurrent} {rounds}");
}
