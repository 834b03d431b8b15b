//! Many subscribers to one hub, over HTTP: how long one event takes to reach all, and what an idle one costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use synckit::{Endpoint, EventStore, NewEvent, NodeId, SyncManager};
use synckit_memory::MemoryStore;
use synckit_remote::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

use super::hub::{Hub, Wire};
use super::incremental::median;
#[cfg(target_os = "linux")]
use super::process;
use super::stores::{runtime, sqlite};
use crate::measure::{Measured, Scale};

/// The number of subscribers.
const MANY: usize = 1_000;

/// The number of those before what an idle one costs is measured.
const FIRST: usize = 100;

/// How many events are measured.
const EVENTS: usize = 20;

/// What a hub allows, to have room for all of them.
pub(super) fn config() -> ServerConfig {
    let room = FIRST + MANY + 100;
    ServerConfig { connections: room, subscriptions: room, ..ServerConfig::default() }
}

/// Those that read from a socket each, and count what they have read.
#[derive(Clone, Default)]
struct Readers {
    /// How many readers have had the whole of what is awaited.
    done: Arc<AtomicUsize>,
    all: Arc<Notify>,
}

impl Readers {
    /// Reads from a socket until it ends. Each round awaits a text that occurs once, and whose last byte is `}`.
    fn add(&self, mut socket: TcpStream, mut rounds: watch::Receiver<Vec<u8>>) {
        let readers = self.clone();
        tokio::spawn(async move {
            let (mut text, mut chunk) = (Vec::new(), vec![0; 2 << 10]);
            while let Ok(read @ 1..) = socket.read(&mut chunk).await {
                text.extend_from_slice(&chunk[..read]);
                let awaited = rounds.borrow_and_update().clone();
                if text.windows(awaited.len()).any(|part| *part == awaited) {
                    text.clear();
                    if readers.done.fetch_add(1, Ordering::SeqCst) + 1 == MANY {
                        readers.all.notify_one();
                    }
                }
            }
        });
    }

    /// Waits until all have read what is awaited.
    async fn all(&self) {
        self.all.notified().await;
        self.done.store(0, Ordering::SeqCst);
    }
}

/// Opens a subscription, and returns its socket once the hub has answered.
pub(super) async fn subscribe(url: &str, number: usize) -> Measured<TcpStream> {
    let address = url.strip_prefix("http://").ok_or("the hub speaks HTTP")?;
    let mut socket = TcpStream::connect(address).await?;
    let body = format!("{{\"caller\":{{\"node\":\"n{number}\",\"store\":\"{number:032x}\"}}}}");
    let request = format!(
        "POST /v1/subscribe HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).await?;
    let (mut text, mut chunk) = (Vec::new(), [0; 1 << 10]);
    // The first page, of an empty log.
    while !text.windows(12).any(|part| *part == *b"\"more\":false") {
        match socket.read(&mut chunk).await? {
            0 => return Err(format!("the hub answers: {}", String::from_utf8_lossy(&text)).into()),
            read => text.extend_from_slice(&chunk[..read]),
        }
    }
    Ok(socket)
}

/// Returns how long one event takes until all have it, in units of writing the same bytes to as many sockets.
pub(super) fn fan_out(_: Scale) -> Measured<f64> {
    runtime()?.block_on(async {
        let directory = tempfile::tempdir()?;
        let store = sqlite(directory.path(), "hub").await?;
        let hub = Hub::start_with(store.clone(), Wire::Http, config()).await?;
        let sender = SyncManager::new(MemoryStore::new(NodeId::new("sender")?)?, Endpoint::new(store));
        sender.sync().await.map_err(|failed| failed.error)?;
        let (round, rounds) = watch::channel(b"nothing yet".to_vec());
        let readers = Readers::default();
        for number in 0..MANY {
            readers.add(subscribe(&hub.url, number).await?, rounds.clone());
        }
        let mut ours = Vec::new();
        for number in 0..EVENTS {
            round.send_replace(format!("\"tick\":{number}}}").into_bytes());
            let event = NewEvent::new(
                "Ticked",
                "clock",
                &serde_json::json!({ "text": "x".repeat(200), "tick": number }),
            )?;
            sender.replica().record([event]).await?;
            let started = Instant::now();
            sender.push().await.map_err(|failed| failed.error)?;
            readers.all().await;
            ours.push(started.elapsed().as_secs_f64());
        }
        hub.stop().await?;
        Ok(median(ours) / median(written().await?))
    })
}

/// Writes as many bytes as a page with such an event to as many sockets, and returns how long it takes until all have them.
async fn written() -> Measured<Vec<f64>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (round, rounds) = watch::channel(b"nothing yet".to_vec());
    let (readers, mut sockets) = (Readers::default(), Vec::new());
    for _ in 0..MANY {
        readers.add(TcpStream::connect(listener.local_addr()?).await?, rounds.clone());
        sockets.push(listener.accept().await?.0);
    }
    let mut took = Vec::new();
    for number in 0..EVENTS {
        let end = format!("\"tick\":{number}}}");
        round.send_replace(end.clone().into_bytes());
        let page = format!("{}{end}", "x".repeat(600));
        let started = Instant::now();
        for socket in &mut sockets {
            socket.write_all(page.as_bytes()).await?;
        }
        readers.all().await;
        took.push(started.elapsed().as_secs_f64());
    }
    Ok(took)
}

/// Returns by how much a hub grows for each idle subscriber beyond the first hundred, in KiB. The hub is a process of its
/// own. What it takes once, such as connections to its database, is there after the first.
#[cfg(target_os = "linux")]
pub(super) fn idle(_: Scale) -> Measured<f64> {
    let directory = tempfile::tempdir()?;
    let made = async || -> Measured<()> { Ok(sqlite(directory.path(), "hub").await?.close().await?) };
    runtime()?.block_on(made())?;
    let path = directory.path().to_str().ok_or("a directory that is not UTF-8")?;
    let mut hub = process::Running::start(&["hub", path])?;
    let (url, _) = (hub.line()?, hub.number()?);
    runtime()?.block_on(async {
        let (mut sockets, mut peaks) = (Vec::new(), Vec::new());
        for upto in [FIRST, FIRST + MANY] {
            for number in sockets.len()..upto {
                sockets.push(subscribe(&url, number).await?);
            }
            hub.nudge()?;
            peaks.push(hub.number()?);
        }
        Ok((peaks[1] - peaks[0]) as f64 / MANY as f64)
    })
}
