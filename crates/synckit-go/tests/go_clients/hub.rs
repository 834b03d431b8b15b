//! A hub with a real store, requests over raw sockets, and replicas beside them.

use std::collections::HashSet;
use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Value, json};
use synckit::{Endpoint, NewEvent, NodeId, SyncManager, store::StoreExt};
use synckit_core::{EventStore, Query, StoredEvent};
use synckit_go::GoClients;
use synckit_http::{HttpService, HttpTransport, ServerConfig, serve};
use synckit_plan::notes;
use synckit_sqlite::SqliteStore;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub fn node(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

/// A running hub.
pub struct Hub {
    pub address: SocketAddr,
    pub store: SqliteStore,
    directory: TempDir,
    stop: oneshot::Sender<()>,
    task: JoinHandle<synckit_core::Result<()>>,
}

impl Hub {
    pub async fn start() -> Hub {
        Hub::open(tempfile::tempdir().unwrap(), true).await
    }

    /// Opens a hub in this directory, for old clients too or for replicas only.
    pub async fn open(directory: TempDir, old_clients: bool) -> Hub {
        let store = SqliteStore::open_as(directory.path().join("hub.db"), node("hub")).await.unwrap();
        let endpoint = Endpoint::new(store.clone());
        let mut clients = GoClients::new(store.clone()).with_readers();
        for name in ["ann", "bob"] {
            clients = clients.with_client(name, node(&format!("go-{name}"))).unwrap();
        }
        let config = ServerConfig { heartbeat_ms: 200, ..ServerConfig::default() };
        let service = HttpService::new(endpoint).with_config(config);
        let service =
            if old_clients { service.with_routes(clients.routes().await.unwrap()) } else { service };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(serve(listener, service, async {
            let _ = stopped.await;
        }));
        Hub { address, store, directory, stop, task }
    }

    pub async fn restart(self) -> Hub {
        Hub::open(self.stop().await, true).await
    }

    /// Stops the hub and returns its directory.
    pub async fn stop(self) -> TempDir {
        let Hub { store, directory, stop, task, .. } = self;
        stop.send(()).unwrap();
        task.await.unwrap().unwrap();
        store.close().await.unwrap();
        directory
    }

    pub async fn log(&self) -> Vec<StoredEvent> {
        let (mut log, mut after) = (Vec::new(), 0);
        loop {
            let page = self.store.read(Query::after(after)).await.unwrap();
            log.extend(page.events);
            after = page.scanned_to;
            if !page.more {
                return log;
            }
        }
    }

    pub async fn ids(&self) -> HashSet<String> {
        self.log().await.iter().map(|stored| stored.event.id.to_string()).collect()
    }

    pub async fn conflicts(&self) -> Vec<String> {
        let found = self.store.notes_under(notes::CONFLICTS).await.unwrap();
        found.into_iter().map(|note| note.key.replace(notes::CONFLICTS, "")).collect()
    }

    /// Returns a replica that syncs with this hub.
    pub async fn replica(&self, name: &str) -> SyncManager<SqliteStore, HttpTransport> {
        let path: PathBuf = self.directory.path().join(format!("{name}.db"));
        let store = SqliteStore::open_as(path, node(name)).await.unwrap();
        SyncManager::new(store, HttpTransport::new(format!("http://{}", self.address)).unwrap())
    }

    /// Opens a hub that holds `count` events of a replica.
    pub async fn holding(count: usize) -> Hub {
        let hub = Hub::start().await;
        let replica = hub.replica("seed").await;
        for first in (0..count).step_by(1_000) {
            let numbers = first..count.min(first + 1_000);
            let events = numbers.map(|n| new_event(&format!("seed-{n}"), &format!("s{}", n % 7)));
            replica.replica().record(events).await.unwrap();
        }
        replica.sync().await.unwrap();
        hub
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, "", b"").await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, "content-type: application/json\r\n", body.to_string().as_bytes()).await
    }

    /// Sends one request over its own connection, with these header lines.
    pub async fn call(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        let mut stream = self.connect(method, path, headers, body).await;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        Answer::parse(&bytes)
    }

    pub async fn connect(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let length = match method {
            "GET" => String::new(),
            _ => format!("content-length: {}\r\n", body.len()),
        };
        let head =
            format!("{method} {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{length}{headers}\r\n");
        stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
        stream
    }
}

/// An answer, unpacked.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    pub wire_bytes: usize,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Answer {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole header");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
        let mut body = bytes[end + 4..].to_vec();
        let wire_bytes = body.len();
        if head.contains("content-encoding: gzip") {
            let mut unpacked = Vec::new();
            flate2::read::GzDecoder::new(&*body).read_to_end(&mut unpacked).unwrap();
            body = unpacked;
        }
        Answer { status: head.split(' ').nth(1).unwrap().parse().unwrap(), head, body, wire_bytes }
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// Returns the text of an error, which is alone under `error`.
    pub fn error(&self) -> String {
        let body = self.json();
        assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
        body["error"].as_str().expect("a text").to_owned()
    }
}

pub fn new_event(id: &str, of: &str) -> NewEvent {
    NewEvent::new("Noted", of, &json!({"z": 1.5, "id": id})).unwrap().with_id(id.parse().unwrap())
}

/// Returns an event as a client pushes it that does not number its events.
pub fn event(id: &str, of: &str, data: Value) -> Value {
    json!({"event": {"id": id, "type": "Noted", "aggregate_id": of, "data": data, "metadata": null}, "version": ""})
}
