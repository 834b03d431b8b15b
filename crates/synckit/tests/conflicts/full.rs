//! Aggregates that somebody filled: with resolutions that never dominate each other, or with a clock of a thousand
//! names. The others go on.

use synckit::{
    Endpoint, Event, EventId, NodeId, StoreId, Timestamp, Transport, VectorClock,
    conflict::{Decision, Heads, Resolution, Side},
    plan::notes,
    store::StoreExt,
    transport::{Caller, PushRequest},
};
use synckit_memory::MemoryStore;

use super::{agree, edit, id, live, manager, store};

async fn push(hub: &MemoryStore, events: Vec<Event>) {
    let caller = Caller { node: NodeId::new("eve").unwrap(), store: StoreId::from_bytes([9; 16]) };
    let push =
        PushRequest { caller, filter: "all".into(), events, from: None, upto: None, known: Vec::new() };
    let pushed = Endpoint::new(hub.clone()).push(push).await.unwrap();
    assert_eq!(pushed.refused, []);
}

fn dot(name: &str, counter: u64) -> synckit::Dot {
    synckit::Dot::new(NodeId::new(name).unwrap(), counter)
}

/// Creates a resolution of `note` that makes up its sides.
fn made_up(a: u64, b: u64) -> Event {
    let side = |name: &str, counter| Side { dot: dot(name, counter), above: VectorClock::new() };
    let sides = vec![side("eve-1", a), side("eve-2", b)];
    let resolution = Resolution::new(VectorClock::new(), sides, Decision::KeepAll, "eve");
    resolution.into_event(id("note"), Timestamp::from_millis(5)).unwrap()
}

#[tokio::test]
async fn thousands_of_resolutions_that_never_dominate_cost_later_syncs_nothing() {
    const MANY: u64 = 6_000;
    let (a, b, hub) = (store("a"), store("b"), store("hub"));
    let all: Vec<Event> = (1..=MANY).map(|at| made_up(at, MANY + 1 - at)).collect();
    for batch in all.chunks(1_000) {
        push(&hub, batch.to_vec()).await;
    }
    manager(&a, &hub).replica().record([edit("note", "1")]).await.unwrap();
    let first = manager(&a, &hub).sync().await.unwrap();
    assert_eq!((first.pulled as u64, first.conflicts.settled, first.conflicts.left), (MANY, 1, 0));
    // Nothing is left to be looked at again: one head, no conflict, and the notebook has not grown.
    agree(&[&a, &b], &hub).await;
    for store in [&a, &b, &hub] {
        let heads = store.note(notes::heads(&id("note"))).await.unwrap().unwrap();
        assert_eq!(Heads::decode(&heads.value).unwrap().len(), 1);
        assert!(heads.value.len() < 256, "{} bytes of heads", heads.value.len());
    }
    let later = manager(&b, &hub).sync().await.unwrap();
    assert_eq!((later.round_trips, later.pulled, later.conflicts.found), (1, 0, 0));
    assert!(later.bytes_sent + later.bytes_received < 4_096, "{later:?}");
}

#[tokio::test]
async fn a_clock_of_a_thousand_names_locks_nobody_out() {
    let (a, b, hub) = (store("a"), store("b"), store("hub"));
    let mut names = VectorClock::new();
    for at in 0..999 {
        names.observe(&dot(&format!("made-up-{at}"), 1)).unwrap();
    }
    names.observe(&dot("eve", 1)).unwrap();
    let event_id = EventId::new("eve-1").unwrap();
    push(
        &hub,
        vec![edit("note", "0").stamped(event_id, Some(dot("eve", 1)), names, Timestamp::from_millis(5))],
    )
    .await;
    for (store, json) in [(&a, "1"), (&b, "2"), (&a, "3")] {
        let manager = manager(store, &hub);
        manager.sync().await.unwrap();
        manager.replica().record([edit("note", json)]).await.unwrap();
        let report = manager.sync().await.unwrap();
        assert_eq!((report.pushed, report.refused_count, report.conflicts.failed), (1, 0, 0), "{report:?}");
        let left: Vec<_> = report.conflicts.open.iter().filter_map(|left| left.reason.as_deref()).collect();
        assert!(left.len() == 1 && left[0].contains("continue in another aggregate"), "{left:?}");
    }
    manager(&b, &hub).sync().await.unwrap();
    // Each has seen the one before, and the made-up event stands beside them.
    for store in [&a, &b, &hub] {
        assert_eq!(live(store, "note").await.len(), 4);
        assert_eq!(manager(store, &hub).replica().heads(&id("note")).await.unwrap().len(), 2);
    }
    let status = manager(&a, &hub).replica().status().await.unwrap();
    assert_eq!(status.full.iter().map(|full| full.aggregate.as_str()).collect::<Vec<_>>(), ["note"]);
    assert!(status.full[0].names >= 1_000, "{:?}", status.full);
}
