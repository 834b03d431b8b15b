//! Observers: what they are told, in which order, and the spans that carry the same names.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use synckit::observe::Notice;
use synckit::{Direction, Endpoint, EventStore, NewEvent, NodeId, Replica, RetryPolicy, SyncManager};
use synckit_memory::MemoryStore;
use synckit_testkit::{Call, Fault, FaultPlan, FaultyTransport, Spans};

type Told = Arc<Mutex<Vec<String>>>;

fn store(name: &str) -> MemoryStore {
    MemoryStore::new(NodeId::new(name).expect("a short name")).expect("randomness")
}

fn note(text: &str) -> NewEvent {
    NewEvent::new("NoteEdited", "note-1", text).expect("a good event")
}

/// Writes down what an observer is told.
fn writes(told: &Told) -> impl Fn(&Notice<'_>) + Send + Sync + 'static {
    let told = told.clone();
    move |notice: &Notice<'_>| {
        let line = match notice {
            Notice::SyncBegan => "began".to_owned(),
            Notice::Progress(report) => format!("pulled {} pushed {}", report.pulled, report.pushed),
            Notice::SyncEnded { report, error } => {
                assert_eq!(error.is_none(), report.peer.is_some());
                format!(
                    "ended after {} calls, {}",
                    report.round_trips,
                    if error.is_none() { "well" } else { "badly" }
                )
            }
            Notice::Called { call, error, .. } => {
                format!("called {call}{}", if error.is_some() { ", in vain" } else { "" })
            }
            Notice::Refused(event) => format!("refused {}", event.code),
            Notice::ConflictFound { aggregate } => format!("conflict about {aggregate}"),
            Notice::ConflictSettled { aggregate, .. } => format!("settled {aggregate}"),
            Notice::Served { call, caller, received, sent, refused, .. } => {
                format!("served {call} to {}: {received} in, {sent} out, {refused} refused", caller.node)
            }
            Notice::Subscribed { caller } => format!("{} stays", caller.node),
            Notice::Unsubscribed { caller, sent, .. } => format!("{} leaves with {sent}", caller.node),
            other => format!("{other:?}"),
        };
        told.lock().expect("nobody panics here").push(line);
    }
}

fn taken(told: &Told) -> Vec<String> {
    std::mem::take(&mut *told.lock().expect("nobody panics here"))
}

#[tokio::test]
async fn both_sides_are_told_of_a_sync_in_order() {
    let (here, one_peer, there) = (Told::default(), Told::default(), Told::default());
    let hub = Endpoint::new(store("hub")).with_observer(writes(&there));
    let replica = Replica::builder(store("a")).with_observer(writes(&here)).build();
    let manager = SyncManager::builder(replica.clone(), hub.clone()).with_observer(writes(&one_peer)).build();
    replica.record([note("by a")]).await.expect("recorded");
    manager.sync().await.expect("syncs");
    let told = [
        "began",
        "called hello",
        "called pull",
        "pulled 0 pushed 0",
        "called push",
        "pulled 0 pushed 1",
        "ended after 3 calls, well",
    ];
    assert_eq!(taken(&here), told);
    assert_eq!(taken(&one_peer), told, "the replica's and the manager's observers are told the same");
    let served = [
        "served hello to a: 0 in, 0 out, 0 refused",
        "served pull to a: 0 in, 0 out, 0 refused",
        "served push to a: 1 in, 0 out, 0 refused",
    ];
    assert_eq!(taken(&there), served);

    // A conflict, which the other side finds when it is pushed and this one settles.
    let other = SyncManager::new(store("b"), hub.clone());
    other.replica().record([note("by b")]).await.expect("recorded");
    other.push().await.expect("pushes");
    assert_eq!(taken(&there)[1..], ["conflict about note-1", "served push to b: 1 in, 0 out, 0 refused"]);
    SyncManager::new(replica, hub).sync().await.expect("syncs");
    let told = taken(&here);
    let place =
        |wanted: &str| told.iter().position(|line| line == wanted).unwrap_or_else(|| panic!("{told:?}"));
    assert!(place("called pull") < place("conflict about note-1"));
    assert!(place("conflict about note-1") < place("settled note-1"));
    assert!(place("settled note-1") < place("called push"));
    assert!(taken(&one_peer).is_empty(), "another manager's syncs are not its");
}

#[tokio::test(start_paused = true)]
async fn each_try_counts_and_a_failed_sync_ends_badly() {
    let told = Told::default();
    let plan = FaultPlan::new();
    for call in 1..=2 {
        plan.nth(Call::Hello, call, Fault::LOSE_REQUEST);
    }
    let peer = FaultyTransport::new(Endpoint::new(store("hub")), plan);
    let retry = RetryPolicy { attempts: 2, ..RetryPolicy::default() };
    let manager =
        SyncManager::builder(store("a"), peer).with_retry(retry).with_observer(writes(&told)).build();
    manager.sync().await.expect_err("both tries are lost");
    let vain = "called hello, in vain";
    assert_eq!(taken(&told), ["began", vain, vain, "ended after 2 calls, badly"]);
    manager.sync().await.expect("syncs");
    assert_eq!(
        taken(&told),
        [
            "began",
            "called hello",
            "called pull",
            "pulled 0 pushed 0",
            "pulled 0 pushed 0",
            "ended after 2 calls, well"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_hub_is_told_who_stays_and_who_leaves() {
    let (here, there) = (Told::default(), Told::default());
    let hub = Endpoint::new(store("hub")).with_observer(writes(&there));
    let pulling = SyncManager::builder(store("a"), hub.clone())
        .with_direction(Direction::PullOnly)
        .with_sync_timeout(Duration::from_secs(1))
        .with_observer(writes(&here))
        .build();
    let live = pulling.live().expect("it is live");
    live.synced().await.expect("synced");
    // Longer than a sync may take: what goes on afterwards has no limit.
    tokio::time::sleep(Duration::from_secs(7)).await;
    let other = SyncManager::new(store("b"), hub);
    other.replica().record([note("by b")]).await.expect("recorded");
    other.push().await.expect("pushes");
    pulling.replica().store().moved(0).await.expect("it arrives");
    live.stop().await;
    let there = taken(&there);
    assert_eq!(there.iter().filter(|line| *line == "a stays").count(), 1, "{there:?}");
    assert_eq!(there.last().map(String::as_str), Some("a leaves with 1"), "{there:?}");
    let here = taken(&here);
    assert_eq!(here.iter().filter(|line| *line == "called subscribe").count(), 1, "{here:?}");
    assert!(here.iter().any(|line| line == "pulled 1 pushed 0"), "{here:?}");
}

#[tokio::test]
async fn a_sync_a_call_and_what_serves_it_are_spans() {
    let spans = Spans::here();
    let manager = SyncManager::new(store("a"), Endpoint::new(store("hub")));
    manager.replica().record([note("by a")]).await.expect("recorded");
    manager.sync().await.expect("syncs");
    let call = ["sync > call", "sync > call > serve"];
    assert_eq!(spans.taken(), [&["sync"][..], &call, &call, &call].concat(), "hello, pull, push");
}
