//! A server on a free port, in front of a transport that remembers what it was asked.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

#[cfg(feature = "tls")]
pub mod certificates;

use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use futures_util::stream;
use synckit_core::{
    Caller, Cursor, Data, Dot, Error, ErrorKind, Event, EventId, HelloRequest, HelloResponse, Limits,
    MissingRequest, MissingResponse, NewEvent, NodeId, PageStream, PullRequest, PullResponse, PushRequest,
    PushResponse, Result, Scope, StoreId, Timestamp, Traffic, Transport, VectorClock,
};
use synckit_http::{ClientConfig, HttpService, HttpTransport, ServerConfig, Timeouts, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
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
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let double = Double::default();
        let service = HttpService::new(double.clone()).with_config(config);
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(serve(listener, service, async {
            let _ = stopped.await;
        }));
        Server { address, double, stop: Some(stop), task }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn client(&self) -> HttpTransport {
        HttpTransport::new(self.url()).unwrap()
    }

    pub fn client_with(&self, config: impl FnOnce(ClientConfig) -> ClientConfig) -> HttpTransport {
        HttpTransport::with_config(config(ClientConfig::new(self.url()))).unwrap()
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

    /// Sends a request as it is and reads until the server closes.
    pub async fn raw(&self, request: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        // The server may answer and close before it has read everything.
        let _ = stream.write_all(request.as_ref()).await;
        read_all(stream).await
    }

    /// Posts a body, with further header lines, and reads the answer.
    pub async fn post(&self, path: &str, headers: &str, body: &[u8]) -> String {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
        );
        self.raw([head.as_bytes(), body].concat()).await
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

pub async fn read_all(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // A connection that is reset has said what it had to say.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

pub const JSON: &str = "content-type: application/json\r\n";

/// Short times, for tests that run into them.
pub fn short() -> Timeouts {
    Timeouts { connect_ms: 300, idle_ms: 300, request_ms: 2_000, ..Timeouts::default() }
}

/// A server that treats every connection so.
pub async fn fake<F, A>(answer: F) -> String
where
    F: Fn(TcpStream) -> A + Send + 'static,
    A: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    url
}

/// A server that answers every connection's first request with this text.
pub async fn canned(text: &'static str) -> String {
    fake(async |mut stream| {
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await;
        let _ = stream.write_all(text.as_bytes()).await;
        let _ = stream.shutdown().await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await
}

pub fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.expect_err("an error").kind()
}
