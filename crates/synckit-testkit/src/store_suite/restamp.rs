//! New stamps on existing events: ids and dots that change owners in one commit.

use std::collections::BTreeMap;

use synckit_core::{
    Dot, Event, EventId, EventStore, Held, Limits, Mark, Needs, NodeId, Query, Result, StoredEvent,
    VectorClock,
};
use synckit_plan::{Answer, Conflict, Receive, Renumber, Resolution, notes};

use super::marks::drawing;
use super::{contents, log_of, open, receive, record, scan};
use crate::case::CaseResult;
use crate::fixture::StoreFixture;
use crate::samples::{Author, NOW, aggregate, entropy, event_id, new_event, node};

/// Checks that each id, dot and aggregate of the log leads to its event, and that these dots and ids lead nowhere.
async fn check_indexes(
    store: &impl EventStore,
    log: &[StoredEvent],
    gone: (Vec<Dot>, Vec<EventId>),
) -> Result<()> {
    let dots = log.iter().filter_map(|stored| stored.event.dot.clone()).chain(gone.0).collect();
    let ids = log.iter().map(|stored| stored.event.id.clone()).chain(gone.1).collect();
    let facts = store.facts(Needs { dots, ids, ..Needs::default() }).await?;
    let mut named = log.iter().filter(|stored| stored.event.dot.is_some()).count();
    assert_eq!((facts.held.len(), facts.dots.len()), (log.len(), named));
    for StoredEvent { position, event, .. } in log {
        assert_eq!(facts.held[&event.id], Held::of(*position, event));
        if let Some(dot) = &event.dot {
            assert_eq!(facts.dots[dot], event.id);
            named -= 1;
        }
        let of = scan(store, Query::after(0).of_aggregate(event.aggregate_id.clone())).await?;
        assert!(of.iter().any(|stored| stored.position == *position && stored.event == *event));
    }
    assert_eq!(named, 0);
    Ok(())
}

/// The first event takes the dot of the second, which takes an alias in the same commit; then a new event takes the
/// dot that another one gives up for it.
pub async fn a_dot_that_is_given_up_is_taken_in_the_same_commit<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let mut far = Author::new("far");
    let (first, second, third) = (far.write("x"), far.write("x"), far.write("y"));
    receive(&store, 1, &[first.clone(), second.clone(), third.clone()]).await?;
    let before = log_of(&store).await?;
    let clock = VectorClock::from_entries([(node("far"), 2)])?;
    let moved = Event { dot: second.dot.clone(), clock, ..first.clone() };
    assert_eq!(receive(&store, 2, std::slice::from_ref(&moved)).await?.duplicates, 1);
    let log = log_of(&store).await?;
    let alias = |event: &Event| Some(Dot::new(NodeId::alias(&event.id), 1));
    assert_eq!((&log[0].event, &log[1].event.dot, &log[2]), (&moved, &alias(&second), &before[2]));
    for (old, new) in before.iter().zip(&log) {
        assert_eq!(
            (new.position, new.mark, new.source),
            (old.position, old.mark, old.source),
            "position, mark and source of a restamped event stay"
        );
        assert_eq!(new.event.content_digest(), old.event.content_digest());
    }
    // A pull leaves out what came from the caller, also after a restamp.
    let others = scan(&store, Query::after(0).except_source(before[0].source)).await?;
    assert!(
        others.iter().eq(log.iter().filter(|stored| stored.source != before[0].source)),
        "a read that leaves out a source shows events from there once they are restamped"
    );
    check_indexes(&store, &log, (first.dot.into_iter().collect(), Vec::new())).await?;
    let fork = Event { id: event_id("a fork"), ..third.clone() };
    assert_eq!(receive(&store, 2, std::slice::from_ref(&fork)).await?.accepted, 1);
    let log = log_of(&store).await?;
    assert_eq!(log[2].event.dot, alias(&third));
    assert!(log[3..].iter().any(|stored| stored.event == fork));
    check_indexes(&store, &log, (Vec::new(), Vec::new())).await?;
    Ok(())
}

/// The id of a resolution follows from its content: if that changes, it gets another id at its old position, and the
/// old id is free. From there on the log is another one, so the places in it get another mark.
pub async fn an_event_may_get_another_id_in_its_place<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    record(&store, vec![new_event("x", "kept"), new_event("x", "mine")]).await?;
    // The other side has seen an own event that keeps its stamp.
    let clock = VectorClock::from_entries([(node("far"), 1), (node("n"), 1)])?;
    receive(&store, 1, &[Event { clock, ..Author::new("far").write("x") }]).await?;
    let events = log_of(&store).await?.into_iter().map(|stored| stored.event);
    let conflict = Conflict::in_history(events)?.expect("there is a conflict");
    let settled = conflict.settle(Answer::Keep(event_id("mine")), "suite")?.expect("it is settled");
    let derived = Receive::new(None, vec![settled.clone()], NOW, Limits::default(), entropy());
    store.commit(derived).await?;
    receive(&store, 1, &[Author::new("other").write("y")]).await?;
    let before = log_of(&store).await?;
    let renumber = Renumber {
        events: BTreeMap::from([(event_id("mine"), aggregate("x"))]),
        taken: true,
        name: None,
        last: true,
        handed: 1,
        head: 5,
        now: NOW,
        drift: Limits::default().drift(),
        entropy: drawing(77),
    };
    store.commit(renumber).await?.expect("nothing was recorded meanwhile");
    let log = log_of(&store).await?;
    let (old, new) = (&before[3], &log[3]);
    assert!(new.event.is_resolution() && new.event.id != settled.id);
    Resolution::check(&new.event)?;
    assert_eq!((new.position, new.source), (old.position, old.source));
    let marks = |log: &[StoredEvent]| log.iter().map(|stored| stored.mark).collect::<Vec<_>>();
    let first = (0..5).find(|at| log[*at].event != before[*at].event).expect("one has another stamp");
    assert_eq!(
        marks(&log[..first]),
        marks(&before[..first]),
        "places before what has changed keep their marks"
    );
    assert!(first > 0 && first < 4, "others come before and after what has changed");
    for stored in &log[first..5] {
        assert_eq!(stored.mark, Mark(77), "places from what has changed on get another mark");
    }
    assert_eq!((&log[4].event, log[4].source), (&before[4].event, before[4].source));
    assert_ne!(new.event.data, old.event.data);
    let gone = (vec![Dot::new(node("n"), 2)], vec![settled.id.clone()]);
    check_indexes(&store, &log, gone).await?;
    // Only one event has this content now.
    let before = contents(&store).await?;
    assert_eq!(receive(&store, 1, std::slice::from_ref(&new.event)).await?.duplicates, 1);
    let mut after = contents(&store).await?;
    // It came back, so it was handed out.
    after.notes.retain(|note| note.key != notes::HANDED);
    assert_eq!(after, before);
    Ok(())
}

/// Facts hold all events of the aggregates that are asked for, in log order and complete; an entry for each
/// aggregate, even if it has none.
pub async fn asking_tells_whole_histories<F: StoreFixture>(fixture: &F) -> CaseResult {
    let store = open(fixture).await?;
    let name = |at: usize| ["x", "y", "x/"][at % 3];
    for part in 0..3 {
        let new = |at: usize| new_event(name(at), &format!("{part}-{at}"));
        record(&store, (0..700).map(new).collect()).await?;
        let mut far = Author::new(&format!("far-{part}"));
        receive(&store, part, &far.write_many("x", 500)).await?;
    }
    let large =
        synckit_core::NewEvent::with_data("Large", "x", synckit_core::Data::bytes(vec![1; 200 << 10]))?;
    record(&store, vec![large.with_id(event_id("large"))]).await?;
    let log = log_of(&store).await?;
    let asked = ["x", "none", "x/", "x"].map(aggregate);
    let facts = store.facts(Needs { histories: asked.to_vec(), ..Needs::default() }).await?;
    assert_eq!(facts.histories.len(), 3);
    for of in asked {
        let expected = log.iter().filter(|stored| stored.event.aggregate_id == of);
        assert!(facts.histories[&of].iter().eq(expected), "the history of {of:?} is another");
    }
    assert!(store.facts(Needs::default()).await?.histories.is_empty());
    Ok(())
}
