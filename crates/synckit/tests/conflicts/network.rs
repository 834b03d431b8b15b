//! Conflicts over HTTP, and replicas that crash between finding a conflict and settling it.

use synckit::{Digest, Endpoint, LastWriteWins, Replica, SyncManager, conflict::Standing};
use synckit_http::{HttpService, HttpTransport};
use synckit_memory::MemoryStore;
use synckit_testkit::{Fault, FaultPlan, FaultyStore};

use super::{agree, edit, id, live, manager, store};

#[tokio::test]
async fn two_clients_edit_concurrently_over_http_and_both_can_read_the_losing_edit() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let service = HttpService::new(Endpoint::new(store("hub")));
    let server = tokio::spawn(synckit_http::serve(listener, service, async move { drop(stopped.await) }));

    let clients = ["a", "b"].map(|name| {
        let (asked, called) = std::sync::mpsc::channel();
        let resolver = synckit::conflict::Closure::new("counted", move |conflict: &synckit::Conflict| {
            drop(asked.send(conflict.aggregate_id.clone()));
            synckit::ConflictResolver::resolve(&LastWriteWins, conflict)
        });
        let client = SyncManager::builder(
            Replica::builder(store(name)).with_resolver(resolver).build(),
            HttpTransport::new(url.clone()).unwrap(),
        );
        (client.build(), called)
    });
    let [(a, _), (b, called)] = &clients;
    a.replica().record([edit("note", r#"{"by":"a"}"#)]).await.unwrap();
    b.replica().record([edit("note", r#"{"by":"b"}"#)]).await.unwrap();
    a.sync().await.unwrap();
    assert_eq!(b.sync().await.unwrap().conflicts.settled, 1);
    a.sync().await.unwrap();
    assert_eq!(called.try_iter().collect::<Vec<_>>(), [id("note")], "the resolver was asked once");
    assert_eq!(
        Digest::of(a.replica().store()).await.unwrap(),
        Digest::of(b.replica().store()).await.unwrap()
    );
    for client in [a, b] {
        let history = client.replica().history(&id("note")).await.unwrap();
        assert_eq!(history.live().count(), 1);
        let lost: Vec<_> = history
            .entries()
            .iter()
            .filter(|entry| matches!(entry.standing, Standing::Superseded { .. }))
            .map(|entry| entry.event.data.as_json().unwrap().to_owned())
            .collect();
        let stands = history.live().next().unwrap().data.as_json().unwrap();
        let other = if stands == r#"{"by":"a"}"# { r#"{"by":"b"}"# } else { r#"{"by":"a"}"# };
        assert_eq!(lost, [other]);
    }
    drop(stop);
    server.await.unwrap().unwrap();
}

/// Creates a hub and replicas, one of which is about to pull three conflicts.
async fn before_the_pull() -> (MemoryStore, MemoryStore, MemoryStore) {
    let (a, b, hub) = (store("a"), store("b"), store("hub"));
    for (name, replica) in [("a", &a), ("b", &b)] {
        let events = (0..3).map(|n| {
            let event = edit(&format!("note-{n}"), &format!(r#"{{"by":"{name}"}}"#));
            event.with_id(format!("{name}-{n}").parse().unwrap())
        });
        manager(replica, &hub).replica().record(events.collect::<Vec<_>>()).await.unwrap();
    }
    manager(&a, &hub).sync().await.unwrap();
    (a, b, hub)
}

async fn standing(store: &MemoryStore) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.extend(live(store, &format!("note-{n}")).await.iter().map(|event| event.id.to_string()));
    }
    ids
}

#[tokio::test]
async fn dying_at_any_call_of_the_store_changes_nothing_in_the_outcome() {
    let mut calls = 1;
    loop {
        let mut done = false;
        for fault in [Fault::Crash, Fault::CrashAfter] {
            let (a, b, hub) = before_the_pull().await;
            let plan = FaultPlan::new();
            plan.nth_of_all(calls, fault);
            let mortal =
                SyncManager::builder(FaultyStore::new(b.clone(), plan.clone()), Endpoint::new(hub.clone()));
            let first = mortal.with_retry(synckit::RetryPolicy::never()).build().sync().await;
            done = !plan.is_crashed();
            // The replica is restarted with what its store holds.
            let report = manager(&b, &hub).sync().await.unwrap();
            assert_eq!(report.conflicts.left, 0, "call {calls}, {fault:?}, before: {first:?}");
            agree(&[&a, &b], &hub).await;
            // `a` recorded first, and what `b` recorded later wins: three events of each, and three resolutions.
            assert_eq!(standing(&a).await, standing(&b).await);
            assert_eq!(synckit::EventStore::head(&hub).await.unwrap().position, 9, "call {calls}, {fault:?}");
            for n in 0..3 {
                let history = manager(&a, &hub).replica().history(&id(&format!("note-{n}"))).await.unwrap();
                let lost = history
                    .entries()
                    .iter()
                    .filter(|entry| matches!(entry.standing, Standing::Superseded { .. }));
                assert_eq!((history.live().count(), lost.count()), (1, 1));
            }
        }
        if done {
            break;
        }
        calls += 1;
    }
    assert!(calls > 8, "a sync makes more calls than {calls}");
}
