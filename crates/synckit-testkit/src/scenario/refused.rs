//! One bad event in the middle of eleven: the other ten arrive, and the report names the bad one.

use synckit::{RefusedBy, Replica, SyncManager};
use synckit_core::{
    BoxStore, Caller, Data, Error, Event, EventId, EventStore, Filter, Limits, NewEvent, Page, PushRequest,
    Query, RefusedCode, Transport,
};
use synckit_plan::Receive;

use super::ground::{holds, note};
use super::world::{Hub, Log};
use super::{Cell, Ended, ScenarioResult};
use crate::samples::{Author, NOW, entropy, event_id, node, store_id};
use crate::{Failure, check};

pub(super) async fn run(cell: &Cell) -> ScenarioResult {
    too_large_for_the_hub(cell).await?;
    an_id_that_names_another_event(cell).await?;
    data_that_is_no_json(cell).await
}

/// Pushes twice from a replica that holds eleven events of which the sixth is bad, and checks what arrived.
async fn assert_only_one_is_refused(
    hub: &Hub,
    replica: &Log,
    bad: &EventId,
    code: RefusedCode,
) -> ScenarioResult {
    let manager = hub.manager(replica).await?;
    let report = manager.push().await?;
    assert_eq!(report.refused_count, 1, "P9: {report:?}");
    let refusal = &report.refused[0];
    let named = (refusal.id.as_str(), refusal.by, refusal.code);
    assert_eq!(named, (bad.as_str(), RefusedBy::Peer, code), "{refusal:?}");
    assert!(!refusal.message.is_empty(), "a reason in words");
    assert_eq!(report.pushed, 10, "P9: {report:?}");
    let arrived = holds(check::log(&hub.log.store).await);
    let own = check::log(&replica.store).await;
    let of_bad = |log: Vec<synckit_core::StoredEvent>| log.into_iter().find(|stored| stored.event.id == *bad);
    let content = |log| of_bad(log).map(|stored| stored.event.content_digest());
    let (here, there) = (content(holds(own)), content(arrived));
    assert!(there.is_none() || there != here, "the bad event has arrived");

    manager.replica().record([note("the next one", 1)]).await?;
    let next = manager.push().await?;
    assert_eq!((next.pushed, next.refused_count), (1, 0), "the next push goes on: {next:?}");
    assert_eq!(manager.replica().refused().await?.len(), 1, "it is set aside");
    assert!(manager.replica().drop_refused(bad.as_str()).await?, "it can be dropped");
    assert!(manager.replica().refused().await?.is_empty(), "it is gone from the list");
    Ok(Ended::Well)
}

async fn too_large_for_the_hub(cell: &Cell) -> ScenarioResult {
    let hub = Hub::start(cell).await?;
    let a = Log::make(&cell.replica, "a").await?;
    let roomy = Limits { event_bytes: 1 << 20, ..Limits::default() };
    let local = SyncManager::builder(
        Replica::builder(a.store.clone()).with_limits(roomy).build(),
        hub.connect().await?,
    )
    .build();
    let mut events: Vec<NewEvent> = (0..11).map(|number| note("small", number)).collect();
    events[5] = NewEvent::new("NoteEdited", "note-5", &"x".repeat(300 << 10))?;
    let recorded = local.replica().record(events).await?.events;
    assert_only_one_is_refused(&hub, &a, &recorded[5].id, RefusedCode::TooLarge).await
}

/// Returns a replica that holds eleven events of an author elsewhere, as a relay does, and the id of the sixth.
async fn relay(cell: &Cell) -> Result<(Log, EventId), Failure> {
    let mut author = Author::new("c");
    let events: Vec<Event> = (0..11).map(|number| author.write(&format!("note-{number}"))).collect();
    let sixth = events[5].id.clone();
    let relay = Log::make(&cell.replica, "a").await?;
    relay.store.commit(Receive::new(Some(store_id(9)), events, NOW, Limits::default(), entropy())).await?;
    Ok((relay, sixth))
}

async fn an_id_that_names_another_event(cell: &Cell) -> ScenarioResult {
    let hub = Hub::start(cell).await?;
    let a = Log::make(&cell.replica, "a").await?;
    let mut first = Author::new("d").write("note");
    first.id = event_id("the first to use the id");
    let caller = Caller { node: node("x"), store: store_id(7) };
    let (filter, taken) = (Filter::new().fingerprint(), first.id.clone());
    let request =
        PushRequest { caller, filter, events: vec![first], from: None, upto: None, known: Vec::new() };
    let pushed = hub.connect().await?.push(request).await?;
    assert_eq!(pushed.accepted, 1, "{pushed:?}");
    let mut events: Vec<NewEvent> = (0..11).map(|number| note("small", number)).collect();
    events[5] = note("another", 5).with_id(taken.clone());
    hub.manager(&a).await?.replica().record(events).await?;
    assert_only_one_is_refused(&hub, &a, &taken, RefusedCode::IdTaken).await
}

async fn data_that_is_no_json(cell: &Cell) -> ScenarioResult {
    for broken in ["not json", r#"1,"unknown field":2"#] {
        let hub = Hub::start(cell).await?;
        let (mut relay, bad) = relay(cell).await?;
        let (inner, data) = (relay.store.clone(), Data::stored_json(broken));
        relay.store = BoxStore::new(Damaged { inner, event: bad.clone(), data });
        let idle = hub.manager(&relay).await?.pull().await?;
        if idle.bytes_received == 0 {
            // Without a network nobody reads the text, so nobody can see that it is broken.
            return Ok(Ended::Well);
        }
        assert_only_one_is_refused(&hub, &relay, &bad, RefusedCode::Invalid).await?;
    }
    Ok(Ended::Well)
}

/// A store in which the data of one event is damaged.
struct Damaged {
    inner: BoxStore,
    event: EventId,
    data: Data,
}

impl EventStore for Damaged {
    crate::forward!(inner: commit, facts, notes, head, moved, close);

    async fn read(&self, query: Query) -> Result<Page, Error> {
        let mut page = self.inner.read(query).await?;
        let damaged = page.events.iter_mut().filter(|stored| stored.event.id == self.event);
        damaged.for_each(|stored| stored.event.data = self.data.clone());
        Ok(page)
    }
}
