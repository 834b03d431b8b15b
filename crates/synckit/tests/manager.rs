//! The manager with an endpoint in the same process: directions, retries, timeouts, and what is set aside.

use std::collections::BTreeMap;
use std::time::Duration;

use synckit::{
    Access, Conflict, Digest, Direction, Endpoint, ErrorKind, Event, EventStore, Limits, ManualReview,
    Metadata, NewEvent, NodeId, OwnEvents, Replica, Result, RetryPolicy, SyncManager, Transport,
    conflict::{Answer, Closure},
    plan::notes::{self, PaceNote},
    store::{Renewal, StoreExt},
    transport::{
        Caller, PullRequest, PullResponse, PushRequest, PushResponse, RefusedCode, Scope, Unreadable,
    },
};
use synckit_memory::MemoryStore;
use synckit_testkit::{Call, Fault, FaultPlan, FaultyStore, FaultyTransport, drop_at, forward};

fn store(name: &str) -> MemoryStore {
    MemoryStore::new(NodeId::new(name).expect("a short name")).expect("randomness")
}

fn note(text: &str, number: usize) -> NewEvent {
    NewEvent::new("NoteEdited", format!("note-{number}"), text).expect("a good event")
}

async fn same(left: &MemoryStore, right: &MemoryStore) -> bool {
    Digest::of(left).await.expect("a digest") == Digest::of(right).await.expect("a digest")
}

#[tokio::test]
async fn each_direction_moves_only_its_own() {
    let (a, hub) = (store("a"), store("hub"));
    let there = SyncManager::new(hub.clone(), Endpoint::new(store("nobody")));
    there.replica().record([note("from the hub", 1)]).await.expect("recorded");
    let endpoint = Endpoint::new(hub.clone());
    let push_only =
        SyncManager::builder(a.clone(), endpoint.clone()).with_direction(Direction::PushOnly).build();
    push_only.replica().record([note("from a", 2)]).await.expect("recorded");
    let report = push_only.sync().await.expect("syncs");
    assert_eq!((report.pushed, report.pulled), (1, 0));
    let pull_only = SyncManager::builder(a.clone(), endpoint).with_direction(Direction::PullOnly).build();
    pull_only.replica().record([note("more from a", 3)]).await.expect("recorded");
    let report = pull_only.sync().await.expect("syncs");
    assert_eq!((report.pushed, report.pulled), (0, 1));
    let status = pull_only.replica().status().await.expect("a status");
    assert_eq!((status.events, status.peers[0].to_push), (3, 2), "{status:?}");
    pull_only.push().await.expect("pushes");
    assert!(same(&a, &hub).await);
}

/// Counts the calls of a store, each of which may wait. A sync of one new event makes three here and two at the peer;
/// one of each is a commit.
#[tokio::test]
async fn one_new_event_costs_a_few_calls_of_either_store() {
    let (here, there) = (FaultPlan::new(), FaultPlan::new());
    let hub = Endpoint::new(FaultyStore::new(store("hub"), there.clone()));
    let manager = SyncManager::new(FaultyStore::new(store("a"), here.clone()), hub);
    let calls = |plan: &FaultPlan| {
        [Call::Commit, Call::Facts, Call::Read, Call::Notes, Call::Head].map(|of| plan.calls(of))
    };
    for round in 0..3 {
        manager.replica().record([note("note-1", round)]).await.expect("recorded");
        let before = (calls(&here), calls(&there));
        let report = manager.sync().await.expect("synced");
        assert_eq!((report.pushed, report.pulled), (1, 0));
        let more = |after: [u64; 5], before: [u64; 5]| [0, 1, 2, 3, 4].map(|at| after[at] - before[at]);
        // The first sync meets an unknown peer.
        if round > 0 {
            // The checkpoint is a commit, what is known are facts, and what is to be pushed is read.
            assert_eq!(more(calls(&here), before.0), [1, 1, 1, 0, 0]);
            // The facts for the response to hello, and the event that came with it.
            assert_eq!(more(calls(&there), before.1), [1, 1, 0, 0, 0]);
            assert_eq!(report.round_trips, 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn retryable_failures_are_retried_and_others_are_errors_with_a_report() {
    let plan = FaultPlan::new();
    plan.nth(Call::Hello, 1, Fault::LOSE_REQUEST);
    plan.nth(Call::Push, 1, Fault::LOSE_ANSWER);
    let (a, hub) = (store("a"), store("hub"));
    let transport = FaultyTransport::new(Endpoint::new(hub.clone()), plan.clone());
    let manager = SyncManager::new(a.clone(), transport);
    manager.replica().record((0..10).map(|n| note("x", n))).await.expect("recorded");
    let report = manager.sync().await.expect("the retries get through");
    assert_eq!((report.round_trips, report.duplicates), (5, 10), "{report:?}");
    assert!(same(&a, &hub).await);

    plan.nth(Call::Push, 1, Fault::Fail(ErrorKind::Denied));
    // Too large to be sent with hello.
    manager.replica().record([note(&"y".repeat(20_000), 1)]).await.expect("recorded");
    let failed = manager.sync().await.expect_err("denied is not retried");
    assert_eq!(failed.error.kind(), ErrorKind::Denied);
    assert_eq!((failed.report.round_trips, failed.report.pushed), (3, 0));
    manager.sync().await.expect("the next sync goes on");
    assert!(same(&a, &hub).await);
}

#[tokio::test(start_paused = true)]
async fn what_is_recorded_while_the_peer_cannot_be_reached_goes_with_the_sync_that_reaches_it() {
    let (a, hub, plan) = (store("a"), store("hub"), FaultPlan::new());
    let transport = FaultyTransport::new(Endpoint::new(hub.clone()), plan.clone());
    let manager = SyncManager::new(a.clone(), transport);
    manager.replica().record([note("before", 1)]).await.expect("recorded");
    manager.sync().await.expect("synced");
    plan.nth(Call::Hello, 1, Fault::LOSE_REQUEST);
    manager.replica().record([note("before", 2)]).await.expect("recorded");
    let syncing = tokio::spawn({
        let manager = manager.clone();
        async move { manager.sync().await }
    });
    while plan.calls(Call::Hello) < 2 {
        tokio::task::yield_now().await;
    }
    manager.replica().record([note("meanwhile", 3)]).await.expect("recorded");
    let report = syncing.await.expect("ends").expect("synced");
    assert_eq!((report.pushed, report.round_trips), (2, 3), "{report:?}");
    assert!(same(&a, &hub).await);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_answers_is_a_timeout() {
    let plan = FaultPlan::new();
    plan.nth(Call::Pull, 1, Fault::Hang);
    let transport = FaultyTransport::new(Endpoint::new(store("hub")), plan.clone());
    let builder = SyncManager::builder(store("a"), transport).with_retry(RetryPolicy::never());
    let manager = builder.with_call_timeout(Duration::from_secs(5)).build();
    let failed = manager.sync().await.expect_err("nobody answers");
    assert_eq!((failed.error.kind(), failed.is_retryable()), (ErrorKind::Timeout, true));
    manager.sync().await.expect("the next one is answered");

    plan.nth(Call::Push, 1, Fault::Hang);
    let transport = FaultyTransport::new(Endpoint::new(store("hub")), plan);
    let whole = SyncManager::builder(store("b"), transport).with_sync_timeout(Duration::from_secs(3)).build();
    whole.replica().record([note("x", 1)]).await.expect("recorded");
    let failed = whole.sync().await.expect_err("the sync takes too long");
    assert_eq!(failed.error.kind(), ErrorKind::Timeout);
    assert_eq!(failed.report.duration.as_secs(), 3);
}

#[tokio::test]
async fn what_a_peer_refused_for_its_size_is_offered_when_it_takes_it() {
    let (a, hub) = (store("a"), store("hub"));
    let strict = Limits { event_bytes: 1_000, ..Limits::default() };
    let manager = SyncManager::new(a.clone(), Endpoint::new(hub.clone()).with_limits(strict));
    let events = [note("small", 1), note(&"large ".repeat(500), 2), note("small", 3)];
    manager.replica().record(events).await.expect("recorded");
    let report = manager.sync().await.expect("syncs");
    assert_eq!((report.pushed, report.refused_count), (2, 1));
    assert_eq!(manager.replica().status().await.expect("a status").refused_by_peers, 1);
    let report = manager.sync().await.expect("nothing is blocked");
    assert_eq!((report.refused_count, report.refused_before), (0, 1), "it stands, and is said");

    let roomy = SyncManager::new(a.clone(), Endpoint::new(hub.clone()));
    assert_eq!(roomy.sync().await.expect("syncs").pushed, 1, "the peer takes its size now");
    assert!(same(&a, &hub).await);
    assert!(roomy.replica().refused().await.expect("listed").is_empty());
}

/// Creates a replica whose next sync brings two conflicts, and the hub.
async fn with_two_conflicts() -> (MemoryStore, MemoryStore) {
    let (a, b, hub) = (store("a"), store("b"), store("hub"));
    for (side, store) in [("a", &a), ("b", &b)] {
        let manager = SyncManager::new(store.clone(), Endpoint::new(hub.clone()));
        manager.replica().record([note(side, 1), note(side, 2)]).await.expect("recorded");
    }
    SyncManager::new(b, Endpoint::new(hub.clone())).sync().await.expect("syncs");
    (a, hub)
}

#[tokio::test]
async fn a_resolver_that_fails_leaves_the_conflict_listed_and_stops_nothing() {
    let resolver = Closure::new("asked", |conflict: &Conflict| match conflict.aggregate_id.as_str() {
        "note-1" => panic!("a fault of the resolver"),
        _ => Ok(Answer::KeepAll),
    });
    let (a, hub) = with_two_conflicts().await;
    let manager = SyncManager::builder(
        Replica::builder(a.clone()).with_resolver(resolver).build(),
        Endpoint::new(hub.clone()),
    )
    .build();
    let report = manager.sync().await.expect("syncs");
    let conflicts = report.conflicts;
    assert_eq!((conflicts.found, conflicts.settled, conflicts.left), (2, 1, 1));
    assert_eq!(report.pushed, 3, "two events and a resolution");
    let listed = manager.replica().conflicts().await.expect("listed");
    assert_eq!(listed.iter().map(|open| open.aggregate.as_str()).collect::<Vec<_>>(), ["note-1"]);

    let report = SyncManager::new(a.clone(), Endpoint::new(hub.clone())).sync().await.expect("syncs");
    assert_eq!((report.conflicts.settled, report.conflicts.left), (1, 0));
    assert!(manager.replica().conflicts().await.expect("listed").is_empty());
    assert!(same(&a, &hub).await);
}

#[tokio::test]
async fn a_conflict_left_for_review_waits_and_a_new_event_on_top_settles_it() {
    let (a, hub) = with_two_conflicts().await;
    let review = ManualReview;
    let manager =
        SyncManager::builder(Replica::builder(a.clone()).with_resolver(review).build(), Endpoint::new(hub))
            .build();
    assert_eq!(manager.sync().await.expect("syncs").conflicts.left, 2);
    manager.replica().record([note("I have seen both", 1), note("here too", 2)]).await.expect("recorded");
    assert!(manager.replica().conflicts().await.expect("listed").is_empty());
    let history = manager.replica().history(&note("", 1).aggregate_id).await.expect("a history");
    assert_eq!(history.live().count(), 3, "nobody lost");
}

#[tokio::test]
async fn a_closure_filter_is_applied_on_this_side() {
    let (a, b, hub) = (store("a"), store("b"), store("hub"));
    let all = SyncManager::new(b, Endpoint::new(hub.clone()));
    all.replica().record([note("short", 1), note(&"long ".repeat(100), 2)]).await.expect("recorded");
    all.sync().await.expect("syncs");
    let manager = SyncManager::builder(a.clone(), Endpoint::new(hub))
        .with_local_filter("short", |event| event.data.as_bytes().len() < 100)
        .expect("named")
        .build();
    manager.replica().record([note("short too", 3), note(&"long ".repeat(100), 4)]).await.expect("recorded");
    let report = manager.sync().await.expect("syncs");
    assert_eq!((report.pulled, report.pushed), (1, 1));
    let again = manager.sync().await.expect("syncs");
    assert_eq!((again.pulled, again.pushed, again.duplicates), (0, 0, 0));
}

#[tokio::test]
async fn what_came_from_one_hub_reaches_another() {
    let (a, b, one, two) = (store("a"), store("b"), store("one"), store("two"));
    let there = SyncManager::new(b, Endpoint::new(one.clone()));
    there.replica().record((0..20).map(|n| note("from b", n))).await.expect("recorded");
    there.sync().await.expect("syncs");
    SyncManager::new(a.clone(), Endpoint::new(one.clone())).sync().await.expect("syncs");
    let report = SyncManager::new(a, Endpoint::new(two.clone())).sync().await.expect("syncs");
    assert_eq!(report.pushed, 20);
    assert!(same(&one, &two).await);
}

#[tokio::test]
async fn a_copy_of_oneself_and_a_namesake_take_a_fresh_name_and_oneself_is_refused() {
    let a = store("a");
    let copy = SyncManager::new(a.clone(), Endpoint::new(a.copy()));
    copy.replica().record([note("of the copy", 1)]).await.expect("recorded");
    let report = copy.sync().await.expect("syncs");
    assert_eq!((report.recovery.renewed, report.pushed), (Some(Renewal::CopyInUse), 2), "{report:?}");
    let namesake = SyncManager::new(store("b"), Endpoint::new(store("b")));
    let report = namesake.sync().await.expect("syncs");
    assert_eq!(report.recovery.renewed, Some(Renewal::NameTaken), "{report:?}");
    let failed = SyncManager::new(a.clone(), Endpoint::new(a)).sync().await.expect_err("it is the same");
    assert_eq!(failed.error.kind(), ErrorKind::Conflict);
    assert!(failed.to_string().contains("same store"), "{failed}");
}

#[tokio::test]
async fn a_sync_dropped_at_any_await_loses_nothing() {
    let (a, b, hub) = (store("a"), store("b"), store("hub"));
    let manage = |store: &MemoryStore| {
        let plan = FaultPlan::seeded(1).with_chance(100, Fault::Delay(Duration::ZERO));
        let slow = FaultyTransport::new(Endpoint::new(hub.clone()), plan);
        SyncManager::builder(store.clone(), slow).with_batch_size(3).build()
    };
    let other = SyncManager::new(b.clone(), Endpoint::new(hub.clone()));
    let mut finished = false;
    let mut polls = 0;
    while !finished {
        other.replica().record([note("from b", polls % 3)]).await.expect("recorded");
        other.sync().await.expect("syncs");
        let manager = manage(&a);
        manager.replica().record([note("from a", polls % 3)]).await.expect("recorded");
        finished = drop_at(polls, manager.sync()).await.is_some();
        polls += 1;
    }
    assert!(polls > 5, "the sync was dropped {polls} times only");
    for _ in 0..3 {
        manage(&a).sync().await.expect("syncs");
        other.sync().await.expect("syncs");
    }
    assert!(same(&a, &hub).await && same(&b, &hub).await);
    assert_eq!(a.notes_under("refused/").await.expect("notes").len(), 0);
}

#[tokio::test]
async fn recording_is_idempotent_by_id_and_all_or_nothing() {
    let manager = SyncManager::new(store("a"), Endpoint::new(store("hub")));
    let named = || note("once", 1).with_id("e-1".parse().expect("a short id"));
    manager.replica().record([named()]).await.expect("recorded");
    let again = manager.replica().record([named(), note("new", 2)]).await.expect("recorded");
    assert_eq!((again.events.len(), again.duplicates.len(), again.head), (1, 1, 2));
    let other = note("other content", 1).with_id("e-1".parse().expect("a short id"));
    let failed = manager.replica().record([note("fine", 3), other]).await.expect_err("the id is taken");
    assert_eq!(failed.kind(), ErrorKind::Conflict);
    assert!(failed.to_string().contains("number 2"), "{failed}");
    assert_eq!(manager.replica().status().await.expect("a status").events, 2);
}

/// Limits reading by metadata, and writing by author.
struct Tenants;

impl Access for Tenants {
    fn may_read(&self, caller: &Caller, event: &Event) -> bool {
        event.metadata.field("for").is_none_or(|name| name == caller.node.as_str())
    }

    fn may_write(&self, caller: &Caller, event: &Event) -> bool {
        OwnEvents::default().may_write(caller, event)
    }
}

#[tokio::test]
async fn callers_read_and_write_only_what_they_may() {
    let (a, b, hub) = (store("a"), store("b"), store("hub"));
    let guarded = Endpoint::new(hub.clone()).with_access(Tenants);
    // `b` relays what `a` wrote, between two of its own events.
    let manager = SyncManager::new(b.clone(), guarded.clone());
    manager.replica().record([note("of b", 1)]).await.expect("recorded");
    let to_b = SyncManager::new(a.clone(), Endpoint::new(b.clone()));
    to_b.replica().record([note("of a", 2)]).await.expect("recorded");
    to_b.push().await.expect("pushed");
    let secret = Metadata::of(&[("for", "b")].into_iter().collect::<BTreeMap<_, _>>()).expect("an object");
    let large = note(&"too large ".repeat(60_000), 4);
    let roomy = Limits { event_bytes: 1 << 20, ..Limits::default() };
    let recorder =
        SyncManager::builder(Replica::builder(b.clone()).with_limits(roomy).build(), guarded.clone()).build();
    recorder.replica().record([note("for b", 3).with_metadata(secret), large]).await.expect("recorded");

    let report = manager.sync().await.expect("syncs");
    let codes: Vec<RefusedCode> = report.refused.iter().map(|refusal| refusal.code).collect();
    assert_eq!((report.pushed, codes), (2, vec![RefusedCode::Denied, RefusedCode::TooLarge]));
    let listed = manager.replica().refused().await.expect("listed");
    let log = b.read(synckit::store::Query::after(0)).await.expect("read").events;
    for aside in listed {
        let position = aside.position.expect("it is in the local log");
        assert_eq!(log[position as usize - 1].event.id.as_str(), aside.id, "the right event is set aside");
    }

    let report = SyncManager::new(a, guarded).sync().await.expect("syncs");
    assert_eq!((report.pulled, report.pushed), (1, 1), "a may not read what is for b");
}

/// A hub with an odd connection.
struct Odd(Endpoint<MemoryStore>, Oddity);

#[derive(Clone, Copy, PartialEq)]
enum Oddity {
    /// At most ten events get through at a time.
    Narrow,
    /// The second page ends where it began, and always promises more.
    Stuck,
    /// The third page ends where the first did, and always promises more.
    Turning,
    /// The log grows by more than a page while a page is read.
    Growing,
    /// An event cannot be read, and whoever asks for it gets others.
    Evasive,
}

fn in_time(events: usize) -> Result<()> {
    match events {
        0..=10 => Ok(()),
        _ => Err(synckit::Error::new(ErrorKind::Timeout, "too much for this way")),
    }
}

impl Transport for Odd {
    forward!(0: hello, missing, subscribe, traffic, close);

    async fn pull(&self, request: PullRequest) -> Result<PullResponse> {
        let (reached, scope) = (request.cursor.clone(), request.scope.clone());
        let mut page = self.0.pull(request).await?;
        match (self.1, reached) {
            (Oddity::Turning, Some(reached)) if reached.position() > 10 => {
                let next = self.0.store().cursor_at(10).await?;
                Ok(PullResponse { next, more: true, ..page })
            }
            (Oddity::Growing, _) => {
                let replica = Replica::new(self.0.store().clone());
                replica.record((0..20).map(|number| note("more", number))).await?;
                Ok(PullResponse { more: true, ..page })
            }
            (Oddity::Evasive, _) if scope != Scope::Others => {
                page.events = Replica::new(self.0.store().clone()).record([note("other", 1)]).await?.events;
                Ok(page)
            }
            (Oddity::Evasive, _) => {
                let first = page.events.remove(0);
                page.unreadable.push(Unreadable {
                    id: first.id.to_string(),
                    code: RefusedCode::Invalid,
                    message: "damaged on the way".to_owned(),
                    text: String::new(),
                });
                Ok(page)
            }
            (Oddity::Turning, _) => Ok(page),
            (Oddity::Narrow, _) => in_time(page.events.len()).map(|()| page),
            (Oddity::Stuck, Some(next)) => Ok(PullResponse { next, more: true, ..page }),
            (Oddity::Stuck, None) => Ok(page),
        }
    }

    async fn push(&self, request: PushRequest) -> Result<PushResponse> {
        if self.1 == Oddity::Narrow {
            in_time(request.events.len())?;
        }
        self.0.push(request).await
    }
}

#[tokio::test]
async fn a_slow_link_makes_a_sync_slow_and_not_impossible() {
    let (a, b, hub) = (store("a"), store("b"), store("hub"));
    let sender = SyncManager::new(a.clone(), Odd(Endpoint::new(hub.clone()), Oddity::Narrow));
    sender.replica().record((0..300).map(|number| note("far away", number))).await.expect("recorded");
    let report = sender.sync().await.expect("it gets through in small parts");
    assert_eq!((report.pushed, report.refused_count), (300, 0));
    let receiver = SyncManager::new(b.clone(), Odd(Endpoint::new(hub.clone()), Oddity::Narrow));
    let report = receiver.sync().await.expect("it gets through in small parts");
    assert_eq!(report.pulled, 300);
    assert!(report.round_trips < 100, "{report:?}");
    assert!(same(&a, &b).await);
}

/// Returns a hub with events, and a manager that meets it over an odd connection, ten events at a time.
async fn with_odd_hub(events: usize, oddity: Oddity) -> (MemoryStore, SyncManager<MemoryStore, Odd>) {
    let hub = store("hub");
    let notes = (0..events).map(|number| note("first", number));
    Replica::new(hub.clone()).record(notes).await.expect("recorded");
    let odd = Odd(Endpoint::new(hub.clone()), oddity);
    (hub, SyncManager::builder(store("a"), odd).with_batch_size(10).build())
}

/// A sync ends at the end that the peer's log had when it said hello.
#[tokio::test]
async fn a_peer_whose_log_grows_all_the_time_does_not_keep_a_sync_busy() {
    let (_, manager) = with_odd_hub(30, Oddity::Growing).await;
    let report = manager.pull().await.expect("pulls");
    assert_eq!((report.pulled, report.peer_head), (30, 30), "{report:?}");
    let report = manager.pull().await.expect("pulls what came since");
    assert_eq!(report.pulled, 60, "{report:?}");
}

/// Cursors that go back and forth are no progress.
#[tokio::test]
async fn a_peer_whose_cursor_goes_back_is_an_error_and_not_the_end() {
    let (_, manager) = with_odd_hub(100, Oddity::Turning).await;
    let error = manager.pull().await.expect_err("it does not move on");
    assert_eq!((error.error.kind(), error.report.pulled), (ErrorKind::Corrupt, 20), "{error}");
    assert!(error.to_string().contains("does not move on"), "{error}");
}

/// Only what was asked for is stored, and asking ends when it does not come.
#[tokio::test]
async fn a_peer_that_sends_other_events_than_those_asked_for_adds_none() {
    let (hub, manager) = with_odd_hub(3, Oddity::Evasive).await;
    assert_eq!(manager.pull().await.expect("pulls").pulled, 2);
    let report = manager.pull().await.expect("asks once more");
    assert_eq!(report.recovery.taken_back, 0, "{report:?}");
    assert_eq!(hub.head().await.expect("a head").position, 4, "it was asked once");
}

/// Holds even if the pages before it are still being stored.
#[tokio::test]
async fn a_peer_whose_cursor_does_not_move_is_an_error_and_not_the_end() {
    let (hub, manager) = with_odd_hub(30, Oddity::Stuck).await;
    let a = manager.replica().store().clone();
    let failed = manager.sync().await.expect_err("the peer never comes to an end");
    assert_eq!((failed.error.kind(), failed.report.pulled), (ErrorKind::Corrupt, 10), "{failed}");
    let right = SyncManager::new(a.clone(), Endpoint::new(hub.clone()));
    assert_eq!(right.sync().await.expect("syncs").pulled, 20);
    assert!(same(&a, &hub).await);
}

#[tokio::test]
async fn a_recovery_that_breaks_off_again_and_again_comes_to_its_end() {
    let (a, hub) = (store("a"), store("hub"));
    let manage = |store: &MemoryStore, plan: FaultPlan| {
        let transport = FaultyTransport::new(Endpoint::new(hub.clone()), plan);
        let builder = SyncManager::builder(store.clone(), transport).with_retry(RetryPolicy::never());
        builder.with_batch_size(10).build()
    };
    let before = a.copy();
    let manager = manage(&a, FaultPlan::new());
    manager
        .replica()
        .record((0..300).map(|number| note("lost with the file", number % 7)))
        .await
        .expect("recorded");
    manager.sync().await.expect("syncs");

    let restored = before;
    manage(&restored, FaultPlan::new())
        .replica()
        .record([note("recorded since", 1)])
        .await
        .expect("recorded");
    let mut syncs = 0;
    loop {
        // Three pages get through before the network fails again.
        let plan = FaultPlan::new();
        plan.nth(Call::Pull, 4, Fault::LOSE_REQUEST);
        syncs += 1;
        assert!(syncs < 40, "the recovery makes no progress");
        match manage(&restored, plan).sync().await {
            Ok(_) => break,
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
    }
    assert!(syncs >= 10, "the recovery was broken off {syncs} times only");
    let manager = manage(&restored, FaultPlan::new());
    manager.sync().await.expect("syncs");
    assert!(same(&restored, &hub).await);
    let events = Digest::of(&hub).await.expect("a digest").events;
    assert!(events >= 301, "{events}");
    assert_eq!(manager.sync().await.expect("syncs").recovery.renewed, None, "it is over");
}

/// A transport that spoils one event of its first page.
struct Spoils<T>(T, std::sync::atomic::AtomicBool);

impl<T: Transport> Transport for Spoils<T> {
    forward!(0: hello, push, missing, subscribe, traffic, close);

    async fn pull(&self, request: PullRequest) -> Result<PullResponse> {
        let mut page = self.0.pull(request).await?;
        if !page.events.is_empty() && !self.1.swap(true, std::sync::atomic::Ordering::Relaxed) {
            let id = page.events.remove(0).id.to_string();
            let (code, message) = (RefusedCode::Invalid, "it cannot be read".to_owned());
            page.unreadable.push(Unreadable { id, code, message, text: "spoilt".to_owned() });
        }
        Ok(page)
    }
}

#[tokio::test]
async fn what_could_not_be_read_is_fetched_once_more_before_it_is_set_aside_for_good() {
    let (a, hub) = (store("a"), store("hub"));
    Replica::new(hub.clone()).record([note("x", 1), note("y", 2)]).await.expect("recorded");
    let spoils = Spoils(Endpoint::new(hub.clone()), Default::default());
    let manager = SyncManager::new(a.clone(), spoils);
    let report = manager.sync().await.expect("syncs");
    assert_eq!((report.pulled, report.refused_count), (1, 1));
    assert_eq!(manager.replica().refused().await.expect("listed").len(), 1);
    assert_eq!(manager.sync().await.expect("syncs").pulled, 1);
    assert!(manager.replica().refused().await.expect("listed").is_empty());
    assert!(same(&a, &hub).await);
    assert_eq!(manager.sync().await.expect("syncs").round_trips, 1, "it is asked for once");
}

#[tokio::test(start_paused = true)]
async fn a_sync_that_is_killed_while_a_page_is_slow_leaves_a_smaller_size_behind() {
    let (a, hub, plan) = (store("a"), store("hub"), FaultPlan::new());
    Replica::new(hub.clone()).record((0..300).map(|n| note("x", n))).await.expect("recorded");
    plan.nth(Call::Pull, 1, Fault::Hang);
    let transport = FaultyTransport::new(Endpoint::new(hub.clone()), plan);
    let manager = SyncManager::new(a.clone(), transport);
    assert!(drop_after(Duration::from_secs(3), manager.sync()).await, "nobody answers");
    let peer = hub.head().await.expect("a head").store;
    let left = a.note(notes::pace(peer)).await.expect("read").expect("left behind");
    assert_eq!(left.parse::<PaceNote>().expect("a pace").pull, Some(250));
    let report = SyncManager::new(a.clone(), Endpoint::new(hub.clone())).sync().await.expect("syncs");
    assert_eq!((report.pulled, report.round_trips), (300, 3), "a hello and two pages");
}

/// Drops a future after some time. Returns whether it was not done by then.
async fn drop_after(time: Duration, future: impl Future) -> bool {
    tokio::time::timeout(time, future).await.is_err()
}

/// A peer that cannot read the ids of what it refuses.
struct Nameless(Endpoint<MemoryStore>);

impl Transport for Nameless {
    forward!(0: hello, pull, missing, subscribe, traffic, close);

    async fn push(&self, request: PushRequest) -> Result<PushResponse> {
        let mut answer = self.0.push(request).await?;
        answer.refused.iter_mut().for_each(|refused| refused.id.clear());
        Ok(answer)
    }
}

#[tokio::test]
async fn a_refused_event_whose_id_the_peer_could_not_read_is_found_in_halves() {
    let (a, hub) = (store("a"), store("hub"));
    let small = Limits { event_bytes: 10_000, ..Limits::default() };
    let manager = SyncManager::new(a, Nameless(Endpoint::new(hub.clone()).with_limits(small)));
    let large = note(&"too large ".repeat(3_000), 10).with_id("large".parse().expect("a short id"));
    let events = (0..10).map(|number| note("fits", number)).chain([large]);
    manager
        .replica()
        .record(events.chain((11..21).map(|number| note("fits", number))))
        .await
        .expect("recorded");
    let report = manager.sync().await.expect("syncs");
    assert_eq!((report.pushed, report.refused_count), (20, 1), "{report:?}");
    assert_eq!((report.refused[0].id.as_str(), report.refused[0].code), ("large", RefusedCode::TooLarge));
    let aside = manager.replica().refused().await.expect("listed");
    assert_eq!((aside.len(), aside[0].position), (1, Some(11)));
    assert_eq!(Digest::of(&hub).await.expect("a digest").events, 20);
}
