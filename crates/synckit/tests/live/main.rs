//! Replicas that stay together with a hub by themselves.

mod seeds;
mod wire;

use std::time::Duration;

use synckit::stay::{Live, LiveState, LiveStatus};
use synckit::store::Query;
use synckit::{
    Digest, Direction, ErrorKind, EventStore, Filter, LastWriteWins, ManualReview, NewEvent, NodeId, Replica,
    SyncManager,
};
use synckit_memory::MemoryStore;
use synckit_testkit::{Call, FaultPlan, FaultyStore};
use tokio::time::{Instant, sleep, timeout};

use wire::{Is, Wire};

type Manager = SyncManager<MemoryStore, Wire>;

fn store(name: &str) -> MemoryStore {
    MemoryStore::new(NodeId::new(name).expect("a short name")).expect("randomness")
}

fn note(text: &str, number: usize) -> NewEvent {
    NewEvent::new("NoteEdited", format!("note-{number}"), text).expect("a good event")
}

fn manager(store: &MemoryStore, wire: &Wire) -> Manager {
    SyncManager::new(Replica::builder(store.clone()).with_resolver(LastWriteWins).build(), wire.clone())
}

async fn same(left: &impl EventStore, right: &impl EventStore) -> bool {
    Digest::of(left).await.expect("a digest") == Digest::of(right).await.expect("a digest")
}

/// Waits until the status is such.
async fn until(live: &Live, wanted: impl Fn(&LiveStatus) -> bool) -> LiveStatus {
    let mut status = live.watch();
    let found = timeout(Duration::from_secs(600), status.wait_for(wanted)).await;
    match found {
        Ok(status) => status.expect("it is live").clone(),
        Err(_) => panic!("never so: {:?}", live.status()),
    }
}

fn waits(status: &LiveStatus) -> bool {
    matches!(status.state, LiveState::Waiting { .. })
}

#[tokio::test(start_paused = true)]
async fn what_one_records_the_other_has_at_once() {
    let (a, b, hub) = (store("a"), store("b"), store("hub"));
    let (to_a, to_b) = (Wire::to(&hub), Wire::to(&hub));
    let (left, right) = (manager(&a, &to_a), manager(&b, &to_b));
    let lives = [left.live().unwrap(), right.live().unwrap()];
    for live in &lives {
        live.synced().await.unwrap();
        until(live, |status| status.state == LiveState::Live).await;
    }
    let hellos = to_a.hellos() + to_b.hellos();
    for round in 0..50 {
        let begun = Instant::now();
        left.replica().record([note("left", round)]).await.unwrap();
        b.moved(2 * round as u64).await.unwrap();
        right.replica().record([note("right", round + 1_000)]).await.unwrap();
        a.moved(2 * round as u64 + 1).await.unwrap();
        assert!(begun.elapsed() < Duration::from_millis(50), "{:?}", begun.elapsed());
    }
    assert!(same(&a, &hub).await && same(&b, &hub).await);
    for live in &lives {
        assert!(until(live, LiveStatus::is_up_to_date).await.synced_at.is_some());
    }
    assert_eq!(to_a.hellos() + to_b.hellos(), hellos, "nobody had to start over");
}

#[tokio::test(start_paused = true)]
async fn edits_at_the_same_moment_are_settled() {
    let (a, b, hub) = (store("a"), store("b"), store("hub"));
    let wires = [Wire::to(&hub), Wire::to(&hub)];
    let managers = [manager(&a, &wires[0]), manager(&b, &wires[1])];
    let lives = managers.each_ref().map(|manager| manager.live().unwrap());
    for round in 0..20 {
        for (number, manager) in managers.iter().enumerate() {
            manager.replica().record([note(&format!("{number} {round}"), 1)]).await.unwrap();
        }
        sleep(Duration::from_millis(round * 3)).await;
    }
    for _ in 0..2 {
        for live in &lives {
            live.synced().await.unwrap();
        }
    }
    assert!(same(&a, &hub).await && same(&b, &hub).await);
    assert_eq!(managers[0].replica().status().await.unwrap().conflicts, 0);
}

/// With its runtime a replica ends at once, and says so; nothing is half done, and it goes on in another runtime.
#[test]
fn a_runtime_that_ends_leaves_nothing_running_and_nothing_half_done() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (a, hub) = (store("a"), store("hub"));
    let manager = manager(&a, &Wire::to(&hub));
    for round in 0..5 {
        let first = runtime();
        let live = first.block_on(async {
            let live = manager.live().unwrap();
            live.synced().await.unwrap();
            manager
                .replica()
                .record((0..20).map(|number| note("left behind", round * 20 + number)))
                .await
                .unwrap();
            live
        });
        drop(first);
        let status = live.status();
        assert!(matches!(status.state, LiveState::Stopped { reason: Some(_) }), "{status:?}");
        assert!(!status.is_up_to_date());
        runtime().block_on(async {
            live.synced().await.expect_err("it has ended");
            drop(live);
            let again = manager.live().unwrap();
            let status = again.synced().await.unwrap();
            assert!(status.is_up_to_date(), "{status:?}");
            assert!(same(&a, &hub).await);
            again.stop().await;
        });
    }
}

/// A copy in use pushes under the same id: what it brings counts as what came from here, and must come all the same.
#[tokio::test(start_paused = true)]
async fn what_a_copy_of_a_live_replica_pushes_comes_before_its_effects() {
    let (a, hub) = (store("a"), store("hub"));
    let live_one = manager(&a, &Wire::to(&hub));
    live_one.replica().record([note("first", 1)]).await.unwrap();
    let live = live_one.live().unwrap();
    live.synced().await.unwrap();
    until(&live, |status| status.state == LiveState::Live).await;
    let copy = manager(&a.copy(), &Wire::to(&hub));
    copy.replica().record([NewEvent::new("Cause", "x", &1).unwrap()]).await.unwrap();
    copy.push().await.unwrap();
    let effect = [NewEvent::new("Effect", "x", &1).unwrap()];
    Replica::new(hub.clone()).record(effect).await.unwrap();
    a.moved(2).await.unwrap();
    live.synced().await.unwrap();
    let events = a.read(Query::after(0)).await.unwrap().events;
    let place = |of: &str| events.iter().position(|stored| stored.event.event_type.as_str() == of);
    assert!(place("Cause").is_some() && place("Cause") < place("Effect"), "{events:?}");
    assert!(same(&a, &hub).await);
}

/// Each of two replicas syncs with the other from its own side. What one pushes ends the other's exchange, which starts
/// over; that must neither go on for ever nor keep anything back.
#[tokio::test(start_paused = true)]
async fn two_that_are_live_with_each_other_stay_together() {
    let (a, b) = (store("a"), store("b"));
    let (to_a, to_b) = (Wire::to(&a), Wire::to(&b));
    let managers = [manager(&a, &to_b), manager(&b, &to_a)];
    let lives = managers.each_ref().map(|manager| manager.live().unwrap());
    for round in 0..50 {
        for (number, manager) in managers.iter().enumerate() {
            manager.replica().record([note(&format!("{number} {round}"), round + number)]).await.unwrap();
        }
        sleep(Duration::from_millis(200 * (round as u64 % 3))).await;
    }
    for live in &lives {
        live.synced().await.unwrap();
    }
    assert!(same(&a, &b).await);
    let hellos = to_a.hellos() + to_b.hellos();
    assert!(hellos < 400, "{hellos} hellos for 100 events");
    sleep(Duration::from_secs(60)).await;
    let later = to_a.hellos() + to_b.hellos();
    assert!(later - hellos <= 4, "they come to rest");
}

#[tokio::test(start_paused = true)]
async fn a_cut_is_waited_out() {
    let (a, b, hub) = (store("a"), store("b"), store("hub"));
    let (to_a, to_b) = (Wire::to(&hub), Wire::to(&hub));
    let (left, right) = (manager(&a, &to_a), manager(&b, &to_b));
    let (live_a, live_b) = (left.live().unwrap(), right.live().unwrap());
    for is in [Is::Cut, Is::HalfOpen, Is::Cut] {
        live_a.synced().await.unwrap();
        to_a.set(is);
        until(&live_a, waits).await;
        left.replica().record((0..3).map(|number| note("offline", number))).await.unwrap();
        let status = until(&live_a, |status| status.pending == 3).await;
        assert!(!status.is_up_to_date(), "{status:?}");
        let error = live_a.synced_within(Duration::from_secs(5)).await.expect_err("it is cut");
        assert!(error.kind() == ErrorKind::Timeout && error.to_string().contains("pending: 3"), "{error}");
        right.replica().record([note("meanwhile", 7)]).await.unwrap();
        live_b.synced().await.unwrap();
        to_a.set(Is::Good);
        live_a.nudge();
        let begun = Instant::now();
        assert!(live_a.synced().await.unwrap().is_up_to_date());
        assert!(begun.elapsed() < Duration::from_secs(1), "a nudge ends the waiting");
        live_b.synced().await.unwrap();
        assert!(same(&a, &hub).await && same(&b, &hub).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_gone_for_an_hour_is_called_at_most_two_hundred_times() {
    let (a, hub) = (store("a"), store("hub"));
    let wire = Wire::to(&hub);
    let manager = manager(&a, &wire);
    let live = manager.live().unwrap();
    live.synced().await.unwrap();
    wire.set(Is::Cut);
    let before = wire.hellos();
    for minute in 0..60 {
        manager.replica().record([note("offline", minute)]).await.unwrap();
        sleep(Duration::from_secs(60)).await;
    }
    let attempts = wire.hellos() - before;
    assert!((60..=200).contains(&attempts), "{attempts} attempts");
    wire.set(Is::Good);
    timeout(Duration::from_secs(31), live.synced()).await.expect("within one wait").unwrap();
    assert!(same(&a, &hub).await);
}

#[tokio::test(start_paused = true)]
async fn an_idle_hour_costs_no_commit() {
    let (a, hub) = (store("a"), store("hub"));
    let (plan, hub_plan) = (FaultPlan::new(), FaultPlan::new());
    let wire = Wire::to(&hub);
    let replica = FaultyStore::new(a.clone(), plan.clone());
    let manager = SyncManager::new(replica, wire.clone());
    manager.replica().record([note("one", 1)]).await.unwrap();
    let live = manager.live().unwrap();
    live.synced().await.unwrap();
    until(&live, |status| status.state == LiveState::Live).await;
    sleep(Duration::from_secs(1)).await;
    let before = (plan.calls(Call::Commit), plan.total(), hub.head().await.unwrap(), wire.hellos());
    sleep(Duration::from_secs(3_600)).await;
    let after = (plan.calls(Call::Commit), plan.total(), hub.head().await.unwrap(), wire.hellos());
    assert_eq!(before, after, "commits, calls of the store, the hub's head, hellos");
    assert_eq!(hub_plan.total(), 0);
    assert!(live.status().is_up_to_date());
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_records_in_a_second_are_at_most_a_hundred_pushes() {
    let (a, hub) = (store("a"), store("hub"));
    let wire = Wire::to(&hub);
    let manager = manager(&a, &wire);
    let live = manager.live().unwrap();
    live.synced().await.unwrap();
    let before = wire.pushes();
    for number in 0..1_000 {
        manager.replica().record((0..10).map(|part| note("many", number * 10 + part))).await.unwrap();
        sleep(Duration::from_millis(1)).await;
    }
    let pushes = wire.pushes() - before;
    assert!(pushes <= 100, "{pushes} pushes");
    live.synced().await.unwrap();
    assert!(same(&a, &hub).await);
}

#[tokio::test(start_paused = true)]
async fn where_subscriptions_bring_nothing_the_peer_is_asked() {
    let (a, b, hub) = (store("a"), store("b"), store("hub"));
    let wire = Wire::to(&hub);
    wire.buffer();
    let live = manager(&a, &wire).live().unwrap();
    until(&live, |status| status.state == LiveState::Polling).await;
    let other = manager(&b, &Wire::to(&hub));
    other.replica().record([note("from b", 1)]).await.unwrap();
    other.sync().await.unwrap();
    timeout(Duration::from_secs(20), a.moved(0)).await.expect("asked by then").unwrap();
    Replica::new(a.clone()).record([note("local", 5)]).await.unwrap();
    timeout(Duration::from_millis(50), hub.moved(1)).await.expect("pushed at once").unwrap();
    assert!(until(&live, LiveStatus::is_up_to_date).await.state == LiveState::Polling);
}

#[tokio::test(start_paused = true)]
async fn it_is_paused_and_led_to_another_filter() {
    let (a, b, hub) = (store("a"), store("b"), store("hub"));
    let left = manager(&a, &Wire::to(&hub));
    let right = manager(&b, &Wire::to(&hub));
    let event = |kind: &str, number: usize| NewEvent::new(kind, format!("n-{number}"), "x").unwrap();
    right.replica().record([event("A", 1), event("B", 2)]).await.unwrap();
    right.sync().await.unwrap();
    let only = |kind: &str| Filter::new().with_type(kind).unwrap();
    let wire = Wire::to(&hub);
    let narrow = SyncManager::builder(a.clone(), wire.clone()).with_filter(only("A")).build();
    let live = narrow.live().unwrap();
    live.synced().await.unwrap();
    assert_eq!(a.head().await.unwrap().position, 1);
    live.set_filter(Filter::new());
    live.synced().await.unwrap();
    assert_eq!(a.head().await.unwrap().position, 2);

    live.pause();
    until(&live, |status| status.state == LiveState::Paused).await;
    left.replica().record([event("A", 3)]).await.unwrap();
    assert_eq!(until(&live, |status| status.pending == 1).await.state, LiveState::Paused);
    let error = live.synced_within(Duration::from_secs(60)).await.expect_err("it is paused");
    assert!(error.to_string().contains("paused"), "{error}");
    assert_eq!(hub.head().await.unwrap().position, 2);
    live.resume();
    live.synced().await.unwrap();
    assert_eq!(hub.head().await.unwrap().position, 3);
}

#[tokio::test(start_paused = true)]
async fn one_way_is_one_way() {
    let (a, b, hub) = (store("a"), store("b"), store("hub"));
    for (store, direction) in [(&a, Direction::PushOnly), (&b, Direction::PullOnly)] {
        let manager = SyncManager::builder(store.clone(), Wire::to(&hub)).with_direction(direction).build();
        let live = manager.live().unwrap();
        live.synced().await.unwrap();
        manager.replica().record([note("local", 1)]).await.unwrap();
        assert!(live.synced().await.unwrap().is_up_to_date());
        live.stop().await;
    }
    assert_eq!((a.head().await.unwrap().position, b.head().await.unwrap().position), (1, 2));
    assert_eq!(hub.head().await.unwrap().position, 1);
}

#[tokio::test(start_paused = true)]
async fn periods_never_overlap_and_records_wait_for_them() {
    let (a, hub) = (store("a"), store("hub"));
    let wire = Wire::to(&hub);
    let manager = manager(&a, &wire);
    assert_eq!(manager.start_auto_sync(Duration::ZERO).expect_err("no period").kind(), ErrorKind::Invalid);
    let live = manager.start_auto_sync(Duration::from_secs(60)).unwrap();
    live.synced().await.unwrap();
    manager.replica().record([note("later", 1)]).await.unwrap();
    sleep(Duration::from_secs(50)).await;
    assert_eq!(hub.head().await.unwrap().position, 0);
    timeout(Duration::from_secs(11), hub.moved(0)).await.expect("in time").unwrap();
    let before = wire.hellos();
    sleep(Duration::from_secs(600)).await;
    assert!((9..=11).contains(&(wire.hellos() - before)), "{}", wire.hellos() - before);
}

#[tokio::test(start_paused = true)]
async fn two_processes_that_are_live_do_not_disturb_each_other() {
    let (a, b, hub) = (store("a"), store("b"), store("hub"));
    // Another process knows nothing of the turns of this one, as another replica of the same store.
    let wires = [Wire::to(&hub), Wire::to(&hub), Wire::to(&hub)];
    let managers = [manager(&a, &wires[0]), manager(&a, &wires[1]), manager(&b, &wires[2])];
    let lives = managers.each_ref().map(|manager| manager.live().unwrap());
    for round in 0..100 {
        managers[round % 3].replica().record([note("edit", round % 4)]).await.unwrap();
        sleep(Duration::from_millis(10)).await;
    }
    for _ in 0..2 {
        for live in &lives {
            live.synced().await.unwrap();
        }
    }
    assert!(same(&a, &hub).await && same(&b, &hub).await);
    sleep(Duration::from_secs(5)).await;
    let hellos = wires.iter().map(Wire::hellos).sum::<u64>();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(wires.iter().map(Wire::hellos).sum::<u64>(), hellos, "at rest");
    assert!(hellos < 1_000, "{hellos} hellos");
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_is_wiped_gets_everything_again() {
    let (a, hub, next) = (store("a"), store("hub"), store("next-hub"));
    let wire = Wire::to(&hub);
    let manager = manager(&a, &wire);
    let live = manager.live().unwrap();
    manager.replica().record((0..20).map(|number| note("kept", number))).await.unwrap();
    live.synced().await.unwrap();
    wire.lead_to(&next).await;
    timeout(Duration::from_secs(30), next.moved(19)).await.expect("by itself").unwrap();
    live.synced().await.unwrap();
    assert!(same(&a, &next).await);
}

#[tokio::test(start_paused = true)]
async fn a_hub_whose_store_is_closed_is_called_again() {
    let (a, hub, next) = (store("a"), store("hub"), store("next-hub"));
    let wire = Wire::to(&hub);
    let manager = manager(&a, &wire);
    let live = manager.live().unwrap();
    live.synced().await.unwrap();
    hub.close().await.unwrap();
    until(&live, waits).await;
    manager.replica().record([note("kept", 1)]).await.unwrap();
    wire.lead_to(&next).await;
    live.synced().await.unwrap();
    assert!(same(&a, &next).await);
}

#[tokio::test(start_paused = true)]
async fn breaks_with_days_between_do_not_end_subscriptions() {
    let (a, hub) = (store("a"), store("hub"));
    let wire = Wire::to(&hub);
    let live = manager(&a, &wire).live().unwrap();
    for _ in 0..5 {
        until(&live, |status| status.state == LiveState::Live).await;
        sleep(Duration::from_secs(24 * 3_600)).await;
        wire.set(Is::HalfOpen);
        until(&live, waits).await;
        wire.set(Is::Good);
    }
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_stopped_and_when_dropped() {
    let (a, hub) = (store("a"), store("hub"));
    let manager = manager(&a, &Wire::to(&hub));
    let live = manager.live().unwrap();
    assert_eq!(manager.live().expect_err("it is live").kind(), ErrorKind::Busy);
    live.synced().await.unwrap();
    let watch = live.watch();
    live.stop().await;
    assert_eq!(watch.borrow().state, LiveState::Stopped { reason: None });
    let live = manager.live().expect("again");
    let mut watch = live.watch();
    drop(live);
    watch.wait_for(|status| matches!(status.state, LiveState::Stopped { .. })).await.unwrap();
    drop(manager.live().expect("at once after a drop"));
    a.close().await.unwrap();
    let live = manager.live().expect("again");
    let mut watch = live.watch();
    let ended = |status: &LiveStatus| matches!(&status.state, LiveState::Stopped { reason: Some(_) });
    watch.wait_for(ended).await.unwrap();
    assert_eq!(live.synced().await.expect_err("it has ended").kind(), ErrorKind::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_conflict_that_is_settled_here_counts_no_longer() {
    let (a, b, hub) = (store("a"), store("b"), store("hub"));
    let wire = Wire::to(&hub);
    let replica = Replica::builder(a.clone()).with_resolver(ManualReview).build();
    let here = SyncManager::new(replica.clone(), wire.clone());
    let other = SyncManager::new(Replica::builder(b).with_resolver(ManualReview).build(), Wire::to(&hub));
    let live = here.live().unwrap();
    for settled_offline in [false, true] {
        live.synced().await.unwrap();
        wire.set(Is::Cut);
        until(&live, waits).await;
        replica.record([note("one", 1)]).await.unwrap();
        other.replica().record([note("other", 1)]).await.unwrap();
        other.sync().await.unwrap();
        wire.set(Is::Good);
        live.nudge();
        until(&live, |status| status.conflicts == 1).await;
        if settled_offline {
            wire.set(Is::Cut);
            until(&live, waits).await;
        }
        replica.record([note("on top of both", 1)]).await.unwrap();
        until(&live, |status| status.conflicts == 0).await;
        wire.set(Is::Good);
        live.nudge();
        live.synced().await.unwrap();
        other.sync().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_state_does_not_flicker_while_the_hub_is_gone() {
    let (a, hub) = (store("a"), store("hub"));
    let wire = Wire::to(&hub);
    wire.set(Is::Cut);
    let manager = manager(&a, &wire);
    let live = manager.live().unwrap();
    let status = until(&live, waits).await;
    assert_eq!((status.peer, status.synced_at), (None, None));
    assert!(matches!(status.state, LiveState::Waiting { passes: true, .. }), "{:?}", status.state);
    let mut watch = live.watch();
    let watching = async {
        loop {
            watch.changed().await.unwrap();
            assert!(waits(&watch.borrow_and_update()), "{:?}", live.status());
        }
    };
    assert!(timeout(Duration::from_secs(300), watching).await.is_err());
    wire.set(Is::Good);
    let status = until(&live, LiveStatus::is_up_to_date).await;
    assert_eq!(status.peer, Some(NodeId::new("hub").unwrap()));
}

#[tokio::test(start_paused = true)]
async fn before_the_hub_is_known_what_was_recorded_here_is_to_go() {
    let (a, b, hub, next) = (store("a"), store("b"), store("hub"), store("next"));
    let other = manager(&b, &Wire::to(&hub));
    other.replica().record([note("from b", 1), note("from b", 2)]).await.unwrap();
    other.sync().await.unwrap();
    let here = manager(&a, &Wire::to(&hub));
    here.replica().record([note("from a", 3)]).await.unwrap();
    here.sync().await.unwrap();
    let wire = Wire::to(&next);
    wire.set(Is::Cut);
    let live = SyncManager::builder(a.clone(), wire.clone()).with_address("next").build().live().unwrap();
    assert_eq!(until(&live, waits).await.pending, 1);
    wire.set(Is::Good);
    live.nudge();
    assert_eq!(live.synced().await.unwrap().pending, 0);
    assert!(same(&a, &next).await);
}
