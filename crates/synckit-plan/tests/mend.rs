//! Which copies of an event replace its damaged row.

use std::collections::HashMap;

use synckit_core::{
    Dot, Event, EventId, Facts, Identity, LogHead, Mark, NewEvent, NodeId, Note, Plan, Planner, Secret, Step,
    StoreId, StoredEvent, Timestamp, VectorClock,
};
use synckit_plan::{Entropy, Heads, Mend, Restamp, notes};

fn node(name: &str) -> NodeId {
    NodeId::new(name).expect("valid")
}

fn event(id: &str, author: &str, counter: u64) -> Event {
    let clock = VectorClock::from_entries([(node(author), counter)]).expect("valid");
    let new = NewEvent::new("T", "x", &1).expect("valid");
    let id = EventId::new(id).expect("valid");
    new.stamped(id, Some(Dot::new(node(author), counter)), clock, Timestamp::from_millis(counter))
}

/// What a log knows that holds this event at position 1, in a damaged row, and these at the places after it.
fn facts(damaged: &Event, rest: &[Event]) -> Facts {
    let store = StoreId::from_bytes([1; 16]);
    let identity = Identity::new(node("here"), Secret::from_bytes([2; 16]));
    let mut facts = Facts::at(LogHead { store, position: 1 + rest.len() as u64, mark: Some(Mark(1)) });
    facts.damaged.insert(damaged.id.clone(), 1);
    for event in rest.iter().chain([damaged]) {
        facts.dots.extend(event.dot.clone().map(|dot| (dot, event.id.clone())));
    }
    let stored = |(at, event): (usize, &Event)| StoredEvent {
        position: at as u64 + 2,
        mark: Mark(1),
        source: None,
        event: event.clone(),
    };
    facts.histories =
        HashMap::from([(damaged.aggregate_id.clone(), rest.iter().enumerate().map(stored).collect())]);
    let node = Note::json(Note::NODE.to_owned(), &identity).expect("has a JSON form");
    facts.notes.insert(node.key, node.value);
    facts
}

fn mend(facts: &Facts, copies: &[&Event]) -> (Plan, usize) {
    let copies = copies.iter().map(|copy| (*copy).clone()).collect();
    let mut mend = Mend { copies, now: 9, entropy: Entropy::from_bytes([7; 32]) };
    mend.needs();
    match mend.plan(facts, 0).expect("plans") {
        Step::Write(plan, mended) => (plan, mended),
        Step::Fetch(needs) => panic!("it needs {needs:?} as well"),
    }
}

#[test]
fn a_good_copy_takes_the_place_of_the_row_and_counts_in_the_heads() {
    let lost = event("e", "far", 3);
    let (plan, mended) = mend(&facts(&lost, &[]), &[&lost, &lost]);
    assert_eq!((mended, &plan.replace), (1, &vec![(1, lost.clone())]));
    assert_eq!((plan.appends(), &plan.delete), (0, &vec![notes::damaged(&lost.id)]));
    let heads = plan.put.iter().find(|note| note.key == notes::heads(&lost.aggregate_id)).expect("written");
    assert!(Heads::decode(&heads.value).expect("reads").contains(&lost.id));
}

#[test]
fn a_copy_under_another_stamp_changes_nothing() {
    let lost = event("e", "far", 3);
    let known = facts(&lost, &[]);
    let other_dot = event("e", "far", 4);
    let no_clock = Event { clock: VectorClock::new(), ..lost.clone() };
    let own_type = Event { event_type: "synckit.restamp".parse().expect("valid"), ..lost.clone() };
    let resolution =
        Event { dot: None, event_type: "synckit.resolution".parse().expect("valid"), ..lost.clone() };
    for copy in [&other_dot, &no_clock, &own_type, &resolution] {
        assert_eq!(mend(&known, &[copy]), (Plan::default(), 0), "{copy:?}");
    }
    // What is held in a row that can be read needs no copy.
    assert_eq!(mend(&known, &[&event("another", "far", 1)]), (Plan::default(), 0));
}

/// A peer that has not learned of a restamp yet sends the event under the smaller stamp. Its dot may still name it.
#[test]
fn a_copy_with_a_smaller_stamp_than_a_restamp_gives_changes_nothing() {
    let early = event("e", "far", 3);
    let mut clock = early.clock.clone();
    clock.observe(&Dot::new(node("near"), 1)).expect("few nodes");
    let later = Event { clock, ..early.clone() };
    let restamp = Restamp::event_of(&later, early.dot.as_ref().expect("has one")).expect("has one");
    let known = facts(&later, std::slice::from_ref(&restamp));
    assert_eq!(mend(&known, &[&early]), (Plan::default(), 0));
    assert_eq!(mend(&known, &[&later]).1, 1);
    // The row of the restamp itself.
    let known = facts(&restamp, &[later]);
    assert_eq!(mend(&known, &[&restamp]).1, 1);
    let forged = Event { time: restamp.time.next(), ..restamp.clone() };
    assert_eq!(mend(&known, &[&forged]).1, 0);
}
