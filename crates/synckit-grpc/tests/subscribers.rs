//! What subscribers that do not read, or are gone, cost the server.
#![allow(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod common;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use common::{Server, caller, event, frame, hello, kind, page, pull, raw_client, short, store};
use futures_util::{Stream, StreamExt, stream};
use http::Request;
use http_body_util::{BodyExt, Full};
use synckit_core::{
    Cursor, ErrorKind, HelloRequest, HelloResponse, Mark, MissingRequest, MissingResponse, PageStream,
    PullRequest, PullResponse, PushRequest, PushResponse, Result, Traffic, Transport,
};
use synckit_grpc::{ClientConfig, GrpcService, GrpcTransport, PushStream, ServerConfig, Timeouts, serve};
use synckit_wire::Encode;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// A transport whose log never ends, and which counts the pages it makes and the subscriptions it serves.
#[derive(Clone)]
struct Endless {
    made: Arc<AtomicUsize>,
    open: watch::Sender<usize>,
}

impl Endless {
    fn new() -> Endless {
        Endless { made: Arc::default(), open: watch::Sender::new(0) }
    }

    fn made(&self) -> usize {
        self.made.load(Ordering::SeqCst)
    }

    fn page(&self) -> PullResponse {
        let number = self.made.fetch_add(1, Ordering::SeqCst) as u64 + 1;
        let mut page = page(vec![event(number, &format!("{:?}", "x".repeat(200_000)))]);
        page.next = Cursor::at(store(), number, Mark(number));
        page.more = true;
        page
    }

    /// Waits until `count` subscriptions are open.
    async fn opened(&self, count: usize) {
        self.open.subscribe().wait_for(|open| *open == count).await.unwrap();
    }
}

/// A subscription that reports when it is dropped.
struct Pages(Endless);

impl Drop for Pages {
    fn drop(&mut self) {
        self.0.open.send_modify(|open| *open -= 1);
    }
}

impl Stream for Pages {
    type Item = Result<PullResponse>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(Some(Ok(self.0.page())))
    }
}

impl Transport for Endless {
    async fn hello(&self, request: HelloRequest) -> Result<HelloResponse> {
        common::Double::default().hello(request).await
    }

    async fn pull(&self, _: PullRequest) -> Result<PullResponse> {
        Ok(self.page())
    }

    async fn push(&self, _: PushRequest) -> Result<PushResponse> {
        Ok(PushResponse::default())
    }

    async fn missing(&self, request: MissingRequest) -> Result<MissingResponse> {
        Ok(MissingResponse { ids: request.ids, place: None })
    }

    async fn subscribe(&self, _: PullRequest) -> Result<PageStream> {
        self.open.send_modify(|open| *open += 1);
        Ok(Box::pin(Pages(self.clone())))
    }

    fn traffic(&self) -> Traffic {
        Traffic::default()
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

async fn start(config: ServerConfig) -> (Endless, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let endless = Endless::new();
    let service = GrpcService::new(endless.clone()).with_config(config);
    tokio::spawn(serve(listener, service, std::future::pending()));
    (endless, address)
}

/// The most pages that are under way to a caller that reads nothing: one that was made, and those that the windows of
/// HTTP/2 and the buffers below hold, far fewer than 100 of 200 KB each.
const UNDER_WAY: usize = 100;

/// Waits until no more pages are made, or too many were.
async fn settled(endless: &Endless) -> usize {
    let mut before = usize::MAX;
    while endless.made() != before && endless.made() < UNDER_WAY {
        before = endless.made();
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    endless.made()
}

/// Starts a call by hand whose answer is not read.
async fn unread(address: &str, method: &str) -> http::Response<hyper::body::Incoming> {
    let body = Full::new(frame(0, &pull().to_protobuf()).into()).boxed_unsync();
    let request = Request::post(format!("http://{address}/synckit.v1.Sync/{method}"))
        .header("content-type", "application/grpc")
        .body(body)
        .unwrap();
    raw_client().request(request).await.unwrap()
}

#[tokio::test]
async fn pages_wait_for_a_subscriber_that_does_not_read() {
    let (endless, address) = start(ServerConfig::default()).await;
    // Not packed: repeated text packs to almost nothing, and would fit into the buffers on the way.
    let config = ClientConfig::new(format!("grpc://{address}")).with_compression(false);
    let mut pages = GrpcTransport::with_config(config).unwrap().subscribe(pull()).await.unwrap();
    pages.next().await.unwrap().unwrap();
    let made = settled(&endless).await;
    assert!(made < UNDER_WAY, "{made} pages were made");
    // It continues reading where it stopped.
    for number in 2..=50 {
        assert_eq!(pages.next().await.unwrap().unwrap().next.position(), number);
    }
}

#[tokio::test]
async fn pages_wait_for_a_caller_that_pulls_everything_and_does_not_read() {
    let (endless, address) = start(ServerConfig::default()).await;
    let unread = unread(&address, "Pull").await;
    let made = settled(&endless).await;
    assert!(made < UNDER_WAY, "{made} pages were made");
    drop(unread);
}

#[tokio::test]
async fn a_pull_of_the_client_makes_one_page() {
    let (endless, address) = start(ServerConfig::default()).await;
    let client = GrpcTransport::new(format!("grpc://{address}")).unwrap();
    for pulls in 1..=20 {
        assert!(client.pull(pull()).await.unwrap().more);
        assert_eq!(endless.made(), pulls);
    }
}

#[tokio::test]
async fn a_subscriber_that_is_gone_frees_its_place() {
    let (endless, address) = start(ServerConfig { subscriptions: 1, ..ServerConfig::default() }).await;
    let url = format!("grpc://{address}");
    for _ in 0..20 {
        let client = GrpcTransport::new(&*url).unwrap();
        let mut pages = client.subscribe(pull()).await.unwrap();
        pages.next().await.unwrap().unwrap();
        let error = client.subscribe(pull()).await.err().expect("there is room for one");
        assert_eq!((error.kind(), error.retry_after().is_some()), (ErrorKind::Busy, true));
        // Dropped with its connection, in the middle of whatever is under way.
        drop((pages, client));
        endless.opened(0).await;
        // The room is free once the subscription is dropped; the server may need a moment to notice.
        while let Err(error) = GrpcTransport::new(&*url).unwrap().subscribe(pull()).await {
            assert_eq!(error.kind(), ErrorKind::Busy);
        }
        endless.opened(0).await;
    }
}

#[tokio::test]
async fn a_subscriber_that_never_reads_is_given_up_and_is_not_told_that_all_is_well() {
    let timeouts = Timeouts { request_ms: 300, ..Timeouts::default() };
    let (endless, address) = start(ServerConfig { timeouts, ..ServerConfig::default() }).await;
    let unread = unread(&address, "Subscribe").await;
    endless.opened(1).await;
    endless.opened(0).await;
    assert!(unread.into_body().collect().await.is_err(), "it broke off");
    let client = GrpcTransport::new(format!("grpc://{address}")).unwrap();
    client.hello(hello()).await.unwrap();
}

#[tokio::test]
async fn a_stream_of_batches_that_pauses_too_long_is_given_up() {
    let server = Server::with(ServerConfig { timeouts: short(), ..ServerConfig::default() }).await;
    let push = PushRequest {
        caller: caller(),
        filter: "all".into(),
        events: Vec::new(),
        from: None,
        upto: None,
        known: Vec::new(),
    };
    let batches = stream::iter([push]).chain(stream::pending());
    assert_eq!(kind(server.client().push_stream(batches).await), ErrorKind::Timeout);
    server.still_serves().await;
}
