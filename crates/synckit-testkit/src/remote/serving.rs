//! How a server ends.

use futures_util::StreamExt;
use synckit_core::{ErrorKind, Transport};
use synckit_remote::ServerConfig;

use super::requests::{event, hello, kind, page, pull, push};
use super::{Running, Wire};

/// A call that is running when the shutdown begins gets its answer; no later call does.
pub async fn shutdown_finishes_a_running_request_and_accepts_no_other<W: Wire>() {
    let mut server = Running::<W>::start().await;
    *server.double.held.lock().unwrap() = true;
    let client = server.client();
    let running = tokio::spawn(async move { client.hello(hello()).await });
    server.double.begun.notified().await;
    server.stop();
    let (other, double) = (server.client(), server.double.clone());
    // The listener closes before the server waits for anything.
    while tokio::net::TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(kind(other.hello(hello()).await), ErrorKind::Unavailable);
    double.go.notify_one();
    running.await.unwrap().expect("the running request is finished");
    server.stopped().await;
}

/// Idle connections and subscriptions do not delay a shutdown.
pub async fn shutdown_closes_idle_connections_and_ends_subscriptions<W: Wire>() {
    let mut server = Running::<W>::start().await;
    let client = server.client();
    client.hello(hello()).await.unwrap();
    let mut pages = client.subscribe(pull()).await.unwrap();
    server.stop();
    assert_eq!(kind(pages.next().await.unwrap()), ErrorKind::Unavailable);
    server.stopped().await;
}

/// A subscription ends with an error that says to come again, while a call of the same client finishes.
pub async fn shutdown_ends_subscriptions_and_lets_calls_finish<W: Wire>() {
    let mut server = Running::<W>::start().await;
    let client = server.client();
    server.double.pages.lock().unwrap().push_back(Ok(page(vec![event(1, "1")])));
    let mut pages = client.subscribe(pull()).await.unwrap();
    pages.next().await.unwrap().unwrap();
    server.double.begun.notified().await;
    *server.double.held.lock().unwrap() = true;
    let running = tokio::spawn({
        let client = client.clone();
        async move { client.push(push(vec![event(2, "2")])).await }
    });
    server.double.begun.notified().await;
    server.stop();
    let error = pages.next().await.unwrap().expect_err("the end");
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true));
    server.double.go.notify_one();
    assert_eq!(running.await.unwrap().unwrap().accepted, 1);
    server.stopped().await;
    assert_eq!(kind(client.hello(hello()).await), ErrorKind::Unavailable);
}

/// A call that never ends is cut off.
pub async fn shutdown_waits_no_longer_than_its_grace<W: Wire>() {
    let mut server = Running::<W>::with(ServerConfig { grace_ms: 100, ..ServerConfig::default() }).await;
    *server.double.held.lock().unwrap() = true;
    let client = server.client();
    let running = tokio::spawn(async move { client.hello(hello()).await });
    server.double.begun.notified().await;
    server.stop();
    server.stopped().await;
    assert_eq!(kind(running.await.unwrap()), ErrorKind::Unavailable);
}
