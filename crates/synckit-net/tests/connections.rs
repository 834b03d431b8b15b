//! The connections of a server, with real sockets: how many are open at once, and how they end.
#![allow(clippy::unwrap_used, reason = "in tests a panic is the report")]

use std::net::SocketAddr;
use std::time::Duration;

use synckit_net::Connections;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const LONG: Duration = Duration::from_secs(60);

/// Greets every caller and then waits for it to end.
async fn greet(mut stream: TcpStream) {
    let mut rest = Vec::new();
    if stream.write_all(b"!").await.is_ok() {
        let _ = stream.read_to_end(&mut rest).await;
    }
}

async fn start(most: usize, grace: Duration) -> (SocketAddr, oneshot::Sender<()>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let serving = tokio::spawn(async move {
        let mut connections = Connections::new(most);
        let shutdown = async { stopped.await.unwrap_or_default() };
        connections.accept(listener, greet, shutdown).await;
        connections.finish(grace).await;
    });
    (address, stop, serving)
}

/// Connects and returns once greeted.
async fn greeted(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'!');
    stream
}

#[tokio::test]
async fn above_the_limit_a_caller_waits_until_another_has_ended() {
    let (address, _stop, _serving) = start(2, LONG).await;
    let (first, _second) = (greeted(address).await, greeted(address).await);
    let mut third = TcpStream::connect(address).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(100), third.read_u8()).await;
    assert!(early.is_err(), "greeted beside two others: {early:?}");
    drop(first);
    assert_eq!(third.read_u8().await.unwrap(), b'!');
}

#[tokio::test]
async fn a_limit_of_none_is_one() {
    let (address, _stop, _serving) = start(0, LONG).await;
    greeted(address).await;
}

#[tokio::test]
async fn after_shutdown_nobody_is_accepted_and_who_is_there_may_finish() {
    let (address, stop, serving) = start(2, LONG).await;
    let caller = greeted(address).await;
    stop.send(()).unwrap();
    // The listener closes once the shutdown is noticed, and then no connection succeeds.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!serving.is_finished(), "one connection is still open");
    drop(caller);
    serving.await.unwrap();
}

#[tokio::test]
async fn who_does_not_finish_in_time_is_closed() {
    let (address, stop, serving) = start(2, Duration::from_millis(50)).await;
    let mut caller = greeted(address).await;
    stop.send(()).unwrap();
    serving.await.unwrap();
    assert!(matches!(caller.read(&mut [0]).await, Ok(0) | Err(_)), "the connection is closed");
}

#[tokio::test]
async fn dropping_them_closes_all() {
    let (address, _stop, serving) = start(2, LONG).await;
    let mut caller = greeted(address).await;
    serving.abort();
    assert!(serving.await.unwrap_err().is_cancelled());
    assert!(matches!(caller.read(&mut [0]).await, Ok(0) | Err(_)), "the connection is closed");
}
