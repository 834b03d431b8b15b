//! A relay made of public parts only, through real sockets: replica, HTTP, relay, gRPC, hub.
//!
//! The relay is the server half of one adapter in front of the client half of another; it keeps nothing.
#![allow(clippy::unwrap_used, reason = "in tests a panic is the report")]

use std::time::Duration;

use futures_util::StreamExt;
use synckit::{Endpoint, NewEvent, NodeId, SyncManager};
use synckit_core::{ErrorKind, EventStore, PullRequest, Query, Transport};
use synckit_grpc::GrpcTransport;
use synckit_http::HttpTransport;
use synckit_memory::MemoryStore;
use synckit_testkit::remote::requests::{hello, pull};
use synckit_testkit::{Call, Fault, FaultPlan, FaultyStore};
use tokio::net::TcpListener;

/// A hub behind a relay.
struct Relayed {
    hub: MemoryStore,
    plan: FaultPlan,
    /// Where the relay answers, over HTTP.
    url: String,
}

impl Relayed {
    async fn start() -> Relayed {
        let (hub, plan) = (MemoryStore::new(NodeId::new("hub").unwrap()).unwrap(), FaultPlan::new());
        let endpoint = Endpoint::new(FaultyStore::new(hub.clone(), plan.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to_hub = GrpcTransport::new(format!("grpc://{}", listener.local_addr().unwrap())).unwrap();
        let service = synckit_grpc::GrpcService::new(endpoint);
        tokio::spawn(synckit_grpc::serve(listener, service, std::future::pending()));

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = synckit_http::HttpService::new(to_hub);
        tokio::spawn(synckit_http::serve(listener, service, std::future::pending()));
        Relayed { hub, plan, url }
    }

    fn client(&self) -> HttpTransport {
        HttpTransport::new(&*self.url).unwrap()
    }

    fn replica(&self, name: &str) -> SyncManager<MemoryStore, HttpTransport> {
        SyncManager::new(MemoryStore::new(NodeId::new(name).unwrap()).unwrap(), self.client())
    }
}

async fn ids(store: &impl EventStore) -> Vec<String> {
    let page = store.read(Query::after(0)).await.unwrap();
    let mut ids: Vec<_> = page.events.iter().map(|stored| stored.event.id.to_string()).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn replicas_agree_through_a_relay() {
    let relayed = Relayed::start().await;
    let (a, b) = (relayed.replica("a"), relayed.replica("b"));
    for (manager, name) in [(&a, "a"), (&b, "b")] {
        let new = (0..20).map(|n| NewEvent::new("Noted", format!("{name}-{n}"), &n).unwrap());
        manager.replica().record(new).await.unwrap();
    }
    for manager in [&a, &b, &a] {
        manager.sync().await.unwrap();
    }
    let expected = ids(&relayed.hub).await;
    assert_eq!(expected.len(), 40);
    for manager in [&a, &b] {
        assert_eq!(ids(manager.replica().store()).await, expected);
        let report = manager.sync().await.unwrap();
        assert_eq!((report.pushed, report.pulled), (0, 0), "nothing is left to do");
    }
}

#[tokio::test]
async fn a_subscription_goes_through_a_relay() {
    let relayed = Relayed::start().await;
    let writer = relayed.replica("a");
    let new = |n: u32| [NewEvent::new("Noted", "x", &n).unwrap()];
    writer.replica().record(new(1)).await.unwrap();
    writer.sync().await.unwrap();
    let mut pages = relayed.client().subscribe(pull()).await.unwrap();
    let (mut seen, mut next) = (Vec::new(), None);
    for n in 2..=5 {
        while seen.len() < n as usize - 1 {
            let page =
                tokio::time::timeout(Duration::from_secs(30), pages.next()).await.unwrap().unwrap().unwrap();
            seen.extend(page.events.iter().map(|event| event.data_as::<u32>().unwrap()));
            next = Some(page.next);
        }
        writer.replica().record(new(n)).await.unwrap();
        writer.sync().await.unwrap();
    }
    assert_eq!(seen, [1, 2, 3, 4]);
    drop(pages);
    // Its cursor is one of the hub's, so it can be used on any way to the hub.
    let page = relayed.client().pull(PullRequest { cursor: next, ..pull() }).await.unwrap();
    assert_eq!(page.events.len(), 1);
}

#[tokio::test]
async fn errors_keep_their_kind_through_a_relay() {
    let relayed = Relayed::start().await;
    let client = relayed.client();
    let hello = hello();
    for kind in ErrorKind::ALL {
        relayed.plan.nth(Call::Facts, 1, Fault::Fail(kind));
        assert_eq!(client.hello(hello.clone()).await.expect_err("an error").kind(), kind);
        relayed.plan.nth(Call::Read, 1, Fault::Fail(kind));
        assert_eq!(client.subscribe(pull()).await.err().expect("an error").kind(), kind);
    }
    client.hello(hello).await.unwrap();
}

#[tokio::test]
async fn a_relay_without_its_hub_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nowhere = GrpcTransport::new(format!("grpc://{}", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let service = synckit_http::HttpService::new(nowhere);
    tokio::spawn(synckit_http::serve(listener, service, std::future::pending()));
    let error = HttpTransport::new(url).unwrap().pull(pull()).await.expect_err("nobody behind");
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true));
}
