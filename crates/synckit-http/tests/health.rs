//! Health: a server is healthy as long as its store answers.
#![allow(clippy::unwrap_used, reason = "in tests a panic is the report")]

use std::net::SocketAddr;

use synckit::Endpoint;
use synckit_core::{EventStore, Transport};
use synckit_http::{HttpService, serve};
use synckit_testkit::remote::{Double, read_all, store};
use synckit_testkit::{Fault, FaultPlan, FaultyStore};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

async fn start(transport: impl Transport) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, HttpService::new(transport), std::future::pending()));
    address
}

async fn health(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /v1/health HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await.unwrap();
    read_all(stream).await
}

fn assert_healthy(answer: &str) {
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("{\"status\":\"ok\"}\n"), "{answer}");
}

fn assert_unhealthy(answer: &str, code: &str) {
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(
        answer.contains(&format!("\"code\":\"{code}\"")) && answer.contains("\"message\":\""),
        "{answer}"
    );
}

#[tokio::test]
async fn health_fails_with_the_store_and_recovers_with_it() {
    let plan = FaultPlan::new();
    let store = FaultyStore::new(store("hub"), plan.clone());
    let address = start(Endpoint::new(store.clone())).await;
    assert_healthy(&health(address).await);
    for _ in 0..2 {
        plan.nth_of_all(1, Fault::Crash);
        for _ in 0..3 {
            assert_unhealthy(&health(address).await, "unavailable");
        }
        plan.heal();
        assert_healthy(&health(address).await);
    }
    store.inner().close().await.unwrap();
    assert_unhealthy(&health(address).await, "closed");
}

/// A store that never answers is not waited for without end.
#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_is_unhealthy() {
    let plan = FaultPlan::new();
    let service = synckit_remote::Service::new(Endpoint::new(FaultyStore::new(store("hub"), plan.clone())));
    service.check_health().await.unwrap();
    plan.nth_of_all(1, Fault::Hang);
    let error = service.check_health().await.unwrap_err();
    assert_eq!(error.kind(), synckit_core::ErrorKind::Timeout, "{error}");
    service.check_health().await.unwrap();
}

#[tokio::test]
async fn a_transport_that_turns_the_question_away_has_answered() {
    let double = Double::default();
    let address = start(double.clone()).await;
    *double.failure.lock().unwrap() = Some(synckit_core::Error::new(synckit_core::ErrorKind::Denied, "no"));
    assert_healthy(&health(address).await);
    *double.failure.lock().unwrap() = Some(synckit_core::Error::corrupt("broken"));
    assert_unhealthy(&health(address).await, "corrupt");
    assert_healthy(&health(address).await);
}

/// Those who ask at the same time do not each ask the store.
#[tokio::test]
async fn many_who_ask_at_once_cost_the_store_little() {
    let double = Double::default();
    let service = synckit_remote::Service::new(double.clone());
    *double.held.lock().unwrap() = true;
    let ask = || {
        tokio::spawn({
            let service = service.clone();
            async move { service.check_health().await }
        })
    };
    let first = ask();
    double.begun.notified().await;
    let others: Vec<_> = (0..100).map(|_| ask()).collect();
    *double.failure.lock().unwrap() = Some(synckit_core::Error::corrupt("broken"));
    *double.held.lock().unwrap() = false;
    double.go.notify_one();
    // Only the first call gets the failure.
    assert!(first.await.unwrap().is_err());
    for other in others {
        other.await.unwrap().unwrap();
    }
}
