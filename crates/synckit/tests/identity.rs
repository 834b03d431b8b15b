//! What no copy, no restored backup and no clock can break.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use synckit::{
    Access, Digest, Direction, Endpoint, Environment, Event, EventStore, Filter, Limits, NewEvent, NodeId,
    OwnEvents, Replica, Result, SyncManager, SystemEnvironment, Timestamp, Transport, VectorClock,
    plan::{Entropy, Receive},
    store::{Cursor, Query, Renewal, StoreExt},
    transport::{Caller, HelloRequest, PROTOCOL_VERSION, PushRequest},
};
use synckit_memory::MemoryStore;

const DAY: u64 = 24 * 3_600_000;
const NOW: u64 = 1_790_000_000_000;

type Manager = SyncManager<MemoryStore, Endpoint<MemoryStore>>;

/// A clock that can be set.
#[derive(Clone)]
struct Clock(Arc<AtomicU64>);

impl Clock {
    fn at(now: u64) -> Self {
        Clock(Arc::new(AtomicU64::new(now)))
    }
}

impl Environment for Clock {
    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn fill_random(&self, buffer: &mut [u8]) -> Result<()> {
        SystemEnvironment.fill_random(buffer)
    }
}

fn node(name: &str) -> NodeId {
    NodeId::new(name).expect("valid")
}

fn store(name: &str) -> MemoryStore {
    MemoryStore::new(node(name)).expect("randomness")
}

fn note(of: &str) -> NewEvent {
    NewEvent::new("NoteEdited", of, &1).expect("valid")
}

fn manager(store: &MemoryStore, hub: &MemoryStore) -> Manager {
    SyncManager::new(store.clone(), Endpoint::new(hub.clone()))
}

async fn record(store: &MemoryStore, hub: &MemoryStore, of: &str) -> Event {
    manager(store, hub).replica().record([note(of)]).await.expect("recorded").events.remove(0)
}

async fn agree(stores: &[&MemoryStore]) {
    let mut digests = Vec::new();
    for store in stores {
        digests.push(Digest::of(*store).await.expect("a digest"));
        assert!(store.notes_under("refused/").await.expect("notes").is_empty(), "nothing is refused");
    }
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
}

async fn log(store: &MemoryStore) -> Vec<Event> {
    let page = store.read(Query::after(0).at_most(100_000, usize::MAX)).await.expect("a page");
    page.events.into_iter().map(|stored| stored.event).collect()
}

/// Syncs until nothing changes.
async fn rest(managers: &[&Manager]) {
    for _ in 0..10 {
        let mut moved = 0;
        for manager in managers {
            let report = manager.sync().await.expect("syncs");
            assert_eq!(report.refused_count, 0, "{report:?}");
            moved += report.pulled + report.pushed + report.recovery.taken_back;
        }
        if moved == 0 {
            return;
        }
    }
    panic!("it does not come to rest");
}

/// 1. The same backup is restored twice; the replica records offline each time before it syncs.
#[tokio::test]
async fn the_same_backup_restored_twice_loses_nothing_and_no_dot_names_two_events() {
    let (d, hub) = (store("d"), store("hub"));
    record(&d, &hub, "n").await;
    manager(&d, &hub).sync().await.expect("syncs");
    let backup = d.copy();
    let mut recorded = Vec::new();
    for life in 0..3 {
        let restored = backup.copy();
        recorded.push(record(&restored, &hub, "n").await.id);
        let report = manager(&restored, &hub).sync().await.expect("syncs");
        assert_eq!((report.refused_count, report.recovery.renewed.is_some()), (0, life > 0), "{report:?}");
        rest(&[&manager(&restored, &hub)]).await;
        agree(&[&restored, &hub]).await;
    }
    let events = log(&hub).await;
    assert!(recorded.iter().all(|id| events.iter().any(|event| event.id == *id)));
    let mut dots: Vec<_> = events.iter().filter_map(|event| event.dot.clone()).collect();
    dots.sort();
    dots.dedup();
    assert_eq!(dots.len(), 4);
}

/// 1. A device is reinstalled twice under its old name.
#[tokio::test]
async fn a_device_reinstalled_under_its_old_name_takes_a_fresh_one() {
    let hub = store("hub");
    let mut names = Vec::new();
    for _ in 0..3 {
        let d = store("d");
        record(&d, &hub, "n").await;
        let report = manager(&d, &hub).sync().await.expect("syncs");
        names.push((report.recovery.renewed, d.identity().await.expect("an identity").author));
        rest(&[&manager(&d, &hub)]).await;
        agree(&[&d, &hub]).await;
    }
    assert_eq!(names[0], (None, node("d")));
    assert!(names[1..].iter().all(|(why, name)| *why == Some(Renewal::NameTaken) && name.chosen() == "d"));
    assert_ne!(names[1].1, names[2].1);
}

/// 2, and the bounds of 3. Two copies take turns for 500 rounds: one renewal when both first meet, then each sync costs
/// what it always costs, and clocks stay small.
#[tokio::test]
async fn two_copies_used_in_turn_cost_one_renewal_and_few_names() {
    let (one, hub) = (store("phone"), store("hub"));
    record(&one, &hub, "n").await;
    manager(&one, &hub).sync().await.expect("syncs");
    let two = one.copy();
    let managers = [manager(&one, &hub), manager(&two, &hub)];
    let mut renewals = 0;
    for round in 0..500 {
        for manager in &managers {
            manager.replica().record([note("n")]).await.expect("recorded");
            let report = manager.sync().await.expect("syncs");
            renewals += usize::from(report.recovery.renewed.is_some());
            assert_eq!(report.refused_count, 0);
            // Hello, a page, and the push; the hub always has something from the other copy.
            assert!(round < 2 || report.round_trips <= 3, "round {round}: {report:?}");
        }
    }
    rest(&[&managers[0], &managers[1]]).await;
    agree(&[&one, &two, &hub]).await;
    assert!(renewals <= 2, "{renewals} renewals");
    let events = log(&hub).await;
    let mut authors: Vec<_> =
        events.iter().filter_map(|event| Some(event.dot.as_ref()?.node.clone())).collect();
    authors.sort();
    authors.dedup();
    assert!(authors.len() <= 3, "{authors:?}");
    assert!(events.iter().all(|event| event.clock.len() <= 3));
}

/// 2. Five copies are in use at once, each with what it recorded before it knew.
#[tokio::test]
async fn five_copies_at_once_end_with_the_same_events_under_the_same_stamps() {
    let (first, hub) = (store("image"), store("hub"));
    record(&first, &hub, "n").await;
    let copies: Vec<MemoryStore> = (0..5).map(|_| first.copy()).collect();
    for (number, copy) in copies.iter().enumerate() {
        for _ in 0..=number {
            record(copy, &hub, "n").await;
        }
    }
    let managers: Vec<Manager> = copies.iter().map(|copy| manager(copy, &hub)).collect();
    rest(&managers.iter().collect::<Vec<_>>()).await;
    let all: Vec<&MemoryStore> = copies.iter().chain([&hub]).collect();
    agree(&all).await;
    assert_eq!(log(&hub).await.iter().filter(|event| !event.is_derived()).count(), 1 + 15);
}

/// 3. A hub that authors is restored, and authors again before anybody syncs.
#[tokio::test]
async fn a_restored_hub_that_authors_forks_nothing() {
    let (a, b, hub) = (store("a"), store("b"), store("hub"));
    record(&hub, &a, "n").await;
    rest(&[&manager(&a, &hub)]).await;
    let backup = hub.copy();
    record(&hub, &a, "n").await;
    record(&hub, &a, "m").await;
    rest(&[&manager(&a, &hub), &manager(&b, &hub)]).await;
    let restored = backup;
    record(&restored, &a, "n").await;
    let managers = [manager(&a, &restored), manager(&b, &restored)];
    let report = managers[0].sync().await.expect("syncs");
    assert!(report.recovery.peer_was_reset, "{report:?}");
    rest(&[&managers[0], &managers[1]]).await;
    agree(&[&a, &b, &restored]).await;
    assert_eq!(log(&a).await.iter().filter(|event| !event.is_derived()).count(), 4);
}

/// 4. A device that only pushes is restored, twice.
#[tokio::test]
async fn a_push_only_device_is_restored_twice() {
    let (d, hub) = (store("d"), store("hub"));
    let push_only = |store: &MemoryStore| {
        let builder = SyncManager::builder(store.clone(), Endpoint::new(hub.clone()));
        builder.with_direction(Direction::PushOnly).build()
    };
    let backup = d.copy();
    let mut events = 0;
    for life in 0..3 {
        let restored = backup.copy();
        for _ in 0..3 {
            push_only(&restored).replica().record([note("n")]).await.expect("recorded");
            let report = push_only(&restored).sync().await.expect("syncs");
            assert_eq!(report.refused_count, 0, "{report:?}");
            events += 1;
        }
        let again = push_only(&restored).sync().await.expect("syncs");
        assert_eq!((again.recovery.renewed, again.pushed, again.round_trips), (None, 0, 1), "life {life}");
    }
    assert_eq!(log(&hub).await.iter().filter(|event| !event.is_derived()).count(), events);
}

/// 4. Two filters on one replica: whichever notices that the hub was restored, both offer what it lacks.
#[tokio::test]
async fn two_filters_both_offer_again_what_a_restored_hub_lacks() {
    let (a, hub) = (store("a"), store("hub"));
    let about = |hub: &MemoryStore, of: &str| {
        let filter = Filter::new().with_aggregate(of).expect("valid");
        SyncManager::builder(a.clone(), Endpoint::new(hub.clone())).with_filter(filter).build()
    };
    record(&a, &hub, "x").await;
    for of in ["x", "y"] {
        about(&hub, of).sync().await.expect("syncs");
    }
    let backup = hub.copy();
    record(&a, &hub, "x").await;
    record(&a, &hub, "y").await;
    for of in ["x", "y"] {
        about(&hub, of).sync().await.expect("syncs");
    }
    for of in ["x", "y"] {
        about(&backup, of).sync().await.expect("syncs");
    }
    agree(&[&a, &backup]).await;
}

/// 5. A clock contains local events that are not here: what is recorded on top of it has a stamp that everybody
///    accepts.
#[tokio::test]
async fn an_own_dot_in_a_foreign_clock_is_evidence_and_no_trap() {
    let (a, hub) = (store("a"), store("hub"));
    record(&a, &hub, "other").await;
    let mut forged = log(&a).await.remove(0);
    forged.id = "forged".parse().expect("valid");
    forged.aggregate_id = "n".parse().expect("valid");
    forged.dot = Some(synckit::Dot::new(node("evil"), 1));
    forged.clock = VectorClock::from_entries([(node("evil"), 1), (node("a"), 50)]).expect("few");
    let entropy = Entropy::from_bytes([3; 32]);
    let elsewhere = Some(synckit::StoreId::from_bytes([5; 16]));
    let receive = Receive::new(elsewhere, vec![forged.clone()], NOW, Limits::default(), entropy);
    a.commit(receive).await.expect("received");
    let event = record(&a, &hub, "n").await;
    assert!(event.has_seen(&forged) && event.check_stamp().is_ok());
    assert!(event.dot.as_ref().is_some_and(|dot| dot.node != node("a") && dot.counter == 1), "{event:?}");
    let report = manager(&a, &hub).sync().await.expect("syncs");
    assert_eq!((report.refused_count, report.recovery.renewed), (0, None), "{report:?}");
    agree(&[&a, &hub]).await;
}

/// 6. A device whose clock shows 1970 pulls the hub's log, and what it records reaches the others.
#[tokio::test]
async fn a_clock_at_1970_loses_nothing() {
    let (a, b, hub) = (store("a"), store("b"), store("hub"));
    record(&b, &hub, "n").await;
    manager(&b, &hub).sync().await.expect("syncs");
    let clock = Clock::at(0);
    let of_a = SyncManager::builder(
        Replica::builder(a.clone()).with_environment(clock).build(),
        Endpoint::new(hub.clone()),
    )
    .build();
    let report = of_a.sync().await.expect("syncs");
    assert_eq!((report.pulled, report.refused_count), (1, 0));
    let event = of_a.replica().record([note("n")]).await.expect("recorded").events.remove(0);
    assert!(event.time > log(&b).await[0].time, "an effect is later than its cause");
    of_a.sync().await.expect("syncs");
    manager(&b, &hub).sync().await.expect("syncs");
    agree(&[&a, &b, &hub]).await;
}

/// 6. An event recorded a year ahead advances the time of its aggregate only, and gets the correct time before it is
///    handed out.
#[tokio::test]
async fn a_clock_a_year_ahead_is_put_right_before_anybody_sees_it() {
    let (a, hub) = (store("a"), store("hub"));
    let (wrong, right) = (Clock::at(NOW + 365 * DAY), Clock::at(NOW));
    let endpoint = Endpoint::new(hub.clone()).with_environment(right.clone());
    let of_a =
        SyncManager::builder(Replica::builder(a.clone()).with_environment(wrong.clone()).build(), endpoint)
            .build();
    of_a.replica().record([note("x"), note("x")]).await.expect("recorded");
    wrong.0.store(NOW, Ordering::Relaxed);
    let event = of_a.replica().record([note("y")]).await.expect("recorded").events.remove(0);
    assert_eq!(event.time, Timestamp::from_millis(NOW), "the time of another aggregate is not lifted");
    let report = of_a.sync().await.expect("syncs");
    assert_eq!((report.refused_count, report.recovery.renumbered), (0, 2), "{report:?}");
    agree(&[&a, &hub]).await;
    for event in log(&hub).await {
        assert!(event.time.millis() <= NOW + 1, "{event:?}");
    }
    // This also works while the clock is still wrong: the peer reports the time, whether or not the hello carries
    // events.
    wrong.0.store(NOW + 300 * DAY, Ordering::Relaxed);
    for _ in 0..2 {
        of_a.replica().record([note("x")]).await.expect("recorded");
        of_a.sync().await.expect("syncs");
    }
    agree(&[&a, &hub]).await;
    for event in log(&hub).await {
        assert!(event.time.millis() <= NOW + DAY, "{event:?}");
    }
}

/// 6. The times of a correct replica follow one that is nearly a day ahead, and devices with slow clocks refuse none of
///    them.
#[tokio::test]
async fn an_event_nearly_a_day_ahead_is_refused_by_nobody() {
    let (a, b, hub) = (store("a"), store("b"), store("hub"));
    let slow = Clock::at(NOW - 300_000);
    let ahead = SyncManager::builder(
        Replica::builder(a.clone()).with_environment(Clock::at(NOW + DAY - 60_000)).build(),
        Endpoint::new(hub.clone()),
    )
    .build();
    ahead.replica().record([note("n")]).await.expect("recorded");
    let hub_now = Endpoint::new(hub.clone()).with_environment(Clock::at(NOW));
    SyncManager::new(a.clone(), hub_now.clone()).sync().await.expect("syncs");
    let of_b =
        SyncManager::builder(Replica::builder(b.clone()).with_environment(slow).build(), hub_now).build();
    for _ in 0..3 {
        assert_eq!(of_b.sync().await.expect("syncs").refused_count, 0);
        of_b.replica().record([note("n"), note("m")]).await.expect("recorded");
    }
    of_b.sync().await.expect("syncs");
    agree(&[&b, &hub]).await;
}

/// 7. A late push changes nothing that is on record.
#[tokio::test]
async fn a_late_repeated_push_does_not_set_back_the_place_on_record() {
    let (a, hub) = (store("a"), store("hub"));
    let endpoint = Endpoint::new(hub.clone());
    record(&a, &hub, "n").await;
    manager(&a, &hub).sync().await.expect("syncs");
    let caller = Caller { node: node("a"), store: a.head().await.expect("a head").store };
    let late = PushRequest {
        caller,
        filter: "all".into(),
        events: log(&a).await,
        from: None,
        upto: Some(a.cursor_at(1).await.expect("there")),
        known: Vec::new(),
    };
    record(&a, &hub, "n").await;
    manager(&a, &hub).sync().await.expect("syncs");
    let error = endpoint.push(late).await.expect_err("it is late");
    assert_eq!(error.kind(), synckit::ErrorKind::CursorUnknown);
    let report = manager(&a, &hub).sync().await.expect("syncs");
    assert_eq!((report.round_trips, report.recovery), (1, synckit::Recovery::default()));
}

/// 8. A name that a person chose never has a `~`, so a name with one belongs to the name before it.
#[tokio::test]
async fn names_with_a_tilde_cannot_be_chosen_and_write_as_who_they_belong_to() {
    assert!(MemoryStore::new(node("till~x")).is_err());
    assert!(MemoryStore::new(node("shop~1")).is_err());
    let (shop, hub) = (store("shop-1"), store("hub"));
    let event = record(&shop, &hub, "n").await;
    let caller = |name: &str| Caller { node: node(name), store: synckit::StoreId::from_bytes([1; 16]) };
    let access = OwnEvents::default();
    let renewed = node("shop-1").renewed(7);
    assert!(
        access.may_write(&caller(renewed.as_str()), &event) && access.may_write(&caller("shop-1"), &event)
    );
    assert!(!access.may_write(&caller("shop"), &event) && !access.may_write(&caller("~"), &event));
}

/// 10. A right that is granted later brings what was skipped.
#[tokio::test]
async fn a_right_granted_later_brings_what_is_old() {
    #[derive(Clone)]
    struct Allowed(Arc<AtomicU64>);
    impl Access for Allowed {
        fn may_read(&self, _: &Caller, event: &Event) -> bool {
            self.0.load(Ordering::Relaxed) > 0 || event.aggregate_id.as_str() != "secret"
        }
        fn may_write(&self, _: &Caller, _: &Event) -> bool {
            true
        }
        fn rights(&self, _: &Caller) -> Option<String> {
            Some(self.0.load(Ordering::Relaxed).to_string())
        }
    }
    let (a, b, hub) = (store("a"), store("b"), store("hub"));
    for of in ["secret", "open", "secret", "open"] {
        record(&b, &hub, of).await;
    }
    manager(&b, &hub).sync().await.expect("syncs");
    let allowed = Allowed(Arc::default());
    let of_a = SyncManager::new(a.clone(), Endpoint::new(hub.clone()).with_access(allowed.clone()));
    assert_eq!(of_a.sync().await.expect("syncs").pulled, 2);
    allowed.0.store(1, Ordering::Relaxed);
    assert_eq!(of_a.sync().await.expect("syncs").pulled, 2);
    agree(&[&a, &hub]).await;
    assert_eq!(of_a.sync().await.expect("syncs").round_trips, 1, "once");
}

/// 11. Two histories that differ before a place and share the event at it are distinguished.
#[tokio::test]
async fn two_histories_with_one_event_at_the_same_place_are_told_apart() {
    let (one, b, hub) = (store("phone"), store("b"), store("hub"));
    let two = one.copy();
    record(&one, &hub, "mine").await;
    record(&two, &hub, "mine").await;
    record(&b, &hub, "theirs").await;
    manager(&b, &hub).sync().await.expect("syncs");
    for copy in [&one, &two] {
        manager(copy, &hub).pull().await.expect("pulls");
    }
    // Both hold different events at 1, and the same event at 2.
    rest(&[&manager(&one, &hub), &manager(&two, &hub), &manager(&b, &hub)]).await;
    agree(&[&one, &two, &b, &hub]).await;
}

/// 12. Nobody can push under the id of the hub's store, and a made-up place renews nobody.
#[tokio::test]
async fn what_a_caller_says_of_stores_is_not_believed() {
    let (a, hub) = (store("a"), store("hub"));
    record(&a, &hub, "n").await;
    manager(&a, &hub).sync().await.expect("syncs");
    let endpoint = Endpoint::new(hub.clone());
    let id = hub.head().await.expect("a head").store;
    let as_hub = Caller { node: node("evil"), store: id };
    let request = PushRequest {
        caller: as_hub,
        filter: "all".into(),
        events: vec![],
        from: None,
        upto: None,
        known: Vec::new(),
    };
    assert_eq!(endpoint.push(request).await.expect_err("no").kind(), synckit::ErrorKind::Conflict);
    // Under the id of the victim's store, with a place that it never had.
    let of_a = a.head().await.expect("a head").store;
    let as_a = Caller { node: node("evil"), store: of_a };
    let from = Some(a.cursor_at(1).await.expect("there"));
    let made_up = Some(Cursor::at(of_a, 99, synckit::store::Mark(7)));
    let request = PushRequest {
        caller: as_a,
        filter: "all".into(),
        events: vec![],
        from,
        upto: made_up,
        known: Vec::new(),
    };
    endpoint.push(request).await.expect("it is stored");
    // And a place in the hub's log that it never issued.
    let hello = HelloRequest {
        protocol: PROTOCOL_VERSION,
        caller: Caller { node: node("evil"), store: synckit::StoreId::from_bytes([9; 16]) },
        filter: "all".into(),
        known: vec![Cursor::at(id, 99, synckit::store::Mark(7))],
        ahead: None,
    };
    assert!(!endpoint.hello(hello).await.expect("an answer").all_held);
    let before = (of_a, id);
    record(&a, &hub, "n").await;
    for _ in 0..2 {
        let report = manager(&a, &hub).sync().await.expect("syncs");
        assert_eq!(report.recovery.renewed, None, "{report:?}");
    }
    assert_eq!((a.head().await.expect("a head").store, hub.head().await.expect("a head").store), before);
    agree(&[&a, &hub]).await;
}
