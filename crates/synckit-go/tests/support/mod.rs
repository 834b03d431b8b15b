//! A hub with a real store, clients of go-sync-kit as scripts over raw sockets, and replicas beside them.

use std::collections::HashSet;
use std::io::{Read, Write};
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
        let mut clients = GoClients::new(store.clone());
        for name in ["ann", "bob"] {
            clients = clients.with_client(name, node(&format!("go-{name}"))).unwrap();
        }
        let config = ServerConfig { heartbeat_ms: 200, ..ServerConfig::default() };
        let service = HttpService::new(endpoint).with_config(config);
        let service = if old_clients { service.with_routes(clients.into_routes()) } else { service };
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
        let events = (0..count).map(|n| new_event(&format!("seed-{n}"), &format!("s{}", n % 7)));
        replica.replica().record(events).await.unwrap();
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

/// Returns an event as a client pushes it.
pub fn event(id: &str, of: &str, data: Value) -> Value {
    json!({"event": {"id": id, "type": "Noted", "aggregate_id": of, "data": data, "metadata": null}, "version": "1"})
}

/// A client with the store that comes with go-sync-kit: a table that numbers its rows itself, whatever number an event
/// came with, and accepts no id twice. Its manager pulls what comes after its own highest row, up to the first row that
/// cannot be inserted, and then pushes its rows after the number that the server calls its last.
pub struct Table {
    base: String,
    pub rows: Vec<Value>,
    ids: HashSet<String>,
}

impl Table {
    pub fn new(base: &str) -> Table {
        Table { base: base.to_owned(), rows: Vec::new(), ids: HashSet::new() }
    }

    /// Records an event offline. Returns false when its id is already there.
    pub fn insert(&mut self, event: Value) -> bool {
        let new = self.ids.insert(event["id"].as_str().unwrap().to_owned());
        if new {
            self.rows.push(doubles(event));
        }
        new
    }

    pub fn record(&mut self, id: &str, of: &str) {
        assert!(self.insert(event(id, of, json!({"by": self.base, "n": 1.5}))["event"].take()));
    }

    pub fn ids(&self) -> HashSet<String> {
        self.ids.clone()
    }

    /// Runs the first half of a sync. Fails when an event that came cannot be inserted.
    pub async fn pull(&mut self, hub: &Hub) -> Result<usize, String> {
        let answer = self.ask_for_more(hub).await;
        let pulled = answer.json();
        let pulled = pulled.as_array().expect("an array");
        for one in pulled {
            assert!(one["version"].as_str().unwrap().parse::<i64>().unwrap() > 0);
            if !self.insert(one["event"].clone()) {
                return Err(format!("UNIQUE constraint failed: {}", one["event"]["id"]));
            }
        }
        Ok(pulled.len())
    }

    pub async fn ask_for_more(&self, hub: &Hub) -> Answer {
        let path = format!("{}/pull?since={}", self.base, self.rows.len());
        let answer = hub.call("GET", &path, "accept-encoding: gzip, deflate\r\n", b"").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
    }

    /// Runs the second half of a sync.
    pub async fn push(&self, hub: &Hub) -> Result<(), String> {
        let latest = hub.get(&format!("{}/latest-version", self.base)).await;
        let latest: i64 = latest.json().as_str().unwrap().parse().unwrap();
        assert_ne!(latest, 0, "these clients refuse 0");
        let rows = self.rows.iter().enumerate().filter(|(at, _)| *at as i64 + 1 > latest);
        let rows: Vec<Value> =
            rows.map(|(at, row)| json!({"event": row, "version": (at + 1).to_string()})).collect();
        for batch in rows.chunks(100) {
            let answer = push_packed(hub, &self.base, &json!(batch)).await;
            if answer.status != 200 {
                return Err(answer.error());
            }
            assert_eq!(answer.json(), json!({"status": "ok"}));
        }
        Ok(())
    }

    /// Runs a whole sync; pushes even when the pull failed.
    pub async fn sync(&mut self, hub: &Hub) -> Result<usize, String> {
        let pulled = self.pull(hub).await;
        self.push(hub).await?;
        pulled
    }
}

/// Pushes as these clients do: packed from 1,024 bytes on.
pub async fn push_packed(hub: &Hub, base: &str, batch: &Value) -> Answer {
    let body = batch.to_string().into_bytes();
    if body.len() <= 1_024 {
        return hub.post(&format!("{base}/push"), batch).await;
    }
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(&body).unwrap();
    let headers =
        "content-type: application/json\r\ncontent-encoding: gzip\r\naccept-encoding: gzip, deflate\r\n";
    hub.call("POST", &format!("{base}/push"), headers, &packer.finish().unwrap()).await
}

/// Returns the value after it is read into doubles and written again.
fn doubles(value: Value) -> Value {
    match value {
        Value::Number(number) => {
            let number = number.as_f64().unwrap();
            if number.fract() == 0.0 && number.abs() < 1e15 { json!(number as i64) } else { json!(number) }
        }
        Value::Array(values) => values.into_iter().map(doubles).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, value)| (key, doubles(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other,
    }
}
