//! A server on a free port, in front of a transport that remembers what it was asked.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

#[cfg(feature = "tls")]
pub mod certificates;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Request};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use synckit_core::{
    Caller, Cursor, Data, Dot, Error, ErrorKind, Event, EventId, HelloRequest, HelloResponse, Limits,
    MissingRequest, MissingResponse, NewEvent, NodeId, PageStream, PullRequest, PullResponse, PushRequest,
    PushResponse, Result, Scope, StoreId, Timestamp, Traffic, Transport, VectorClock,
};
use synckit_grpc::{ClientConfig, GrpcService, GrpcTransport, ServerConfig, Timeouts, serve};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

/// A transport that answers from memory.
#[derive(Clone, Default)]
pub struct Double(Arc<State>);

#[derive(Default)]
pub struct State {
    /// What was pushed.
    pub pushed: Mutex<Vec<Event>>,
    /// What a pull answers.
    pub log: Mutex<Vec<Event>>,
    /// What a pull answers beside, where only ids are asked for.
    pub ids: Mutex<Vec<EventId>>,
    /// The next call fails so.
    pub failure: Mutex<Option<Error>>,
    /// What subscribers get; then silence.
    pub pages: Mutex<VecDeque<Result<PullResponse>>>,
    /// Whether calls wait for `go`.
    pub held: Mutex<bool>,
    /// Told when a call has begun.
    pub begun: Notify,
    /// Lets a held call go on.
    pub go: Notify,
}

impl std::ops::Deref for Double {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}

impl Double {
    async fn enter(&self) -> Result<()> {
        self.begun.notify_one();
        if *self.held.lock().unwrap() {
            self.go.notified().await;
        }
        match self.failure.lock().unwrap().take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

impl Transport for Double {
    async fn hello(&self, request: HelloRequest) -> Result<HelloResponse> {
        self.enter().await?;
        Ok(HelloResponse {
            protocol: request.protocol,
            store: store(),
            former: Vec::new(),
            node: NodeId::new("hub")?,
            head: self.log.lock().unwrap().len() as u64,
            limits: Limits::default(),
            time: 1,
            counter: 0,
            counter_event: None,
            pushed: request.cursor,
            known: Vec::new(),
            cursor_known: true,
            rights: None,
            ahead: None,
        })
    }

    async fn pull(&self, request: PullRequest) -> Result<PullResponse> {
        self.enter().await?;
        Ok(match request.scope {
            Scope::Sent(_) => PullResponse { ids: self.ids.lock().unwrap().clone(), ..page(Vec::new()) },
            _ => page(self.log.lock().unwrap().clone()),
        })
    }

    async fn push(&self, request: PushRequest) -> Result<PushResponse> {
        self.enter().await?;
        let accepted = request.events.len();
        self.pushed.lock().unwrap().extend(request.events);
        Ok(PushResponse { accepted, ..PushResponse::default() })
    }

    async fn missing(&self, request: MissingRequest) -> Result<MissingResponse> {
        self.enter().await?;
        Ok(MissingResponse { ids: request.ids, place: None })
    }

    async fn subscribe(&self, _: PullRequest) -> Result<PageStream> {
        self.enter().await?;
        let pages = std::mem::take(&mut *self.pages.lock().unwrap());
        Ok(Box::pin(stream::unfold(pages, async |mut pages| match pages.pop_front() {
            Some(page) => Some((page, pages)),
            None => std::future::pending().await,
        })))
    }

    fn traffic(&self) -> Traffic {
        Traffic::default()
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

pub fn store() -> StoreId {
    StoreId::from_bytes([7; 16])
}

pub fn caller() -> Caller {
    Caller { node: NodeId::new("a").unwrap(), store: StoreId::from_bytes([1; 16]) }
}

pub fn hello() -> HelloRequest {
    HelloRequest { protocol: 1, caller: caller(), filter: "all".into(), cursor: None, ahead: None }
}

pub fn pull() -> PullRequest {
    PullRequest {
        caller: caller(),
        cursor: None,
        limit: None,
        filter: Default::default(),
        scope: Default::default(),
    }
}

pub fn push(events: Vec<Event>) -> PushRequest {
    PushRequest { caller: caller(), filter: "all".into(), events, from: None, upto: None }
}

pub fn page(events: Vec<Event>) -> PullResponse {
    PullResponse {
        events,
        ids: Vec::new(),
        unreadable: Vec::new(),
        next: Cursor::start(store()),
        more: false,
    }
}

/// Ids as replicas make them: a minute apart, with ten bytes of noise.
pub fn ids(count: u64) -> Vec<EventId> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..count)
        .map(|at| EventId::uuid_v7(1_764_000_000_000 + at * 60_000, &std::array::from_fn(|_| noise())))
        .collect()
}

pub fn event(counter: u64, data: &str) -> Event {
    let node = NodeId::new("a").unwrap();
    let new = NewEvent::with_data("T", "x", Data::json(data).unwrap()).unwrap();
    Event {
        id: format!("e-{counter}").parse().unwrap(),
        event_type: new.event_type,
        aggregate_id: new.aggregate_id,
        data: new.data,
        metadata: new.metadata,
        dot: Some(Dot::new(node.clone(), counter)),
        clock: VectorClock::from_entries([(node, counter)]).unwrap(),
        time: Timestamp::from_millis(counter),
    }
}

/// Events of several kilobytes that pack well.
pub fn events(count: u64) -> Vec<Event> {
    let pretty = format!("{{\n  \"n\": 9007199254740993,\n  \"text\": {:?}\n}}", "words ".repeat(50));
    (1..=count).map(|counter| event(counter, &pretty)).collect()
}

/// A running server.
pub struct Server {
    pub address: SocketAddr,
    pub double: Double,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<()>>,
}

impl Server {
    pub async fn start() -> Server {
        Server::with(ServerConfig::default()).await
    }

    pub async fn with(config: ServerConfig) -> Server {
        Server::at(([127, 0, 0, 1], 0).into(), config).await
    }

    pub async fn at(address: SocketAddr, config: ServerConfig) -> Server {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let double = Double::default();
        let service = GrpcService::new(double.clone()).with_config(config);
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(serve(listener, service, async {
            let _ = stopped.await;
        }));
        Server { address, double, stop: Some(stop), task }
    }

    pub fn url(&self) -> String {
        format!("grpc://{}", self.address)
    }

    pub fn client(&self) -> GrpcTransport {
        GrpcTransport::new(self.url()).unwrap()
    }

    pub fn client_with(&self, config: impl FnOnce(ClientConfig) -> ClientConfig) -> GrpcTransport {
        GrpcTransport::with_config(config(ClientConfig::new(self.url()))).unwrap()
    }

    /// Begins the shutdown.
    pub fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    pub async fn stopped(self) {
        self.task.await.unwrap().unwrap();
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Calls with these bytes as the body, and reads the whole answer.
    pub async fn call(&self, method: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        self.call_with(method, headers, Full::new(body.into()).boxed_unsync()).await
    }

    /// Calls with this body, and reads the whole answer.
    pub async fn call_with(&self, method: &str, headers: &[(&str, &str)], body: RawBody) -> Answer {
        let client: Client<_, RawBody> = raw_client();
        let mut request = Request::post(format!("http://{}/synckit.v1.Sync/{method}", self.address));
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/grpc");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = client.request(request.body(body).unwrap()).await.unwrap();
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap();
        let mut status = head.headers;
        status.extend(body.trailers().cloned().unwrap_or_default());
        Answer { http: head.status.as_u16(), status, body: body.to_bytes() }
    }

    pub async fn still_serves(&self) {
        // With short times and little processor, a connection may be closed before its first request comes.
        for _ in 0..5 {
            if self.client().hello(hello()).await.is_ok() {
                return;
            }
        }
        panic!("the server no longer serves");
    }
}

pub type RawBody = UnsyncBoxBody<Bytes, Infallible>;

pub fn raw_client() -> Client<HttpConnector, RawBody> {
    Client::builder(TokioExecutor::new()).http2_only(true).build_http()
}

/// What a raw call was answered.
#[derive(Debug)]
pub struct Answer {
    pub http: u16,
    /// Headers and trailers.
    pub status: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The gRPC code.
    pub fn code(&self) -> i32 {
        self.status.get("grpc-status").map_or(-1, |code| code.to_str().unwrap().parse().unwrap())
    }
}

/// A message as it stands in a stream.
pub fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
    let mut frame = vec![flag];
    frame.extend_from_slice(&(message.len() as u32).to_be_bytes());
    frame.extend_from_slice(message);
    frame
}

/// Short times, for tests that run into them.
pub fn short() -> Timeouts {
    Timeouts {
        connect_ms: 300,
        keep_alive_ms: 5_000,
        keep_alive_timeout_ms: 5_000,
        idle_ms: 300,
        request_ms: 2_000,
    }
}

/// A server that treats every connection so.
pub async fn fake<F, A>(answer: F) -> String
where
    F: Fn(TcpStream) -> A + Send + 'static,
    A: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("grpc://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    url
}

pub fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.expect_err("an error").kind()
}
