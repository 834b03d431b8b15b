//! A hub for events over HTTP, mounted in three ways: on its own server, on a plain hyper server, and in an axum router
//! beside other routes.
//!
//! Run it with `cargo run -p http-hub`: it serves on free loopback ports, says hello to each, and ends.

use std::error::Error;

use axum::Router;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use synckit::{
    Endpoint, EventStore, NodeId, StoreId, Transport,
    transport::{Caller, HelloRequest, PROTOCOL_VERSION},
};
use synckit_http::{HttpService, HttpTransport, serve};
use synckit_memory::MemoryStore;
use tokio::net::TcpListener;

type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    // All three answer for the same hub: clones share the endpoint, and the limits.
    let service = HttpService::new(Endpoint::new(MemoryStore::new(NodeId::new("hub")?)?));

    let (listener, url) = listen().await?;
    tokio::spawn(serve(listener, service.clone(), std::future::pending()));
    greet("serve", &url).await?;

    let (listener, url) = listen().await?;
    tokio::spawn(on_hyper(listener, service.clone()));
    greet("hyper", &url).await?;

    let (listener, url) = listen().await?;
    let router = Router::new().route("/", get(async || "a page of your own")).nest_service("/sync", service);
    tokio::spawn(async { axum::serve(listener, router).await });
    greet("axum", &format!("{url}/sync")).await
}

/// Serves on a plain hyper server: one task for each connection. Beyond this, `serve` limits the number of connections,
/// closes those whose caller stops reading, and shuts down gracefully.
async fn on_hyper<T: Transport>(listener: TcpListener, service: HttpService<T>) -> Result {
    loop {
        let (stream, _) = listener.accept().await?;
        let connection = http1::Builder::new()
            // Without a timer a silent connection or a slow header has no limit; with it, 30 seconds.
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service.clone()));
        tokio::spawn(connection);
    }
}

async fn listen() -> Result<(TcpListener, String)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    Ok((listener, url))
}

async fn greet(server: &str, url: &str) -> Result {
    let store = MemoryStore::new(NodeId::new("visitor")?)?;
    let store_id: StoreId = store.head().await?.store;
    let caller = Caller { node: NodeId::new("visitor")?, store: store_id };
    let hello = HelloRequest {
        protocol: PROTOCOL_VERSION,
        caller,
        filter: "all".to_owned(),
        known: Vec::new(),
        ahead: None,
    };
    let hub = HttpTransport::new(url)?;
    let answer = hub.hello(hello).await?;
    let traffic = hub.traffic();
    hub.close().await?;
    print(&format!(
        "{server}: {url} is node {}, at position {}; {} bytes sent, {} received",
        answer.node, answer.head, traffic.sent, traffic.received
    ));
    Ok(())
}

#[allow(clippy::print_stdout, reason = "this is what the example shows")]
fn print(line: &str) {
    println!("{line}");
}
