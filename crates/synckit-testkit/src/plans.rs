//! Planners, plans and the contents of a store, for tests of a store.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use synckit_core::{
    AggregateId, Data, Dot, Event, EventId, EventStore, EventType, Facts, Limits, Mark, Metadata, Needs,
    NewEvent, NodeId, Note, NoteQuery, Plan, Planner, Position, Query, Result, Step, StoreId, StoredEvent,
    Timestamp, VectorClock,
};
use synckit_plan::{Receive, Record};

use crate::samples::{NOW, entropy, event_id, new_event, node, store_id};

/// Returns a record of these events, each of which has an id, for this node.
///
/// # Panics
/// If an event has no id.
pub fn record(author: &NodeId, events: Vec<NewEvent>) -> Record {
    let named = |new: NewEvent| (new.id.clone().expect("has an id"), new);
    Record {
        author: author.clone(),
        events: events.into_iter().map(named).collect(),
        now: NOW,
        limits: Limits::default(),
        entropy: entropy(),
        expect: Vec::new(),
    }
}

/// Returns a record of one small event of the aggregate `x`.
pub fn one(author: &NodeId, id: &str) -> Record {
    record(author, vec![new_event("x", id)])
}

/// Returns a receive of events from the store whose bytes are all `from`.
pub fn receive(from: u8, events: Vec<Event>) -> Receive {
    Receive::new(Some(store_id(from)), events, NOW, Limits::default(), entropy())
}

/// Returns a note of texts.
pub fn note(key: &str, value: &str) -> Note {
    Note { key: key.to_owned(), value: value.as_bytes().to_vec() }
}

/// Writes this plan, whatever the store holds.
#[derive(Clone, Debug)]
pub struct Fixed(pub Plan);

impl Planner for Fixed {
    type Outcome = ();

    fn needs(&mut self) -> Needs {
        Needs::default()
    }

    fn plan(&mut self, _facts: &Facts, _round: usize) -> Result<Step<()>> {
        Ok(Step::Write(std::mem::take(&mut self.0), ()))
    }
}

/// A commit that waits for its turn.
pub type Commit<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// Lets these commits wait behind each other: polls each once, in order.
///
/// # Panics
/// If one of them is done at once.
pub async fn waiting<S: EventStore + Clone, P: Planner>(
    store: &S,
    planners: Vec<P>,
) -> Vec<Commit<P::Outcome>> {
    let commit = |planner| {
        let store = store.clone();
        Box::pin(async move { store.commit(planner).await }) as Commit<P::Outcome>
    };
    let mut commits: Vec<Commit<P::Outcome>> = planners.into_iter().map(commit).collect();
    poll_fn(|context| {
        assert!(commits.iter_mut().all(|commit| commit.as_mut().poll(context).is_pending()));
        Poll::Ready(())
    })
    .await;
    commits
}

/// All that a store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Its id.
    pub store: StoreId,
    /// Its log.
    pub log: Vec<StoredEvent>,
    /// Its notebook.
    pub notes: Vec<Note>,
}

/// Reads the whole store, page by page, and checks that positions have no gaps and that every index leads to its
/// event.
///
/// # Panics
/// If the store fails, or contradicts itself.
pub async fn content(store: &impl EventStore) -> Content {
    let (mut log, mut after) = (Vec::new(), 0);
    loop {
        let page = store.read(Query::after(after)).await.expect("reads");
        log.extend(page.events);
        after = page.scanned_to;
        if !page.more {
            break;
        }
    }
    let head = store.head().await.expect("a head");
    assert_eq!(head.position, log.len() as Position);
    assert!(log.iter().map(|stored| stored.position).eq(1..=head.position));
    let aggregates = log.iter().map(|stored| stored.event.aggregate_id.clone());
    let needs = Needs {
        ids: log.iter().map(|stored| stored.event.id.clone()).collect(),
        dots: log.iter().filter_map(|stored| stored.event.dot.clone()).collect(),
        histories: aggregates.collect::<std::collections::BTreeSet<_>>().into_iter().collect(),
        ..Needs::default()
    };
    let facts = store.facts(needs).await.expect("reads");
    for stored in &log {
        let event = &stored.event;
        assert_eq!(facts.held.get(&event.id).map(|held| held.position), Some(stored.position));
        assert!(event.dot.as_ref().is_none_or(|dot| facts.dots.get(dot) == Some(&event.id)));
        assert!(facts.histories[&event.aggregate_id].contains(stored));
    }
    assert_eq!(facts.histories.values().map(Vec::len).sum::<usize>(), log.len());
    let all = NoteQuery::Prefix { prefix: String::new(), after: String::new(), limit: usize::MAX };
    Content { store: head.store, log, notes: store.notes(all).await.expect("reads") }
}

/// Returns the event of the node `n` with this id and counter.
pub fn event(id: &str, counter: u64) -> Event {
    Event {
        id: event_id(id),
        event_type: EventType::new("T").expect("the suites use valid names"),
        aggregate_id: AggregateId::new("x").expect("the suites use valid names"),
        data: Data::json("1").expect("the suites use valid JSON"),
        metadata: Metadata::default(),
        dot: Some(Dot::new(node("n"), counter)),
        clock: VectorClock::from_entries([(node("n"), counter)]).expect("a small clock"),
        time: Timestamp::from_millis(1),
    }
}

/// Returns two plans for an empty store. The first appends two events from elsewhere. In the second, the two swap
/// their dots, the first takes another id, the second another mark, and an event that is appended takes the id that the
/// first gave up.
pub fn swap() -> [Plan; 2] {
    let source = Some(store_id(7));
    let append = vec![event("a", 1), event("b", 2)];
    let first = Plan { append, source, mark: Mark(u64::MAX), ..Plan::default() };
    let replace = vec![(1, event("c", 2)), (2, event("b", 1))];
    let (append, derived) = (vec![event("d", 3)], vec![Event { dot: None, ..event("a", 4) }]);
    let put = vec![note("k", "")];
    let second =
        Plan { append, source, derived, mark: Mark(5), replace, remark: Some(2), put, delete: Vec::new() };
    [first, second]
}

/// Returns what an empty store holds after both plans of [`swap`].
pub fn swapped() -> Vec<StoredEvent> {
    let source = Some(store_id(7));
    let row = |position, mark, source, event| StoredEvent { position, mark: Mark(mark), source, event };
    vec![
        row(1, u64::MAX, source, event("c", 2)),
        row(2, 5, source, event("b", 1)),
        row(3, 5, source, event("d", 3)),
        row(4, 5, None, Event { dot: None, ..event("a", 4) }),
    ]
}

/// Checks on an empty store that all events of a plan give up their ids and dots before any takes a new one.
///
/// # Panics
/// If they do not, or if the store fails.
pub async fn stamps_are_free_before_any_is_taken(store: &impl EventStore) {
    for plan in swap() {
        store.commit(Fixed(plan)).await.expect("commits");
    }
    assert_eq!(store.read(Query::after(0)).await.expect("reads").events, swapped());
    let dots: Vec<Dot> = (1..=3).map(|counter| Dot::new(node("n"), counter)).collect();
    let ids: Vec<EventId> = ["a", "b", "c", "d"].map(event_id).to_vec();
    let needs = Needs { dots: dots.clone(), ids: ids.clone(), ..Needs::default() };
    let facts = store.facts(needs).await.expect("reads");
    let named: Vec<_> = dots.iter().map(|dot| facts.dots[dot].as_str()).collect();
    assert_eq!(named, ["b", "c", "d"]);
    let places: Vec<_> = ids.iter().map(|id| facts.held[id].position).collect();
    assert_eq!(places, [4, 2, 1, 3]);
}
