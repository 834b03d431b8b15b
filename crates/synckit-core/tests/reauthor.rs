//! Authoring again what was decided over events that get other dots.

use std::collections::BTreeMap;

use synckit_core::notes::{self, Identity, Latest, Note};
use synckit_core::plan::{Intent, Outcome, Planning, Reauthor};
use synckit_core::{
    Answer, Conflict, Dot, Event, EventId, Facts, Heads, LogHead, NewEvent, NodeId, Resolution, StoreId,
    StoredEvent, Timestamp, VectorClock,
};

fn event(name: &str, counter: u64) -> Event {
    let node = NodeId::new(name).expect("a short name");
    let new = NewEvent::new("T", "x", &1).expect("a good event");
    Event {
        id: EventId::new(format!("{name}-{counter}")).expect("a short id"),
        event_type: new.event_type,
        aggregate_id: new.aggregate_id,
        data: new.data,
        metadata: new.metadata,
        clock: VectorClock::from_entries([(node.clone(), counter)]).expect("one node"),
        dot: Some(Dot::new(node, counter)),
        time: Timestamp::from_millis(counter),
    }
}

fn settled(log: &[Event], choose: impl Fn(&Conflict) -> Answer) -> Event {
    let conflict = Conflict::in_history(log.to_vec()).expect("readable").expect("there is a conflict");
    conflict.settle(choose(&conflict), "test").expect("a good answer").expect("a decision")
}

#[test]
fn a_resolution_that_was_authored_again_is_the_one_that_others_would_write() {
    let all = |_: &Conflict| Answer::KeepAll;
    let earlier_stands = |conflict: &Conflict| {
        let branch = conflict.branches.iter().find(|branch| branch.head.is_resolution());
        Answer::Keep(branch.expect("it is on top").head.id.clone())
    };
    let history = |own: Event| {
        let mut log = vec![own, event("far", 1)];
        log.push(settled(&log, all));
        log.push(event("late", 1));
        log.push(settled(&log, earlier_stands));
        log
    };
    let log = history(event("n", 1));
    let mut renamed = event("n~2", 1);
    renamed.id = log[0].id.clone();
    renamed.time = log[0].time;
    let expected = history(renamed);

    let mut heads = Heads::default();
    log.iter().for_each(|event| heads.add(event));
    let node = NodeId::new("n").expect("a short name");
    let identity = Note::json(notes::NODE.to_owned(), &Identity::new(node.clone())).expect("it has JSON");
    let latest = Latest { counter: 1, event: log[0].id.clone() }.to_string().into_bytes();
    let notes = BTreeMap::from([
        (identity.key, identity.value),
        (notes::heads(&log[0].aggregate_id), heads.encode()),
        (notes::origin(&node), latest),
    ]);
    let stored = |(at, event): (usize, &Event)| StoredEvent {
        position: at as u64 + 1,
        source: None,
        event: event.clone(),
    };
    let moved = log.iter().enumerate().map(stored).filter(|stored| stored.event.clock.counter(&node) > 0);
    let reauthor =
        Reauthor { author: node.clone(), from: 1, last: 1, events: moved.collect(), base: BTreeMap::new() };
    let facts = |needs: synckit_core::Needs| {
        let mut facts = Facts::at(LogHead { store: StoreId::from_bytes([1; 16]), position: 5 });
        let held = needs.notes.iter().filter_map(|key| Some((key.clone(), notes.get(key)?.clone())));
        facts.notes.extend(held);
        Ok(facts)
    };
    let (plan, outcome) = Planning::run(Intent::Reauthor(reauthor), facts).expect("it can be carried out");
    assert!(matches!(outcome, Outcome::Reauthored(Some(3))), "{outcome:?}");
    let positions: Vec<_> = plan.restamp.iter().map(|(position, _)| *position).collect();
    assert_eq!(positions, [1, 3, 5]);
    for (position, event) in &plan.restamp {
        assert_eq!(*event, expected[*position as usize - 1]);
        if event.is_resolution() {
            Resolution::check(event).expect("others accept it");
        }
    }
    let key = notes::heads(&log[0].aggregate_id);
    let note = plan.put.iter().find(|note| note.key == key).expect("the heads have moved");
    let mut moved = Heads::default();
    expected.iter().for_each(|event| moved.add(event));
    assert_eq!(Heads::decode(&note.value).expect("readable"), moved);
}
