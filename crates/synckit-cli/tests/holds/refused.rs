//! One bad event in the middle of eleven: the other ten arrive, the report names the one.

use synckit::plan::{Intent, Receive};
use synckit::{
    Caller, Data, Dot, Event, EventId, EventStore, Limits, NewEvent, NodeId, PushRequest, RefusalCode,
    RefusedBy, StoreId, SyncManager, Timestamp, Transport, VectorClock,
};
use synckit_sqlite::SqliteStore;

use crate::support::{Hub, folder, log, note, open};

/// Pushes from a replica that holds eleven events of which the sixth is bad, twice, and checks what arrived.
async fn only_one_is_refused(hub: &Hub, store: &SqliteStore, bad: &EventId, code: RefusalCode) {
    let manager = hub.manager(store);
    let report = manager.push().await.expect("a refused event is no error");
    assert_eq!(report.refused_count, 1, "{report:?}");
    let refusal = &report.refused[0];
    assert_eq!(
        (refusal.id.as_str(), refusal.by, refusal.code),
        (bad.as_str(), RefusedBy::Peer, code),
        "{refusal:?}"
    );
    assert!(!refusal.message.is_empty());
    assert_eq!(report.pushed, 10);
    let arrived = log(&hub.store).await;
    assert!(arrived.iter().all(|event| event.id != *bad));

    manager.record([note("the next one", 1)]).await.expect("an event is recorded");
    let next = manager.push().await.expect("the next push goes on");
    assert_eq!((next.pushed, next.refused_count), (1, 0), "{next:?}");
    let aside = manager.refused().await.expect("the list of refused events");
    assert_eq!(aside.len(), 1);
    assert!(manager.drop_refused(bad.as_str()).await.expect("it is dropped"));
    assert!(manager.refused().await.expect("the list of refused events").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_too_large_for_the_hub() {
    let folder = folder();
    let hub = Hub::start(folder.path()).await;
    let store = open(folder.path(), "a").await;
    let roomy = Limits { event_bytes: 1 << 20, ..Limits::default() };
    let local = SyncManager::builder(store.clone(), hub.transport()).with_limits(roomy).build();
    let mut events: Vec<NewEvent> = (0..11).map(|number| note("small", number)).collect();
    events[5] = NewEvent::new("NoteEdited", "note-5", &"x".repeat(300 << 10)).expect("a large event");
    let recorded = local.record(events).await.expect("events are recorded");
    only_one_is_refused(&hub, &store, &recorded.events[5].id, RefusalCode::TooLarge).await;
    hub.stop().await;
}

/// An event as node `c` would have authored it.
fn authored_by_c(counter: u64, id: &str, data: Data) -> Event {
    let node = NodeId::new("c").expect("a short name");
    let new = NewEvent::with_data("NoteEdited", format!("note-{counter}"), data).expect("a good event");
    Event {
        id: EventId::new(id).expect("a short id"),
        event_type: new.event_type,
        aggregate_id: new.aggregate_id,
        data: new.data,
        metadata: new.metadata,
        clock: VectorClock::from_entries([(node.clone(), counter)]).expect("one node"),
        dot: Some(Dot::new(node, counter)),
        time: Timestamp::from_millis(1_764_000_000_000 + counter),
    }
}

/// Puts events from elsewhere into a store, as a relay would hold them.
async fn relay(store: &SqliteStore, events: Vec<Event>) {
    let elsewhere = Some(StoreId::from_bytes([9; 16]));
    let receive = Receive::new(elsewhere, events, 1_764_000_100_000, Limits::default());
    store.commit(Intent::Receive(receive)).await.expect("events are stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dot_that_already_names_another_event() {
    let folder = folder();
    let hub = Hub::start(folder.path()).await;
    let caller = Caller { node: NodeId::new("x").expect("a name"), store: StoreId::from_bytes([7; 16]) };
    let events = vec![authored_by_c(6, "the first to use the dot", Data::json("1").expect("JSON"))];
    let request = PushRequest { caller, filter: "all".to_owned(), events, upto: None };
    hub.transport().push(request).await.expect("the hub takes it");

    let store = open(folder.path(), "a").await;
    let ten_and_one = (1..=11)
        .map(|counter| authored_by_c(counter, &format!("e{counter}"), Data::json("2").expect("JSON")));
    relay(&store, ten_and_one.collect()).await;
    let bad = EventId::new("e6").expect("a short id");
    only_one_is_refused(&hub, &store, &bad, RefusalCode::ForkedOrigin).await;
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_data_is_no_json() {
    for broken in ["not json", r#"1,"unknown field":2"#] {
        let folder = folder();
        let hub = Hub::start(folder.path()).await;
        let store = open(folder.path(), "a").await;
        let data = |counter| match counter {
            6 => Data::stored_json(broken),
            _ => Data::json("2").expect("JSON"),
        };
        let events = (1..=11).map(|counter| authored_by_c(counter, &format!("e{counter}"), data(counter)));
        relay(&store, events.collect()).await;
        let bad = EventId::new("e6").expect("a short id");
        only_one_is_refused(&hub, &store, &bad, RefusalCode::Invalid).await;
        hub.stop().await;
    }
}
