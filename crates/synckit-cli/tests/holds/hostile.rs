//! Bodies, nestings, clocks and connections made to hurt a hub: it refuses them within its limits and keeps serving.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use synckit_http::HttpTransport;

use crate::process::{MIB, memory, serve};
use crate::support::{folder, open, record};

/// Sends raw bytes, and returns what came back until the hub closed or was silent for long.
fn raw(address: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    // The hub may answer and close before everything is sent.
    let _closed = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _reset = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn post(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nhost: hub\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n{headers}\r\n"
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

/// Returns a gibibyte of spaces, compressed.
fn bomb() -> Vec<u8> {
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 3).expect("an encoder");
    let blanks = vec![b' '; MIB as usize];
    for _ in 0..1_024 {
        encoder.write_all(&blanks).expect("memory takes it");
    }
    encoder.finish().expect("memory takes it")
}

/// Returns how long a connection stays open on which a byte is sent now and then, or never.
fn open_for(address: &str, header: Option<&[u8]>) -> Duration {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let started = Instant::now();
    let mut bytes = header.unwrap_or_default().iter();
    stream.set_read_timeout(Some(Duration::from_secs(1))).expect("a timeout");
    while started.elapsed() < Duration::from_secs(40) {
        if let Some(byte) = bytes.next()
            && stream.write_all(&[*byte]).is_err()
        {
            break;
        }
        let mut buffer = [0; 1_024];
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error)
                if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    started.elapsed()
}

async fn still_serves(folder: &Path, url: &str, name: &str) {
    let store = open(folder, name).await;
    let manager = synckit::SyncManager::new(store, HttpTransport::new(url).expect("a good address"));
    record(&manager, name, 10, 3).await;
    assert_eq!(manager.push().await.expect("the hub goes on serving").pushed, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_refuses_what_would_hurt_it_and_goes_on_serving() {
    let folder = folder();
    let (mut hub, url) = serve(&folder.path().join("hub.db"));
    let address = url.strip_prefix("http://").expect("an address").to_owned();
    still_serves(folder.path(), &url, "first").await;
    let before = memory(hub.id(), "VmHWM").expect("the hub runs");

    let slow: Vec<_> =
        [None, Some(&b"GET /v1/health HTTP/1.1\r\nhost: a-header-that-takes-its-time\r\n"[..])]
            .map(|header| {
                let address = address.clone();
                std::thread::spawn(move || open_for(&address, header))
            })
            .into();

    let answer = raw(&address, &post("/v1/push", "content-encoding: zstd\r\n", &bomb()));
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("too_large"), "{answer}");

    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let answer = raw(&address, &post("/v1/push", "", nested.as_bytes()));
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");

    let clock: Vec<String> = (0..100_000).map(|node| format!("\"n{node}\":1")).collect();
    let body = format!(
        r#"{{"caller":{{"node":"x","store":"{}"}},"filter":"all","events":[{{"id":"e","type":"T","aggregate_id":"x",
        "data":1,"dot":{{"node":"n0","counter":1}},"clock":{{{}}},"time":"1-0"}}]}}"#,
        "07".repeat(16),
        clock.join(",")
    );
    let answer = raw(&address, &post("/v1/push", "", body.as_bytes()));
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"refused\":[{"), "{answer}");

    for slow in slow {
        let lasted = slow.join().expect("it ends");
        assert!(lasted < Duration::from_secs(20), "a silent or slow connection stayed open for {lasted:?}");
    }
    still_serves(folder.path(), &url, "last").await;
    let after = memory(hub.id(), "VmHWM").expect("the hub runs");
    assert!(after < before + 64 * MIB, "the hub grew from {} to {} MiB", before / MIB, after / MIB);
    hub.kill().expect("the hub is ended");
    hub.wait().expect("the hub ends");
}
