//! Events of older and newer programs, as an application and its resolvers get them.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use synckit::conflict::{Answer, Closure, Current};
use synckit::store::{EventStore, Query};
use synckit::{
    AggregateId, Conflict, Data, Endpoint, Event, FieldMerge, History, LastWriteWins, ManualReview, NewEvent,
    NodeId, Replica, ReplicaBuilder, SyncManager,
};
use synckit_memory::MemoryStore;

/// Returns a program in which a note is a text (version 1), an object with a text (2), or one with a title (3).
fn program(store: &MemoryStore, version: u32) -> ReplicaBuilder<MemoryStore> {
    let mut builder = Replica::builder(store.clone());
    if version > 1 {
        let to_object = |data: Data| Data::of(&json!({ "text": data.parse::<String>()? }));
        builder = builder.with_upcaster("Edited", 1, to_object).expect("a good name");
    }
    if version > 2 {
        let to_title = |data: Data| Data::of(&json!({ "title": data.parse::<Value>()?["text"] }));
        builder = builder.with_upcaster("Edited", 2, to_title).expect("a good name");
    }
    builder
}

fn memory(name: &str) -> MemoryStore {
    MemoryStore::new(NodeId::new(name).expect("valid")).expect("randomness")
}

fn note() -> AggregateId {
    AggregateId::new("note").expect("valid")
}

fn edited(data: Value) -> NewEvent {
    NewEvent::new("Edited", "note", &data).expect("valid")
}

async fn sync(replicas: &[&Replica<MemoryStore>], hub: &MemoryStore) {
    for replica in replicas.iter().chain(replicas) {
        SyncManager::new((*replica).clone(), Endpoint::new(hub.clone())).sync().await.expect("syncs");
    }
}

fn data(event: &Event) -> Value {
    event.data.parse().expect("JSON")
}

/// Returns the data of the events that stand.
async fn standing(replica: &Replica<MemoryStore>) -> Vec<Value> {
    let history = replica.history(&note()).await.expect("reads");
    history.live().map(|event| data(&History::content(event).expect("reads"))).collect()
}

async fn current(replica: &Replica<MemoryStore>) -> Vec<Value> {
    replica.current(&note()).await.expect("reads").events().into_iter().map(data).collect()
}

/// Returns the events in the log, by id.
async fn log(store: &MemoryStore) -> Vec<Event> {
    let page = store.read(Query::after(0)).await.expect("reads");
    let mut events: Vec<Event> = page.events.into_iter().map(|stored| stored.event).collect();
    events.sort_by(|one, other| one.id.cmp(&other.id));
    events
}

/// Merges the texts of all sides, as a program of version 2 reads them, and notes what it got.
fn joined(got: &Arc<Mutex<Vec<Value>>>) -> Closure<impl Fn(&Conflict) -> synckit::Result<Answer> + use<>> {
    let got = got.clone();
    Closure::new("joined", move |conflict: &Conflict| {
        let sides = conflict.branches.iter().flat_map(|branch| &branch.shows);
        let shown: Vec<Value> = conflict.base.iter().chain(sides).map(|event| data(event)).collect();
        let texts: Vec<&str> = shown[1..].iter().filter_map(|side| side["text"].as_str()).collect();
        let merged = NewEvent::new("Edited", &conflict.aggregate_id, &json!({ "text": texts.join(" and ") }));
        *got.lock().expect("no panic") = shown;
        merged.map(Answer::Merge)
    })
}

/// Old and new programs exchange events, and settle conflicts between them. Each reads them in its form, and the logs are
/// the same.
#[tokio::test]
async fn reads_and_resolvers_get_events_in_the_form_of_the_program() {
    let (hub, stores) = (memory("hub"), ["first", "second", "third"].map(memory));
    let got = Arc::default();
    let first = program(&stores[0], 1).with_resolver(ManualReview).build();
    let second = program(&stores[1], 2).with_resolver(joined(&got)).build();
    let third = program(&stores[2], 3).with_resolver(ManualReview).build();
    first.record([edited(json!("a"))]).await.expect("records");
    sync(&[&first, &second, &third], &hub).await;
    assert_eq!(current(&first).await, [json!("a")]);
    assert_eq!(current(&second).await, [json!({"text": "a"})]);
    assert_eq!(current(&third).await, [json!({"title": "a"})]);
    // An old and a new program edit at once. The new one reads both sides, and what they have in common.
    first.record([edited(json!("b"))]).await.expect("records");
    second.record([edited(json!({"text": "c"}))]).await.expect("records");
    sync(&[&first, &third], &hub).await;
    SyncManager::new(second.clone(), Endpoint::new(hub.clone())).push().await.expect("pushes");
    sync(&[&third], &hub).await;
    let conflict = third.conflict(&note()).await.expect("reads").expect("a conflict");
    let mut sides: Vec<Value> = conflict.branches.iter().map(|branch| data(&branch.head)).collect();
    sides.sort_by_key(Value::to_string);
    assert_eq!(sides, [json!({"title": "b"}), json!({"title": "c"})]);
    assert!(
        matches!(third.current(&note()).await.expect("reads"), Current::InConflict(shown) if *shown == conflict)
    );
    sync(&[&second, &third, &first], &hub).await;
    let seen = got.lock().expect("no panic").clone();
    assert_eq!(seen, [json!({"text": "a"}), json!({"text": "b"}), json!({"text": "c"})]);
    // What it merged says its version.
    assert_eq!(standing(&second).await, [json!({"text": "a"}), json!({"text": "b and c"})]);
    assert_eq!(current(&third).await, [json!({"title": "b and c"})]);
    assert_eq!(standing(&third).await, [json!({"title": "a"}), json!({"title": "b and c"})]);
    // The old program gets what it cannot read as it is.
    assert_eq!(standing(&first).await, [json!("a"), json!({"text": "b and c"})]);
    // A person decides again, on what a program of version 3 shows. All read it.
    let top = third.heads(&note()).await.expect("reads");
    let conflict = third.settled_conflict(&note(), &top[0]).await.expect("reads");
    assert_eq!(data(&conflict.base[0]), json!({"title": "a"}));
    third.settle(&conflict, Answer::Merge(edited(json!({"title": "d"}))), "ann").await.expect("settles");
    sync(&[&third, &first, &second], &hub).await;
    assert_eq!(current(&third).await, [json!({"title": "d"})]);
    assert_eq!(current(&second).await, [json!({"title": "d"})], "it is newer than this program");
    let logs = [log(&stores[0]).await, log(&stores[1]).await, log(&stores[2]).await];
    assert_eq!((&logs[0], logs[0].len()), (&logs[1], 5));
    assert_eq!(logs[1], logs[2]);
    assert!(
        logs[0].iter().any(|event| event.data.as_json() == Some("\"b\"")),
        "the log is as it was written"
    );
    let digests = [first.digest().await, second.digest().await, third.digest().await];
    let [first, second, third] = digests.map(|digest| digest.expect("reads"));
    assert_eq!((&first, &second), (&second, &third));
}

/// A conflict that shows what a newer program has written is merged by one that knows it. Resolvers that only choose need
/// not read it.
#[tokio::test]
async fn an_old_program_does_not_merge_what_it_cannot_read() {
    let (hub, old, new) = (memory("hub"), memory("old"), memory("new"));
    let before = program(&old, 2).with_resolver(FieldMerge::new()).build();
    let after = program(&new, 3).with_resolver(ManualReview).build();
    before.record([edited(json!({"text": "a"}))]).await.expect("records");
    after.record([edited(json!({"title": "b"}))]).await.expect("records");
    sync(&[&before, &after, &before], &hub).await;
    assert_eq!(before.conflicts().await.expect("reads").len(), 1);
    // The next version of the program is asked again, and merges.
    let after = program(&old, 3).with_resolver(FieldMerge::new()).build();
    let report = after.settle_listed().await.expect("settles");
    assert_eq!((report.settled, current(&after).await.len()), (1, 1));
    // One that chooses has settled such a conflict at once.
    let (old, new) = (memory("old"), memory("new"));
    Replica::new(new.clone())
        .record([NewEvent::new("Kept", "note", &1).expect("valid")])
        .await
        .expect("records");
    program(&new, 3).build().record([edited(json!({"title": "b"}))]).await.expect("records");
    let chooses = program(&old, 2).with_resolver(LastWriteWins).build();
    chooses.record([edited(json!({"text": "a"}))]).await.expect("records");
    SyncManager::new(chooses.clone(), Endpoint::new(new)).sync().await.expect("syncs");
    assert_eq!(chooses.conflicts().await.expect("reads"), []);
}
