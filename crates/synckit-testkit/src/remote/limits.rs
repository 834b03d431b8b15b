//! The limits: sizes, times, number of calls.

use synckit_core::{ErrorKind, Limits, Transport};
use synckit_remote::{Serve, ServerConfig, Timeouts};
use synckit_wire::WireLimits;

use super::requests::{event, events, hello, kind, pull, push};
use super::{Double, Running, Wire, service, short};

/// A caller gets the stricter limits of both sides.
pub async fn hello_names_the_stricter_limits_of_endpoint_and_wire<W: Wire>() {
    let mut limits = WireLimits::default();
    limits.limits.event_bytes = 1_000;
    limits.limits.drift_seconds = 1;
    let server = Running::<W>::with(ServerConfig { limits, ..ServerConfig::default() }).await;
    let told = server.client().hello(hello()).await.unwrap().limits;
    assert_eq!(told, Limits { event_bytes: 1_000, ..Limits::default() });
}

/// What is above the client's limit for sending is not sent, packed or not; the client continues with what is below.
pub async fn a_batch_above_what_the_client_may_send_is_too_large<W: Wire>() {
    let server = Running::<W>::start().await;
    let limits = WireLimits { body_bytes: 1_000, ..WireLimits::default() };
    let client = server.client_with(|config| config.with_limits(limits).with_compression(false));
    assert_eq!(kind(client.push(push(events(10))).await), ErrorKind::TooLarge);
    client.hello(hello()).await.unwrap();
    let mut noise = 1_u64;
    let mut data = String::from("\"");
    for _ in 0..400 {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        data.push_str(&format!("{noise:x}"));
    }
    data.push('"');
    let client = server.client_with(|config| config.with_limits(limits));
    assert_eq!(kind(client.push(push(vec![event(1, &data)])).await), ErrorKind::TooLarge);
    client.hello(hello()).await.unwrap();
    assert!(server.double.pushed.lock().unwrap().is_empty());
}

/// What is above the client's limit for receiving is refused, on the wire and unpacked; the client continues with
/// what is below.
pub async fn an_answer_above_what_the_client_takes_is_too_large<W: Wire>() {
    let server = Running::<W>::start().await;
    *server.double.log.lock().unwrap() = events(300);
    let body = WireLimits { body_bytes: 500, ..WireLimits::default() };
    let unpacked = WireLimits { decoded_bytes: 10_000, ..WireLimits::default() };
    for limits in [body, unpacked] {
        let client = server.client_with(|config| config.with_limits(limits));
        assert_eq!(kind(client.pull(pull()).await), ErrorKind::TooLarge);
        client.hello(hello()).await.unwrap();
    }
}

/// A call ends after the timeout of either side.
pub async fn a_call_that_takes_too_long_is_a_timeout_on_both_sides<W: Wire>() {
    let server = Running::<W>::start().await;
    *server.double.held.lock().unwrap() = true;
    let times = Timeouts { request_ms: 100, ..Timeouts::default() };
    let client = server.client_with(|config| config.with_timeouts(times));
    assert_eq!(kind(client.hello(hello()).await), ErrorKind::Timeout);

    let server = Running::<W>::with(ServerConfig { timeouts: times, ..ServerConfig::default() }).await;
    *server.double.held.lock().unwrap() = true;
    let error = server.client().hello(hello()).await.expect_err("late");
    assert_eq!(
        (error.kind(), error.message().contains("may have been carried out")),
        (ErrorKind::Timeout, true)
    );
}

/// There is room for a number of subscriptions, and besides them for calls.
pub async fn subscriptions_beyond_the_limit_are_busy<W: Wire>() {
    let server = Running::<W>::with(ServerConfig { subscriptions: 1, ..ServerConfig::default() }).await;
    let client = server.client();
    let first = client.subscribe(pull()).await.unwrap();
    assert_eq!(client.subscribe(pull()).await.err().expect("busy").kind(), ErrorKind::Busy);
    client.hello(hello()).await.unwrap();
    drop(first);
}

/// Requests wait for room, and then get an error that says when to come again.
pub async fn requests_beyond_the_limit_are_told_to_come_again<W: Wire>() {
    let server =
        Running::<W>::with(ServerConfig { requests: 2, queue_ms: 50, ..ServerConfig::default() }).await;
    *server.double.held.lock().unwrap() = true;
    let client = server.client();
    let running: Vec<_> = (0..2)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.hello(hello()).await })
        })
        .collect();
    for _ in 0..2 {
        server.double.begun.notified().await;
    }
    let error = client.hello(hello()).await.expect_err("full");
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.retry_after().is_some());
    *server.double.held.lock().unwrap() = false;
    server.double.go.notify_waiters();
    for call in running {
        call.await.unwrap().unwrap();
    }
    server.still_serves().await;
}

/// Silent connections take the room of others for a while, and then make room.
pub async fn connections_beyond_the_limit_wait_for_their_turn<W: Wire>() {
    let config = ServerConfig { connections: 2, timeouts: short(), ..ServerConfig::default() };
    let server = Running::<W>::with(config).await;
    let silent = [server.connect().await, server.connect().await];
    // Both slots are taken, so this waits until they are free.
    server.still_serves().await;
    for stream in silent {
        super::read_all(stream).await;
    }
}

/// A service has the limits it was given.
pub async fn clones_share_their_limits<W: Wire>() {
    let config = ServerConfig { requests: 3, ..ServerConfig::default() };
    let service = service::<W, _>(Double::default(), config);
    assert_eq!((*service.config(), *service.clone().config()), (config, config));
}
