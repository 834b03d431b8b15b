//! Copies of a replica that are in use at the same time, with peers that cannot judge a clock or know two of them.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use synckit::{
    Digest, Endpoint, Environment, EventStore, Filter, NewEvent, NodeId, Replica, Result, RetryPolicy,
    SyncManager, SystemEnvironment, Transport,
    plan::{Entropy, Renew, notes},
    store::{Cursor, Mark, Note, Query, Renewal, StoreExt},
    transport::{
        Caller, HelloRequest, HelloResponse, MissingRequest, MissingResponse, PullRequest, PullResponse,
        PushRequest, PushResponse,
    },
};
use synckit_memory::MemoryStore;
use synckit_testkit::{Call, Fault, FaultPlan, FaultyStore, FaultyTransport, forward};

const NOW: u64 = 1_790_000_000_000;
const YEAR: u64 = 365 * 24 * 3_600_000;

type Manager = SyncManager<MemoryStore, Endpoint<MemoryStore>>;

/// A clock that shows this.
struct Clock(u64);

impl Environment for Clock {
    fn now(&self) -> u64 {
        self.0
    }

    fn fill_random(&self, buffer: &mut [u8]) -> Result<()> {
        SystemEnvironment.fill_random(buffer)
    }
}

fn store(name: &str) -> MemoryStore {
    MemoryStore::new(NodeId::new(name).expect("valid")).expect("randomness")
}

fn event(kind: &str) -> NewEvent {
    NewEvent::new(kind, "x", &1).expect("valid")
}

fn note(of: &str) -> NewEvent {
    NewEvent::new("NoteEdited", of, &1).expect("valid")
}

fn manager(store: &MemoryStore, peer: &MemoryStore) -> Manager {
    SyncManager::new(store.clone(), Endpoint::new(peer.clone()))
}

/// A manager whose own clock and whose peer's clock show these times.
fn at(store: &MemoryStore, here: u64, peer: &MemoryStore, there: u64) -> Manager {
    let replica = Replica::builder(store.clone()).with_environment(Clock(here)).build();
    let endpoint = Endpoint::new(peer.clone()).with_environment(Clock(there));
    SyncManager::builder(replica, endpoint).build()
}

async fn twice<T: Transport>(syncs: &SyncManager<MemoryStore, T>) {
    for _ in 0..2 {
        syncs.sync().await.expect("syncs");
    }
}

async fn agree(stores: &[&MemoryStore]) {
    let mut digests = Vec::new();
    for store in stores {
        digests.push(Digest::of(*store).await.expect("a digest"));
    }
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
}

/// A way to a peer. Right before the first call of a kind, or right after the answer to a hello, a copy pushes an event to
/// `there`, which then records an effect of it.
struct Meanwhile {
    peer: Endpoint<MemoryStore>,
    at: Call,
    copy: MemoryStore,
    there: MemoryStore,
    done: AtomicBool,
}

impl Meanwhile {
    fn new(peer: &MemoryStore, at: Call, copy: &MemoryStore, there: &MemoryStore) -> Self {
        let peer = Endpoint::new(peer.clone());
        Meanwhile { peer, at, copy: copy.clone(), there: there.clone(), done: AtomicBool::new(false) }
    }

    async fn call(&self, call: Call) -> Result<()> {
        if call == self.at && !self.done.swap(true, Ordering::Relaxed) {
            let event = |kind: &str| NewEvent::new(kind, "x", &1);
            let copy = manager(&self.copy, &self.there);
            copy.replica().record([event("Cause")?]).await?;
            let report = copy.push().await.map_err(|failed| failed.error)?;
            assert_eq!((report.pushed, report.duplicates), (1, 0), "{report:?}");
            Replica::new(self.there.clone()).record([event("Effect")?]).await?;
        }
        Ok(())
    }
}

impl Transport for Meanwhile {
    forward!(peer: missing, subscribe, traffic, close);

    async fn hello(&self, request: HelloRequest) -> Result<HelloResponse> {
        let answer = self.peer.hello(request).await?;
        self.call(Call::Hello).await.map(|()| answer)
    }

    async fn pull(&self, request: PullRequest) -> Result<PullResponse> {
        self.call(Call::Pull).await?;
        self.peer.pull(request).await
    }

    async fn push(&self, request: PushRequest) -> Result<PushResponse> {
        self.call(Call::Push).await?;
        self.peer.push(request).await
    }
}

/// What happens to a store while it is in use.
#[derive(Clone, Copy, PartialEq)]
enum Happens {
    /// It is restored from a backup.
    Restore,
    /// A backup of it is made, and then it records an event.
    BackUp,
    /// Another program records a cause there and pushes it to the peer, which records an effect.
    Push,
    /// A backup of it is made. Another program, with a filter, does the same as before, and dies before it notes that.
    PushAndDie,
    /// It is restored from a backup, and records as many events as it has lost, and one more.
    RestoreAndRecord,
    /// It takes a fresh id and a fresh name.
    Rename,
    /// Nothing yet.
    Wait,
}

use Happens::{BackUp, Push, PushAndDie, Rename, Restore, RestoreAndRecord, Wait};

/// A way to a peer. Right before calls of these kinds, one after the other, something happens to a store on either side.
struct Restored {
    peer: Endpoint<MemoryStore>,
    before: Mutex<VecDeque<(Call, Happens)>>,
    store: MemoryStore,
    backup: MemoryStore,
}

impl Restored {
    fn new(peer: &MemoryStore, before: &[(Call, Happens)], store: &MemoryStore, backup: MemoryStore) -> Self {
        let (peer, before) = (Endpoint::new(peer.clone()), Mutex::new(before.iter().copied().collect()));
        Restored { peer, before, store: store.clone(), backup }
    }

    /// The peer records an effect of what it was pushed.
    async fn effect(&self) {
        let peer = Replica::new(self.peer.store().clone());
        peer.record([event("Effect")]).await.expect("recorded");
    }

    async fn call(&self, call: Call) {
        let next = self.before.lock().expect("nobody panics").pop_front_if(|(before, _)| *before == call);
        match next {
            Some((_, Restore)) => self.store.restore(&self.backup),
            Some((_, BackUp)) => {
                self.backup.restore(&self.store);
                Replica::new(self.store.clone()).record([note("y")]).await.expect("recorded");
            }
            Some((_, Push)) => {
                manager(&self.store, self.peer.store())
                    .replica()
                    .record([event("Cause")])
                    .await
                    .expect("recorded");
                manager(&self.store, self.peer.store()).push().await.expect("pushes");
                self.effect().await;
            }
            Some((_, PushAndDie)) => {
                self.backup.restore(&self.store);
                let plan = FaultPlan::new();
                let other = FaultyStore::new(self.store.clone(), plan.clone());
                let other = SyncManager::builder(other, Endpoint::new(self.peer.store().clone()));
                let other =
                    other.with_filter(Filter::new().with_aggregate("x").expect("a short name")).build();
                other.replica().record([event("Cause")]).await.expect("recorded");
                plan.nth(Call::Commit, 1, Fault::Crash);
                other.push().await.expect_err("dies");
                self.effect().await;
            }
            Some((_, RestoreAndRecord)) => {
                let before = self.store.head().await.expect("answers").position;
                self.store.restore(&self.backup);
                let lost = before - self.store.head().await.expect("answers").position;
                let events = (0..=lost).map(|_| note("z"));
                Replica::new(self.store.clone()).record(events).await.expect("recorded");
            }
            Some((_, Rename)) => {
                Replica::new(self.store.clone()).reidentify(None).await.expect("renewed");
            }
            Some((_, Wait)) | None => {}
        }
    }
}

impl Transport for Restored {
    forward!(peer: subscribe, traffic, close);

    async fn hello(&self, request: HelloRequest) -> Result<HelloResponse> {
        self.call(Call::Hello).await;
        self.peer.hello(request).await
    }

    async fn pull(&self, request: PullRequest) -> Result<PullResponse> {
        self.call(Call::Pull).await;
        self.peer.pull(request).await
    }

    async fn push(&self, request: PushRequest) -> Result<PushResponse> {
        self.call(Call::Push).await;
        self.peer.push(request).await
    }

    async fn missing(&self, request: MissingRequest) -> Result<MissingResponse> {
        self.call(Call::Missing).await;
        self.peer.missing(request).await
    }
}

/// A page leaves out what came from the caller. A caller that is restored after its hello may have lost just that.
#[tokio::test]
async fn an_effect_of_what_a_restore_takes_from_the_caller_comes_after_its_cause() {
    let (one, desk) = (store("phone"), store("desk"));
    let backup = one.copy();
    Replica::new(one.clone()).record([event("Cause")]).await.expect("recorded");
    manager(&desk, &one).sync().await.expect("syncs");
    Replica::new(desk.clone()).record([event("Effect")]).await.expect("recorded");
    let syncs = SyncManager::new(one.clone(), Restored::new(&desk, &[(Call::Pull, Restore)], &one, backup));
    twice(&syncs).await;
    in_order(&one).await;
    agree(&[&one, &desk]).await;
}

/// A restore puts back what another program has stored since a sync began. The log is then the one that the sync knows,
/// but no longer the one that its hello was compared with.
#[tokio::test]
async fn an_effect_of_what_another_program_pushed_before_a_restore_comes_after_its_cause() {
    let (one, desk) = (store("phone"), store("desk"));
    manager(&one, &desk).sync().await.expect("syncs");
    let before = [(Call::Hello, Push), (Call::Pull, Restore)];
    let syncs = SyncManager::new(one.clone(), Restored::new(&desk, &before, &one, one.copy()));
    twice(&syncs).await;
    in_order(&one).await;
    agree(&[&one, &desk]).await;
}

/// The same with a restore in the middle of a push. What is pushed next follows on what was pushed before, and goes beyond
/// the place that the hello was compared with.
#[tokio::test]
async fn a_push_notices_a_restore_that_takes_back_what_its_hello_was_compared_with() {
    let (one, desk) = (store("phone"), store("desk"));
    manager(&one, &desk).replica().record([note("w")]).await.expect("recorded");
    manager(&one, &desk).sync().await.expect("syncs");
    Replica::new(one.clone()).record([note("w"), note("w"), note("w")]).await.expect("recorded");
    let before = [(Call::Hello, PushAndDie), (Call::Push, RestoreAndRecord)];
    let way = Restored::new(&desk, &before, &one, store("backup"));
    let syncs = SyncManager::builder(one.clone(), way).with_batch_size(1).build();
    let report = syncs.push().await.expect("pushes");
    assert!(report.recovery.renewed.is_some(), "{report:?}");
    twice(&syncs).await;
    in_order(&one).await;
    agree(&[&one, &desk]).await;
}

/// A restore takes back an event during the push that hands it out. Its place in the log counts as evidence, and not as
/// the place up to which the peer has the log.
#[tokio::test]
async fn an_event_in_the_place_of_one_that_a_restore_has_taken_during_its_push_is_pushed_as_well() {
    let (one, desk) = (store("phone"), store("desk"));
    Replica::new(one.clone()).record([note("w"), note("x")]).await.expect("recorded");
    let before = [(Call::Push, BackUp), (Call::Push, Wait), (Call::Push, Restore)];
    let way = Restored::new(&desk, &before, &one, store("backup"));
    let syncs = SyncManager::builder(one.clone(), way).with_batch_size(1).build();
    syncs.sync().await.expect("syncs");
    Replica::new(one.clone()).record([note("z")]).await.expect("recorded");
    twice(&syncs).await;
    agree(&[&one, &desk]).await;
    for of in ["w", "x", "y", "z"] {
        let aggregate = of.parse().expect("valid");
        assert_eq!(one.events_of(&aggregate).await.expect("a page").len(), 1, "{of}");
    }
}

/// A push leaves out what came from the peer. A peer that is restored after the hello may have lost just that.
#[tokio::test]
async fn a_peer_that_is_restored_before_a_push_gets_back_what_it_has_lost() {
    let (one, hub) = (store("phone"), store("hub"));
    let backup = hub.copy();
    Replica::new(hub.clone()).record([note("x")]).await.expect("recorded");
    manager(&one, &hub).sync().await.expect("syncs");
    manager(&one, &hub).replica().record([note("y")]).await.expect("recorded");
    let syncs = SyncManager::new(one.clone(), Restored::new(&hub, &[(Call::Push, Restore)], &hub, backup));
    twice(&syncs).await;
    assert_eq!(hub.head().await.expect("answers").position, 2);
    agree(&[&one, &hub]).await;
}

/// The peer is not the expected one, so it is told with a second hello what is known of it. Its log is replaced in
/// between, and of that one other places are known.
#[tokio::test]
async fn a_peer_that_is_restored_between_two_hellos_gets_back_what_it_has_lost() {
    let (one, hub, other) = (store("phone"), store("hub"), store("other"));
    let backup = hub.copy();
    Replica::new(hub.clone()).record([note("x")]).await.expect("recorded");
    manager(&one, &hub).sync().await.expect("syncs");
    Replica::new(hub.clone()).reidentify(None).await.expect("renewed");
    for peer in [&hub, &other] {
        Replica::new(one.clone()).record([note("y")]).await.expect("recorded");
        manager(&one, peer).sync().await.expect("syncs");
    }
    let way = Restored::new(&hub, &[(Call::Hello, Wait), (Call::Hello, Restore)], &hub, backup);
    let syncs = SyncManager::new(one.clone(), way);
    syncs.push().await.expect("pushes");
    twice(&syncs).await;
    agree(&[&one, &hub]).await;
}

/// The peer takes a fresh id during an exchange, and holds what would be pushed. A copy of it that has kept the old id
/// does not.
#[tokio::test]
async fn a_copy_with_the_old_id_of_a_peer_gets_what_the_peer_held_under_its_fresh_one() {
    let (one, desk, hub) = (store("phone"), store("desk"), store("hub"));
    Replica::new(desk.clone()).record([note("x")]).await.expect("recorded");
    manager(&one, &desk).sync().await.expect("syncs");
    let (copy, later) = (hub.copy(), hub.copy());
    Replica::new(later.clone()).reidentify(None).await.expect("renewed");
    manager(&desk, &later).sync().await.expect("syncs");
    let way = Restored::new(&copy, &[(Call::Missing, Restore)], &copy, later);
    let report = SyncManager::new(one.clone(), way).push().await.expect("pushes");
    assert_eq!(report.pushed, 0, "the peer holds it");
    manager(&one, &hub).sync().await.expect("syncs");
    agree(&[&one, &hub]).await;
}

/// The first pull shows the peer that it was restored. When it is restored again, only the caller knows of it.
#[tokio::test]
async fn a_peer_that_is_restored_twice_during_a_sync_gets_back_what_it_has_lost() {
    let (one, hub) = (store("phone"), store("hub"));
    Replica::new(hub.clone()).record([note("y")]).await.expect("recorded");
    let backup = hub.copy();
    Replica::new(hub.clone()).record([event("Cause")]).await.expect("recorded");
    manager(&one, &hub).sync().await.expect("syncs");
    Replica::new(one.clone()).record([event("Effect")]).await.expect("recorded");
    Replica::new(hub.clone()).record([note("z")]).await.expect("recorded");
    let way = Restored::new(&hub, &[(Call::Pull, Restore), (Call::Pull, Restore)], &hub, backup);
    let syncs = SyncManager::new(one.clone(), way);
    twice(&syncs).await;
    in_order(&hub).await;
    agree(&[&one, &hub]).await;
}

/// The caller has pulled the events that the peer recorded, and then the peer has others in their places.
#[tokio::test]
async fn what_a_restored_peer_records_in_the_places_that_were_just_pulled_is_pulled_as_well() {
    let (one, desk, hub) = (store("phone"), store("desk"), store("hub"));
    Replica::new(desk.clone()).record([note("x")]).await.expect("recorded");
    manager(&one, &desk).sync().await.expect("syncs");
    let backup = hub.copy();
    Replica::new(backup.clone()).record([note("other")]).await.expect("recorded");
    Replica::new(hub.clone()).record([note("y")]).await.expect("recorded");
    let way = Restored::new(&hub, &[(Call::Missing, Restore)], &hub, backup);
    let syncs = SyncManager::new(one.clone(), way);
    twice(&syncs).await;
    agree(&[&one, &hub]).await;
}

/// What it tells after it took a fresh id is a place in the same log.
#[tokio::test]
async fn a_peer_that_is_renamed_and_restored_between_two_pages_gets_back_what_it_has_lost() {
    let (one, desk, hub) = (store("phone"), store("desk"), store("hub"));
    let backup = hub.copy();
    Replica::new(desk.clone()).record([event("Cause")]).await.expect("recorded");
    manager(&desk, &hub).sync().await.expect("syncs");
    manager(&one, &desk).sync().await.expect("syncs");
    Replica::new(desk.clone()).record([event("Effect")]).await.expect("recorded");
    manager(&one, &desk).sync().await.expect("syncs");
    let way = Restored::new(&hub, &[(Call::Missing, Rename), (Call::Missing, Restore)], &hub, backup);
    let syncs = SyncManager::builder(Replica::new(one.clone()), way).with_batch_size(1).build();
    for _ in 0..2 {
        syncs.push().await.expect("syncs");
    }
    in_order(&hub).await;
}

/// Checks that the log has the effect after its cause.
async fn in_order(store: &MemoryStore) {
    let events = store.read(Query::after(0)).await.expect("a page").events;
    let place = |of: &str| events.iter().position(|stored| stored.event.event_type.as_str() == of);
    assert!(place("Cause").is_some() && place("Cause") < place("Effect"), "{events:?}");
}

/// What a copy pushes between a hello and a page does not come from here, and the page must not pass it over.
#[tokio::test]
async fn an_effect_of_what_a_copy_pushes_before_a_page_comes_after_its_cause() {
    let (one, hub) = (store("phone"), store("hub"));
    manager(&one, &hub).replica().record([note("x")]).await.expect("recorded");
    manager(&one, &hub).sync().await.expect("syncs");
    let two = one.copy();
    manager(&hub, &one).replica().record([note("y")]).await.expect("recorded");
    let syncs = SyncManager::new(one.clone(), Meanwhile::new(&hub, Call::Pull, &two, &hub));
    twice(&syncs).await;
    in_order(&one).await;
    agree(&[&one, &hub]).await;
}

/// What a copy of the peer pushes here during a sync with the peer is not what the peer holds.
#[tokio::test]
async fn an_effect_of_what_a_copy_of_the_peer_pushes_here_goes_to_the_peer_after_its_cause() {
    let (one, desk) = (store("phone"), store("desk"));
    manager(&desk, &one).replica().record([note("x")]).await.expect("recorded");
    manager(&desk, &one).sync().await.expect("syncs");
    let two = one.copy();
    a_twin_pushes(Call::Push, &one, &two, &desk).await;
}

/// A desk pushes to a replica, whose twin pushes to the desk meanwhile. The effect goes to the replica after its cause.
async fn a_twin_pushes(at: Call, one: &MemoryStore, twin: &MemoryStore, desk: &MemoryStore) {
    // The replica has events of its own under the dots of the twin: clocks show nothing.
    manager(one, desk).replica().record([note("y"), note("y"), note("y")]).await.expect("recorded");
    manager(desk, one).replica().record((0..4).map(|_| note("z"))).await.expect("recorded");
    let way = Meanwhile::new(one, at, twin, desk);
    let syncs = SyncManager::builder(desk.clone(), way).with_batch_size(1).build();
    syncs.push().await.expect("pushes");
    in_order(one).await;
    twice(&syncs).await;
    agree(&[one, desk]).await;
}

/// The same when the two meet for the first time: nothing is on record yet that a push by the copy could change.
#[tokio::test]
async fn what_a_copy_of_the_peer_pushes_here_when_they_first_meet_is_not_what_the_peer_holds() {
    for when in [Call::Hello, Call::Push] {
        let (one, desk) = (store("phone"), store("desk"));
        a_twin_pushes(when, &one, &one.copy(), &desk).await;
    }
}

/// Makes a replica with two events a year ahead, and a hub that has them from a copy of it. The hub has no clock to
/// correct them by.
async fn with_a_copy_that_has_synced() -> (MemoryStore, MemoryStore) {
    let (one, hub) = (store("phone"), store("hub"));
    let wrong = Replica::builder(one.clone()).with_environment(Clock(NOW + YEAR)).build();
    wrong.record([note("x"), note("x")]).await.expect("recorded");
    let report = at(&one.copy(), NOW, &hub, 0).push().await.expect("pushes");
    assert_eq!((report.pushed, report.recovery.renumbered), (2, 0), "{report:?}");
    (one, hub)
}

/// A copy has handed out what this replica never has: the peer holds it, and its times stay.
#[tokio::test]
async fn times_of_events_that_the_peer_has_from_a_copy_stay() {
    let (one, hub) = with_a_copy_that_has_synced().await;
    let report = at(&one, NOW, &hub, NOW).push().await.expect("pushes");
    assert_eq!((report.refused_count, report.recovery.renumbered), (0, 0), "{report:?}");
    agree(&[&one, &hub]).await;
}

/// Events get other stamps before they are handed out, and a copy that was made before still has the old ones. A peer that
/// got only some of them has a place on record that the copy's log must not hold.
#[tokio::test]
async fn a_copy_from_before_a_renumbering_does_not_take_its_stamps_for_those_that_were_sent() {
    let (one, hub) = (store("phone"), store("hub"));
    let wrong = Replica::builder(one.clone()).with_environment(Clock(NOW + YEAR)).build();
    wrong.record([note("x"), note("y")]).await.expect("recorded");
    let backup = one.copy();
    let plan = FaultPlan::new();
    plan.nth(Call::Push, 2, Fault::LOSE_REQUEST);
    let endpoint = Endpoint::new(hub.clone()).with_environment(Clock(NOW));
    let replica = Replica::builder(one).with_environment(Clock(NOW)).build();
    let syncs = SyncManager::builder(replica, FaultyTransport::new(endpoint, plan));
    let syncs = syncs.with_batch_size(1).with_retry(RetryPolicy::never()).build();
    let report = syncs.push().await.expect_err("the second push is lost").report;
    assert_eq!((report.recovery.renumbered, report.pushed), (2, 1), "{report:?}");
    for _ in 0..2 {
        at(&backup, NOW, &hub, NOW).sync().await.expect("syncs");
    }
    agree(&[&backup, &hub]).await;
}

/// What comes back was handed out by a copy. So its times stay also with a peer that does not hold it.
#[tokio::test]
async fn times_of_events_that_came_back_stay() {
    let ((one, hub), friend, other) = (with_a_copy_that_has_synced().await, store("friend"), store("other"));
    manager(&friend, &hub).pull().await.expect("pulls");
    let report = at(&one, NOW, &friend, NOW).pull().await.expect("pulls");
    assert_eq!(report.duplicates, 2, "{report:?}");
    let report = at(&one, NOW, &other, NOW).push().await.expect("pushes");
    assert_eq!((report.pushed, report.recovery.renumbered), (2, 0), "{report:?}");
    agree(&[&one, &hub, &other]).await;
}

/// A hub knows places of two copies with one store id. The further one is held; the other shows that they are two.
#[tokio::test]
async fn a_place_of_a_copy_before_the_furthest_one_is_evidence_too() {
    let (one, hub) = (store("phone"), store("hub"));
    manager(&one, &hub).replica().record([note("x")]).await.expect("recorded");
    let two = one.copy();
    manager(&two, &hub).replica().record([note("a"), note("b"), note("c")]).await.expect("recorded");
    manager(&hub, &two).pull().await.expect("pulls");
    // The other copy said hello before that, and pushes now.
    manager(&one, &hub).replica().record([note("y")]).await.expect("recorded");
    let stored = one.read(Query::after(1)).await.expect("a page").events.remove(0);
    let caller =
        Caller { node: NodeId::new("phone").expect("valid"), store: one.head().await.expect("a head").store };
    let upto = Some(one.cursor_at(2).await.expect("there"));
    let push = PushRequest {
        caller,
        filter: "all".into(),
        events: vec![stored.event],
        from: None,
        upto,
        known: Vec::new(),
    };
    Endpoint::new(hub.clone()).push(push).await.expect("is stored");
    for _ in 0..3 {
        manager(&hub, &two).sync().await.expect("syncs");
    }
    agree(&[&hub, &two]).await;
}

/// What a copy of the peer was asked half-way means nothing to the peer itself, which is then pulled from the start.
#[tokio::test]
async fn a_place_that_a_copy_of_the_peer_was_asked_up_to_is_given_up() {
    let (one, hub) = (store("phone"), store("hub"));
    manager(&hub, &one).replica().record([note("x"), note("y")]).await.expect("recorded");
    manager(&one, &hub).sync().await.expect("syncs");
    let (own, peer) = (one.head().await.expect("a head").store, hub.head().await.expect("a head").store);
    let entropy = Entropy::from_bytes([5; Entropy::BYTES]);
    one.commit(Renew::new(own, Renewal::SetBack, NOW, entropy)).await.expect("renewed");
    let key = notes::pull(peer, "all");
    let read = one.note(key.clone()).await.expect("notes").expect("it has pulled");
    let mut pull: notes::PullNote = read.parse().expect("a note");
    let by = one.head().await.expect("a head").store;
    pull.asked = Some(notes::Asked { by, rights: None, to: Cursor::at(peer, 1, Mark(7)) });
    one.edit(vec![Note::json(key, &pull).expect("a note")], Vec::new()).await.expect("written");
    manager(&one, &hub).sync().await.expect("syncs");
    agree(&[&one, &hub]).await;
}

/// What was recorded since a backup gets fresh dots in several commits, all under one name.
#[tokio::test]
async fn many_events_get_fresh_dots_part_by_part_under_one_name() {
    let (one, hub) = (store("phone"), store("hub"));
    let backup = one.copy();
    manager(&one, &hub).replica().record([note("n-0")]).await.expect("recorded");
    manager(&one, &hub).sync().await.expect("syncs");
    let plan = FaultPlan::new();
    let restored = FaultyStore::new(backup.clone(), plan.clone());
    let sync = SyncManager::builder(restored, Endpoint::new(hub.clone())).with_batch_size(3).build();
    for of in 0..5 {
        let notes = (0..2).map(|_| note(&format!("n-{of}")));
        sync.replica().record(notes).await.expect("recorded");
    }
    let before = plan.calls(Call::Commit);
    let report = sync.sync().await.expect("syncs");
    assert_eq!((report.recovery.renumbered, report.refused_count), (10, 0), "{report:?}");
    assert!(plan.calls(Call::Commit) - before > 5, "no commit holds more than a batch");
    let events = hub.read(Query::after(1)).await.expect("a page").events;
    let names: Vec<_> = events.iter().filter_map(|stored| stored.event.author()).collect();
    assert!(names.len() == 10 && names.iter().all(|name| *name == names[0]), "{names:?}");
    manager(&backup, &hub).sync().await.expect("syncs");
    agree(&[&backup, &hub]).await;
}

/// A copy has pushed a decision, but by its filter not the local event that it names. The peer lists the decision among
/// what it has from there: it was handed out.
#[tokio::test]
async fn a_decision_that_a_peer_has_from_a_copy_keeps_its_id() {
    let [hub, other, here, far] = ["hub", "other", "here", "far"].map(store);
    manager(&far, &hub).replica().record([event("Far")]).await.expect("records");
    manager(&far, &hub).sync().await.expect("syncs");
    Replica::new(here.clone()).record([event("Own")]).await.expect("records");
    let report = manager(&here, &hub).pull().await.expect("pulls");
    assert_eq!((report.pulled, report.conflicts.settled), (1, 1));
    let copy = here.copy();
    let filter = Filter::new().with_type("Other").expect("valid");
    let replica = Replica::new(copy.clone());
    let copied = SyncManager::builder(replica, Endpoint::new(hub.clone())).with_filter(filter).build();
    assert_eq!(copied.push().await.expect("pushes").pushed, 1);
    // Nothing shows the copy yet. What it has pushed is left out.
    manager(&far, &hub).replica().record([note("z")]).await.expect("records");
    manager(&far, &hub).push().await.expect("pushes");
    let report = manager(&here, &hub).pull().await.expect("pulls");
    assert_eq!((report.pulled, report.recovery.renewed), (1, None));
    copied.replica().record([NewEvent::new("Other", "y", &1).expect("valid")]).await.expect("records");
    copied.push().await.expect("pushes");
    let report = manager(&here, &hub).pull().await.expect("pulls");
    assert_eq!((report.pulled, report.recovery.renewed), (1, Some(Renewal::SetBack)));
    manager(&here, &other).push().await.expect("pushes");
    for (store, peer) in [(&here, &hub), (&copy, &hub), (&far, &hub), (&here, &hub), (&here, &other)] {
        manager(store, peer).sync().await.expect("syncs");
    }
    agree(&[&here, &copy, &far, &hub, &other]).await;
}
