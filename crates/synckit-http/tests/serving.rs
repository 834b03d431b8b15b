//! Shutdown, and mounting in other servers.
#![allow(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod common;

use axum::Router;
use axum::routing::get;
use common::{Double, Server, hello, kind, page, pull};
use futures_util::StreamExt;
use synckit_core::{ErrorKind, Transport};
use synckit_http::{HttpService, HttpTransport, ServerConfig};
use tokio::net::TcpListener;

#[tokio::test]
async fn shutdown_finishes_a_running_request_and_accepts_no_other() {
    let mut server = Server::start().await;
    *server.double.held.lock().unwrap() = true;
    let client = server.client();
    let running = tokio::spawn(async move { client.hello(hello()).await });
    server.double.begun.notified().await;
    server.stop();
    let (other, double) = (server.client(), server.double.clone());
    // The listener is closed before anything is waited for.
    while tokio::net::TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(kind(other.hello(hello()).await), ErrorKind::Unavailable);
    double.go.notify_one();
    running.await.unwrap().expect("the running request is finished");
    server.stopped().await;
}

#[tokio::test]
async fn shutdown_closes_idle_connections_and_ends_subscriptions() {
    let mut server = Server::start().await;
    let client = server.client();
    client.hello(hello()).await.unwrap();
    let mut pages = client.subscribe(pull()).await.unwrap();
    server.stop();
    assert_eq!(kind(pages.next().await.unwrap()), ErrorKind::Unavailable);
    server.stopped().await;
}

#[tokio::test]
async fn shutdown_does_not_wait_for_ever() {
    let mut server = Server::with(ServerConfig { grace_ms: 100, ..ServerConfig::default() }).await;
    *server.double.held.lock().unwrap() = true;
    let client = server.client();
    let running = tokio::spawn(async move { client.hello(hello()).await });
    server.double.begun.notified().await;
    server.stop();
    server.stopped().await;
    assert_eq!(kind(running.await.unwrap()), ErrorKind::Unavailable);
}

/// An axum server with this router; its URL.
async fn axum(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn works(url: String) {
    let client = HttpTransport::new(&url).unwrap();
    assert_eq!(client.hello(hello()).await.expect(&url).node.as_str(), "hub");
}

#[tokio::test]
async fn the_service_is_mounted_in_axum_below_a_path() {
    let double = Double::default();
    double.pages.lock().unwrap().push_back(Ok(page(Vec::new())));
    let service = HttpService::new(double);
    let router = Router::new().route("/", get(async || "home")).nest_service("/data/sync", service);
    let url = axum(router).await;
    works(format!("{url}/data/sync")).await;
    works(format!("{url}/data/sync/")).await;
    let client = HttpTransport::new(format!("{url}/data/sync")).unwrap();
    let mut pages = client.subscribe(pull()).await.unwrap();
    assert_eq!(pages.next().await.unwrap().unwrap(), page(Vec::new()));
    let elsewhere = HttpTransport::new(url).unwrap();
    assert_eq!(kind(elsewhere.hello(hello()).await), ErrorKind::Unsupported);
}

#[tokio::test]
async fn the_service_is_mounted_in_axum_as_the_fallback() {
    works(axum(Router::new().fallback_service(HttpService::new(Double::default()))).await).await;
}

#[tokio::test]
async fn clones_share_their_limits() {
    let service = HttpService::new(Double::default())
        .with_config(ServerConfig { requests: 3, ..ServerConfig::default() });
    assert_eq!(service.clone().config(), service.config());
}
