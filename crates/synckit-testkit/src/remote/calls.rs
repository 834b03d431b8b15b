//! Every call through the real client and server, and every error.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use http::{HeaderName, HeaderValue};
use synckit::Endpoint;
use synckit_core::{
    BoxTransport, Cursor, Error, ErrorKind, HelloRequest, Mark, MissingRequest, PullRequest, Scope, Transport,
};
use synckit_remote::{Client, ClientConfig, Exchange, ServerConfig, Service, serve};
use tokio::net::TcpListener;
use tracing::Instrument;

use super::requests::{caller, event, events, hello, ids, kind, page, pull, push, store};
use super::{Running, Wire, hub, service, short};
use crate::spans::Spans;

/// Each call reaches the transport behind the server, and its answer comes back.
pub async fn hello_pull_push_and_missing_arrive_and_are_answered<W: Wire>() {
    let server = Running::<W>::start().await;
    let client = server.client();
    *server.double.log.lock().unwrap() = events(300);
    let answer = client.hello(hello()).await.unwrap();
    assert_eq!((answer.node.as_str(), answer.head, answer.store), ("hub", 300, store()));
    assert_eq!(client.pull(pull()).await.unwrap(), page(events(300)));
    assert_eq!(client.push(push(events(200))).await.unwrap().accepted, 200);
    assert_eq!(*server.double.pushed.lock().unwrap(), events(200));
    let ids = vec!["e-1".parse().unwrap()];
    let missing = MissingRequest { caller: caller(), ids: ids.clone(), known: Vec::new() };
    assert_eq!(client.missing(missing).await.unwrap().ids, ids);
}

/// Compression works in both directions, and the counters count what is sent over the wire.
pub async fn messages_are_compressed_both_ways_and_counted_as_sent<W: Wire>() {
    let server = Running::<W>::start().await;
    *server.double.log.lock().unwrap() = events(300);
    let (packed, plain) = (server.client(), server.client_with(|config| config.with_compression(false)));
    for client in [&packed, &plain] {
        client.pull(pull()).await.unwrap();
        client.push(push(events(300))).await.unwrap();
    }
    let (packed, plain) = (packed.traffic(), plain.traffic());
    assert!(plain.sent > 90_000 && plain.received > 90_000, "{plain:?}");
    assert!(packed.sent < plain.sent / 5 && packed.received < plain.received / 5, "{packed:?}");
}

/// Messages of more than a megabyte pass.
pub async fn large_messages_pass<W: Wire>() {
    let server = Running::<W>::start().await;
    let large: Vec<_> = (1..=8).map(|n| event(n, &format!("{:?}", "x".repeat(200_000)))).collect();
    *server.double.log.lock().unwrap() = large.clone();
    let client = server.client_with(|config| config.with_compression(false));
    assert_eq!(client.pull(pull()).await.unwrap().events, large);
    assert_eq!(client.push(push(large)).await.unwrap().accepted, 8);
}

/// An error keeps its kind and its message, and names the transport and the call.
pub async fn every_kind_of_error_keeps_its_kind_and_message<W: Wire>() {
    let server = Running::<W>::start().await;
    let client = server.client();
    for kind in ErrorKind::ALL {
        *server.double.failure.lock().unwrap() = Some(Error::new(kind, "what is wrong"));
        let error = client.pull(pull()).await.expect_err("an error");
        assert_eq!((error.kind(), error.message()), (kind, "what is wrong"));
        assert_eq!((error.component(), error.operation()), (W::Exchange::NAME, "pull"));
    }
}

/// A delay that the server names reaches the client, and so does a delay for a server that has no room and names
/// none.
pub async fn when_to_come_again_is_said<W: Wire>() {
    let server = Running::<W>::start().await;
    let client = server.client();
    let fail = |error| *server.double.failure.lock().unwrap() = Some(error);
    let delay = Duration::from_millis(6_500);
    fail(Error::new(ErrorKind::Busy, "full").with_retry_after(delay));
    let error = client.pull(pull()).await.expect_err("busy");
    assert_eq!(error.retry_after(), Some(W::delay(delay)));
    fail(Error::new(ErrorKind::Unavailable, "away"));
    let error = client.pull(pull()).await.expect_err("unavailable");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
}

/// A cursor is the same on the other side.
pub async fn a_cursor_crosses_as_it_is<W: Wire>() {
    let server = Running::<W>::start().await;
    let known = vec![Cursor::at(store(), 3, Mark(3))];
    let answer = server.client().hello(HelloRequest { known: known.clone(), ..hello() }).await;
    assert_eq!(answer.unwrap().known, known);
}

/// A client is a transport, so a server in front of it is a relay.
pub async fn a_relay_passes_everything_on<W: Wire>() {
    let hub = Running::<W>::start().await;
    *hub.double.log.lock().unwrap() = events(5);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("{}{}", W::Exchange::PROTOCOL.plain, listener.local_addr().unwrap());
    let service = service::<W, _>(BoxTransport::new(hub.client()), ServerConfig::default());
    let relay = tokio::spawn(async move { serve(listener, service, std::future::pending()).await });
    let client = Client::<W::Exchange>::new(url).unwrap();
    assert_eq!(client.pull(pull()).await.unwrap(), page(events(5)));
    *hub.double.failure.lock().unwrap() = Some(Error::new(ErrorKind::Denied, "no"));
    assert_eq!(kind(client.push(push(events(1))).await), ErrorKind::Denied);
    relay.abort();
}

/// Ids cost less than 20 bytes each, in every message.
pub async fn ids_are_packed_both_ways<W: Wire>() {
    let server = Running::<W>::start().await;
    ids_are_packed_to(&server, &server.client()).await;
}

/// Runs [`ids_are_packed_both_ways`] with this client.
pub async fn ids_are_packed_to<W: Wire>(server: &Running<W>, client: &Client<W::Exchange>) {
    let ids = ids(1_000);
    server.double.ids.lock().unwrap().clone_from(&ids);
    client.hello(hello()).await.unwrap();
    let (list, name) = (Scope::Sent(vec![store(); 3]), Scope::Named(ids.clone()));
    let before = client.traffic();
    let page = client.pull(PullRequest { scope: list, ..pull() }).await.unwrap();
    assert_eq!(page.ids, ids);
    let listed = client.traffic();
    client.pull(PullRequest { scope: name, ..pull() }).await.unwrap();
    let named = client.traffic();
    let request = MissingRequest { caller: caller(), ids: ids.clone(), known: Vec::new() };
    assert_eq!(client.missing(request).await.unwrap().ids, ids);
    let missing = client.traffic();
    let each = [
        listed.received - before.received,
        named.sent - listed.sent,
        missing.sent - named.sent,
        missing.received - named.received,
    ];
    let each = each.map(|bytes| bytes as f64 / ids.len() as f64);
    assert!(each.iter().all(|bytes| *bytes < 20.0), "{each:.1?}");
}

/// Pages come in order, with or without events; the error that ends them comes last.
pub async fn a_subscription_brings_pages_and_then_its_error<W: Wire>() {
    let server = Running::<W>::start().await;
    let end = Error::new(ErrorKind::CursorUnknown, "start again");
    let pages = [Ok(page(events(3))), Ok(page(Vec::new())), Ok(page(events(200))), Err(end)];
    server.double.pages.lock().unwrap().extend(pages);
    let mut pages = server.client().subscribe(pull()).await.unwrap();
    for count in [3, 0, 200] {
        assert_eq!(pages.next().await.unwrap().unwrap(), page(events(count)));
    }
    let error = pages.next().await.unwrap().expect_err("the end");
    assert_eq!((error.kind(), error.message()), (ErrorKind::CursorUnknown, "start again"));
    assert!(pages.next().await.is_none());
}

/// A subscription that the peer refuses is refused at once, not with its first page.
pub async fn an_error_at_the_start_of_a_subscription_is_that_error<W: Wire>() {
    let server = Running::<W>::start().await;
    *server.double.failure.lock().unwrap() = Some(Error::new(ErrorKind::CursorUnknown, "start again"));
    let error = server.client().subscribe(pull()).await.err().expect("an error");
    assert_eq!(error.kind(), ErrorKind::CursorUnknown);
}

/// A subscription without a sign of life ends with a timeout.
pub async fn a_subscription_that_stays_silent_is_given_up<W: Wire>() {
    let server = Running::<W>::with(ServerConfig { heartbeat_ms: 60_000, ..ServerConfig::default() }).await;
    let client = server.client_with(|config| config.with_timeouts(short()));
    let mut pages = client.subscribe(pull()).await.unwrap();
    assert_eq!(kind(pages.next().await.unwrap()), ErrorKind::Timeout);
    assert!(pages.next().await.is_none());
}

/// Closing a transport ends its running calls and subscriptions, and all later calls.
pub async fn closing_ends_calls_and_subscriptions<W: Wire>() {
    let server = Running::<W>::start().await;
    let client = server.client();
    let mut pages = client.subscribe(pull()).await.unwrap();
    *server.double.held.lock().unwrap() = true;
    server.double.begun.notified().await;
    let running = tokio::spawn({
        let client = client.clone();
        async move { client.hello(hello()).await }
    });
    server.double.begun.notified().await;
    client.close().await.unwrap();
    assert_eq!(kind(running.await.unwrap()), ErrorKind::Closed);
    assert_eq!(kind(pages.next().await.unwrap()), ErrorKind::Closed);
    assert_eq!(kind(client.hello(hello()).await), ErrorKind::Closed);
    assert_eq!(client.subscribe(pull()).await.err().expect("closed").kind(), ErrorKind::Closed);
}

/// If nobody listens, the error names the address.
pub async fn nobody_there_is_unavailable_and_says_what_to_check<W: Wire>() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("{}{}", W::Exchange::PROTOCOL.plain, listener.local_addr().unwrap());
    drop(listener);
    let error = Client::<W::Exchange>::new(url.clone()).unwrap().hello(hello()).await.expect_err("nobody");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let text = error.to_string();
    assert!(text.contains("is the server running") && text.contains(&url), "{text}");
}

/// A client that lost its server calls it again when it is back.
pub async fn a_client_finds_its_server_again<W: Wire>() {
    let mut server = Running::<W>::start().await;
    let (client, address) = (server.client(), server.address);
    client.hello(hello()).await.unwrap();
    server.stop();
    server.stopped().await;
    assert_eq!(kind(client.hello(hello()).await), ErrorKind::Unavailable);
    let server = Running::<W>::at(address, ServerConfig::default()).await;
    client.hello(hello()).await.unwrap();
    drop(server);
}

/// No debug output and no error shows the values of headers.
pub async fn headers_are_sent_and_not_shown<W: Wire>() {
    let url = format!("{}hub:8081", W::Exchange::PROTOCOL.plain);
    let config = ClientConfig::new(url).with_header("authorization", "Bearer secret");
    let shown = format!("{config:?} {:?}", Client::<W::Exchange>::with_config(config.clone()).unwrap());
    assert!(shown.contains("authorization") && !shown.contains("secret"), "{shown}");
    for (name, value) in [("no header", "secret"), ("x", "secret\n")] {
        let bad = Client::<W::Exchange>::with_config(config.clone().with_header(name, value));
        let error = bad.expect_err("no header");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

/// The context of a trace crosses the wire, and a call is served in the span that is made from it.
pub async fn the_context_of_a_trace_crosses_the_wire<W: Wire>() {
    const CONTEXT: HeaderName = HeaderName::from_static("traceparent");
    let spans = Spans::here();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let service = Service::new(Endpoint::new(hub::store("hub"))).with_span(move |headers| {
        log.lock().unwrap().push(headers.get(CONTEXT).cloned());
        tracing::info_span!("made from it")
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("{}{}", W::Exchange::PROTOCOL.plain, listener.local_addr().unwrap());
    tokio::spawn(serve(listener, W::Service::from(service), std::future::pending()));
    let config = ClientConfig::new(url).with_call_headers(|headers| {
        let span = tracing::Span::current();
        let name = span.metadata().map_or("none", |metadata| metadata.name());
        headers.insert(CONTEXT, HeaderValue::from_static(name));
    });
    let client = Client::<W::Exchange>::with_config(config).unwrap();
    let missing = MissingRequest { caller: caller(), ids: vec!["a".parse().unwrap()], known: Vec::new() };
    let call = client.missing(missing).instrument(tracing::info_span!("the caller's"));
    assert_eq!(call.await.unwrap().ids.len(), 1);
    assert_eq!(*seen.lock().unwrap(), [Some(HeaderValue::from_static("the caller's"))]);
    assert_eq!(spans.taken(), ["the caller's", "made from it", "made from it > serve"]);
}

/// Checks that a service works however it is mounted, with a client of it at this URL.
pub async fn works<W: Wire>(url: &str) {
    let client = Client::<W::Exchange>::new(url).unwrap();
    assert_eq!(client.hello(hello()).await.expect(url).node.as_str(), "hub");
}
