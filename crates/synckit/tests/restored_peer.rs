//! Peers whose log is restored from a backup between two reads for one answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use synckit::{
    Endpoint, EventStore, Filter, NewEvent, NodeId, Replica, Result, Transport,
    plan::notes,
    store::{Page, Query, StoreExt},
    transport::{Caller, HelloRequest, MissingRequest, PROTOCOL_VERSION, PullRequest, Scope},
};
use synckit_core::{Facts, LogHead, Needs, Note, NoteQuery, Planner, StoreId};
use synckit_memory::MemoryStore;
use synckit_testkit::forward;

/// A store that is restored from a backup after some calls.
#[derive(Clone)]
struct Restored {
    log: MemoryStore,
    backup: MemoryStore,
    left: Arc<AtomicUsize>,
}

impl Restored {
    fn called(&self) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.log.restore(&self.backup);
        }
    }
}

impl EventStore for Restored {
    forward!(log: moved, close);

    async fn commit<P: Planner>(&self, planner: P) -> Result<P::Outcome> {
        let outcome = self.log.commit(planner).await;
        self.called();
        outcome
    }

    async fn facts(&self, needs: Needs) -> Result<Facts> {
        let facts = self.log.facts(needs).await;
        self.called();
        facts
    }

    async fn read(&self, query: Query) -> Result<Page> {
        let page = self.log.read(query).await;
        self.called();
        page
    }

    async fn notes(&self, query: NoteQuery) -> Result<Vec<Note>> {
        let notes = self.log.notes(query).await;
        self.called();
        notes
    }

    async fn head(&self) -> Result<LogHead> {
        let head = self.log.head().await;
        self.called();
        head
    }
}

fn node(name: &str) -> NodeId {
    NodeId::new(name).expect("valid")
}

async fn record(store: &MemoryStore, kinds: &[&str]) {
    let events = kinds.iter().map(|kind| NewEvent::new(kind, "x", &1).expect("valid"));
    Replica::new(store.clone()).record(events.collect::<Vec<_>>()).await.expect("recorded");
}

/// Returns a peer whose log is restored after that many calls from a backup that has gone on in its own way, and its
/// log as it is before.
async fn restored_after(calls: usize) -> (Restored, Vec<synckit::Event>) {
    let log = MemoryStore::new(node("hub")).expect("randomness");
    record(&log, &["A", "B", "B"]).await;
    let backup = log.copy();
    record(&log, &["A", "B", "B", "A", "B", "A"]).await;
    record(&backup, &["B", "A", "A", "B", "A", "B", "A", "A"]).await;
    let before = log.events_of(&"x".parse().expect("valid")).await.expect("reads");
    (Restored { log, backup, left: Arc::new(AtomicUsize::new(calls)) }, before)
}

fn caller() -> Caller {
    Caller { node: node("phone"), store: StoreId::from_bytes([7; 16]) }
}

fn pulling(filter: Filter) -> PullRequest {
    PullRequest { caller: caller(), cursor: None, upto: None, filter, scope: Scope::Others, limit: None }
}

#[tokio::test]
async fn what_a_log_with_the_place_of_an_answer_holds_is_not_missing() {
    for calls in 1..8 {
        let (hub, before) = restored_after(calls).await;
        let ids: Vec<_> = before.iter().map(|event| event.id.clone()).collect();
        let request = MissingRequest { caller: caller(), ids: ids.clone(), known: Vec::new() };
        let answer = Endpoint::new(hub.clone()).missing(request).await.expect("answers");
        if hub.log.knows(&answer.place.expect("the log is not empty")).await.expect("reads") {
            let not_held = hub.log.not_held(ids).await.expect("reads");
            assert_eq!(answer.ids, not_held, "restored after {calls} calls");
        }
    }
}

#[tokio::test]
async fn a_log_that_lacks_a_place_never_answers_a_hello_under_the_id_of_the_place() {
    for calls in 1..8 {
        let (hub, _) = restored_after(calls).await;
        // No log has this place: the one before has other events there, the one after another mark.
        let other = hub.backup.copy();
        record(&other, &["A"]).await;
        let place = other.cursor_at(other.head().await.expect("open").position).await.expect("there");
        let request = HelloRequest {
            protocol: PROTOCOL_VERSION,
            caller: caller(),
            filter: "all".to_owned(),
            known: vec![place.clone()],
            ahead: None,
        };
        let answer = Endpoint::new(hub.clone()).hello(request).await.expect("answers");
        assert!(!answer.all_held && answer.store != place.store(), "restored after {calls} calls");
    }
}

#[tokio::test]
async fn a_page_has_everything_up_to_its_place_in_a_log_that_has_this_place() {
    for calls in 1..12 {
        for (filter, upto) in [
            (Filter::new().with_type("A"), None),
            (Filter::new().with_type("A"), Some(6)),
            (Ok(Filter::new()), Some(6)),
        ] {
            let (hub, _) = restored_after(calls).await;
            let filter = filter.expect("a short name");
            let mut request = PullRequest { upto, limit: Some(3), ..pulling(filter.clone()) };
            let endpoint = Endpoint::new(hub.clone());
            let mut events = Vec::new();
            // The place of a page that was read before the restore is not known after it.
            while let Ok(page) = endpoint.pull(request.clone()).await {
                events.extend(page.events);
                let place = page.next.clone();
                if hub.log.knows(&place).await.expect("reads") {
                    let log =
                        hub.log.read(Query::after(0).at_most(place.position() as usize, usize::MAX)).await;
                    let log = log.expect("reads").events.into_iter().map(|stored| stored.event);
                    let all: Vec<_> = log.filter(|event| filter.matches(event)).collect();
                    let lacking: Vec<_> = all.iter().filter(|event| !events.contains(event)).collect();
                    assert!(lacking.is_empty(), "restored after {calls} calls: no {lacking:?} up to {place}");
                }
                request.cursor = Some(page.next);
                if !page.more {
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn what_a_restored_log_hands_out_is_on_record_there() {
    let (hub, _) = restored_after(usize::MAX).await;
    let endpoint = Endpoint::new(hub.clone());
    let request = pulling(Filter::new());
    for log in [hub.backup.copy(), hub.log.copy()] {
        record(&log, &["A"]).await;
        hub.log.restore(&log);
        endpoint.pull(request.clone()).await.expect("answers");
        let handed = hub.log.note(notes::HANDED.to_owned()).await.expect("reads").expect("there is a note");
        let last = hub.log.head().await.expect("open").position;
        assert_eq!(String::from_utf8(handed.value).expect("a number"), last.to_string());
    }
}
