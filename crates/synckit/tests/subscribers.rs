//! Many subscribers to one log.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use synckit::store::Query;
use synckit::transport::{Caller, PageStream, PullRequest, PullResponse, PushRequest, Scope};
use synckit::{Access, Endpoint, Event, EventStore, Filter, NewEvent, NodeId, Replica, StoreId, Transport};
use synckit_memory::MemoryStore;
use synckit_testkit::{Call, FaultPlan, FaultyStore, Rng};

const MANY: usize = 100;

fn store(name: &str) -> MemoryStore {
    MemoryStore::new(NodeId::new(name).expect("a short name")).expect("randomness")
}

fn note(number: usize) -> NewEvent {
    NewEvent::new(if number.is_multiple_of(3) { "A" } else { "B" }, format!("note-{}", number % 7), "text")
        .expect("a good event")
}

fn caller(number: usize) -> Caller {
    let node = NodeId::new(format!("n{number}")).expect("a short name");
    Caller { node, store: StoreId::from_bytes([number as u8 + 1; 16]) }
}

fn request(number: usize, filter: Filter) -> PullRequest {
    PullRequest {
        caller: caller(number),
        cursor: None,
        limit: None,
        filter,
        scope: Scope::Others,
        upto: None,
    }
}

/// Returns the next page with events.
async fn next(pages: &mut PageStream) -> PullResponse {
    loop {
        let page = pages.next().await.expect("it goes on").expect("a page");
        if !page.events.is_empty() {
            return page;
        }
    }
}

async fn all_subscribe(hub: &Endpoint<FaultyStore<MemoryStore>>) -> Vec<PageStream> {
    let mut all = Vec::new();
    for number in 0..MANY {
        let mut pages = hub.subscribe(request(number, Filter::new())).await.expect("subscribes");
        pages.next().await.expect("it goes on").expect("the first page");
        all.push(pages);
    }
    all
}

#[tokio::test(start_paused = true)]
async fn an_event_is_read_once_for_all() {
    let (plan, log) = (FaultPlan::new(), store("hub"));
    let hub = Endpoint::new(FaultyStore::new(log.clone(), plan.clone()));
    let mut all = all_subscribe(&hub).await;
    let replica = Replica::new(log.clone());
    for number in 0..10 {
        let before = plan.calls(Call::Read);
        let recorded = replica.record([note(number)]).await.expect("records");
        for pages in &mut all {
            let page = next(pages).await;
            assert_eq!(page.events.len(), 1);
            assert_eq!(page.events[0].id, recorded.events[0].id);
        }
        let reads = plan.calls(Call::Read) - before;
        // Once more where it is recorded that it is handed out.
        assert!(reads <= 2, "{reads} reads for {MANY} subscribers");
    }
}

#[tokio::test(start_paused = true)]
async fn a_quiet_minute_costs_a_few_reads() {
    let (plan, log) = (FaultPlan::new(), store("hub"));
    let hub = Endpoint::new(FaultyStore::new(log.clone(), plan.clone()));
    Replica::new(log.clone()).record([note(1)]).await.expect("records");
    let mut all = all_subscribe(&hub).await;
    let before = plan.calls(Call::Read);
    for _ in 0..12 {
        for page in join_all(all.iter_mut().map(|pages| pages.next())).await {
            let page = page.expect("it goes on").expect("a heartbeat");
            assert!(page.events.is_empty() && page.next.position() == 1);
        }
    }
    let reads = plan.calls(Call::Read) - before;
    assert!(reads <= 30, "{reads} reads");
}

/// Readers of some types only.
struct Readers;

impl Access for Readers {
    fn may_read(&self, caller: &Caller, event: &Event) -> bool {
        caller.node.as_str() != "n2" || event.event_type.as_str() == "A"
    }

    fn may_write(&self, _: &Caller, _: &Event) -> bool {
        true
    }
}

/// Whatever is shared, each subscriber gets what a pull of its own would get: not its own events, what its filter lets
/// through, what it may read; those who read slowly get everything later.
#[tokio::test(start_paused = true)]
async fn each_gets_its_own_part() {
    for seed in 0..30 {
        let mut rng = Rng::new(seed);
        let log = store("hub");
        let hub = Endpoint::new(log.clone()).with_access(Readers);
        let only = Filter::new().with_type("B").expect("a short type");
        let filters = [Filter::new(), only, Filter::new(), Filter::new()];
        let mut streams = Vec::new();
        for (number, filter) in filters.iter().enumerate() {
            streams.push(hub.subscribe(request(number, filter.clone())).await.expect("subscribes"));
        }
        let mut got: [Vec<String>; 4] = Default::default();
        for _ in 0..40 {
            let count = 1 + rng.below(5);
            let author = store(&format!("n{}", rng.below(4)));
            Replica::new(author.clone()).record((0..count).map(note)).await.expect("records");
            let events = author.read(Query::after(0)).await.expect("reads").events;
            let number = rng.below(4);
            let push = PushRequest {
                caller: caller(number),
                filter: "all".to_owned(),
                events: events.into_iter().map(|stored| stored.event).collect(),
                from: None,
                upto: None,
                known: Vec::new(),
            };
            hub.push(push).await.expect("pushes");
            for (pages, got) in streams.iter_mut().zip(&mut got).take(3) {
                while let Ok(Some(page)) = tokio::time::timeout(Duration::from_millis(1), pages.next()).await
                {
                    got.extend(page.expect("a page").events.into_iter().map(|event| event.id.to_string()));
                }
            }
        }
        while let Ok(Some(page)) = tokio::time::timeout(Duration::from_millis(1), streams[3].next()).await {
            got[3].extend(page.expect("a page").events.into_iter().map(|event| event.id.to_string()));
        }
        for (number, filter) in filters.into_iter().enumerate() {
            let (mut pulled, mut request) = (Vec::new(), request(number, filter));
            loop {
                let page = hub.pull(request.clone()).await.expect("pulls");
                pulled.extend(page.events.into_iter().map(|event| event.id.to_string()));
                request.cursor = Some(page.next);
                if !page.more {
                    break;
                }
            }
            assert_eq!(got[number], pulled, "seed {seed}: subscriber {number}");
        }
    }
}
