//! JSON and protobuf: who gets which, and how both sides agree on one.
#![allow(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use common::{Double, Http, Server, events, hello, kind, page, posted, pull, push};
use futures_util::StreamExt;
use http::StatusCode;
use synckit_core::{Error, ErrorKind, HelloResponse, PullResponse, Transport};
use synckit_http::{ClientConfig, HttpService, HttpTransport};
use synckit_testkit::remote::calls::ids_are_packed_to;
use synckit_testkit::remote::fake;
use synckit_wire::{Decode, Encode, WireLimits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A server that records the content types it was sent, and can be told to speak JSON only.
#[derive(Clone, Default)]
struct Recording {
    types: Arc<Mutex<Vec<String>>>,
    json_only: Arc<AtomicBool>,
}

impl Recording {
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let this = self.clone();
        let record = from_fn(move |request: Request, next: Next| this.clone().pass(request, next));
        let router = Router::new().fallback_service(HttpService::new(Double::default())).layer(record);
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    async fn pass(self, mut request: Request, next: Next) -> Response {
        let content = request.headers()["content-type"].to_str().unwrap().to_owned();
        self.types.lock().unwrap().push(content.clone());
        if self.json_only.load(Ordering::Relaxed) {
            if content != "application/json" {
                return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
            }
            request.headers_mut().remove("accept");
        }
        next.run(request).await
    }

    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut *self.types.lock().unwrap())
    }
}

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/protobuf";

#[tokio::test]
async fn a_client_speaks_protobuf_once_the_server_has() {
    let recording = Recording::default();
    let client = HttpTransport::new(recording.start().await).unwrap();
    client.hello(hello()).await.unwrap();
    client.push(push(events(3))).await.unwrap();
    let clone = client.clone();
    clone.pull(pull()).await.unwrap();
    drop(clone.subscribe(pull()).await.unwrap());
    assert_eq!(recording.taken(), [JSON, PROTOBUF, PROTOBUF, PROTOBUF]);
}

#[tokio::test]
async fn a_client_that_is_to_speak_json_does() {
    let recording = Recording::default();
    let config = ClientConfig::new(recording.start().await).with_protobuf(false);
    let client = HttpTransport::with_config(config).unwrap();
    client.hello(hello()).await.unwrap();
    client.push(push(events(3))).await.unwrap();
    drop(client.subscribe(pull()).await.unwrap());
    assert_eq!(recording.taken(), [JSON, JSON, JSON]);
}

#[tokio::test]
async fn a_server_that_no_longer_speaks_protobuf_is_sent_json() {
    let recording = Recording::default();
    let client = HttpTransport::new(recording.start().await).unwrap();
    client.hello(hello()).await.unwrap();
    recording.json_only.store(true, Ordering::Relaxed);
    assert_eq!(client.push(push(events(3))).await.unwrap().accepted, 3);
    client.pull(pull()).await.unwrap();
    assert_eq!(recording.taken(), [JSON, PROTOBUF, JSON, JSON]);
    recording.json_only.store(false, Ordering::Relaxed);
    client.pull(pull()).await.unwrap();
    client.pull(pull()).await.unwrap();
    assert_eq!(recording.taken(), [JSON, PROTOBUF]);
}

/// Posts a body, and splits the answer at the end of its header.
async fn post(server: &Server, path: &str, headers: &str, body: &[u8]) -> (String, Vec<u8>) {
    let mut stream = server.connect().await;
    stream.write_all(&posted(path, headers, body)).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    (String::from_utf8(answer[..end].to_vec()).unwrap(), answer[end + 4..].to_vec())
}

#[tokio::test]
async fn each_side_is_read_in_the_form_it_names() {
    let server = Server::start().await;
    let limits = WireLimits::default();
    for (content, body) in [(JSON, hello().to_json()), (PROTOBUF, hello().to_protobuf())] {
        let (head, answer) = post(&server, "/v1/hello", &format!("content-type: {content}\r\n"), &body).await;
        assert!(head.contains("content-type: application/json\r\n"), "{head}");
        assert_eq!(HelloResponse::from_json(&answer, &limits).unwrap().node.as_str(), "hub");
        let headers = format!("content-type: {content}\r\naccept: application/protobuf\r\n");
        let (head, answer) = post(&server, "/v1/hello", &headers, &body).await;
        assert!(
            head.contains("content-type: application/protobuf") && head.contains("vary: accept,"),
            "{head}"
        );
        assert_eq!(HelloResponse::from_protobuf(&answer, &limits).unwrap().node.as_str(), "hub");
    }
}

#[tokio::test]
async fn an_error_is_read_in_either_form() {
    let server = Server::start().await;
    let limits = WireLimits::default();
    let json = "content-type: application/protobuf\r\n";
    let protobuf = &format!("{json}accept: application/protobuf\r\n");
    for path in ["/v1/hello", "/v1/nothing"] {
        let (_, answer) = post(&server, path, json, b"\xff\xff").await;
        let expected = Error::from_json(&answer, &limits).unwrap();
        let (_, answer) = post(&server, path, protobuf, b"\xff\xff").await;
        let error = Error::from_protobuf(&answer, &limits).unwrap();
        assert_eq!((error.kind(), error.message()), (expected.kind(), expected.message()));
    }
}

#[tokio::test]
async fn a_push_in_protobuf_has_the_same_limits() {
    let server = Server::start().await;
    let headers = "content-type: application/protobuf\r\n";
    let body = push(events(1_001)).to_protobuf();
    let (head, _) = post(&server, "/v1/push", headers, &body).await;
    assert!(head.starts_with("HTTP/1.1 413"), "{head}");
    let zeros = vec![0; 20 << 20];
    let packed = zstd::encode_all(&*zeros, 1).unwrap();
    let (head, _) = post(&server, "/v1/push", &format!("{headers}content-encoding: zstd\r\n"), &packed).await;
    assert!(head.starts_with("HTTP/1.1 413"), "{head}");
    server.still_serves().await;
}

#[tokio::test]
async fn a_stream_in_either_form_brings_pages_and_the_error_that_ends_it() {
    let server = Server::start().await;
    for client in [server.client(), server.client_with(|config| config.with_protobuf(false))] {
        let pages = [Ok(page(events(300))), Ok(page(Vec::new())), Err(Error::new(ErrorKind::Busy, "later"))];
        server.double.pages.lock().unwrap().extend(pages);
        let mut pages = client.subscribe(pull()).await.unwrap();
        assert_eq!(pages.next().await.unwrap().unwrap().events.len(), 300);
        assert_eq!(pages.next().await.unwrap().unwrap(), page(Vec::new()));
        let error = pages.next().await.unwrap().expect_err("the end");
        assert_eq!((error.kind(), error.message()), (ErrorKind::Busy, "later"));
        assert!(pages.next().await.is_none());
    }
}

/// Starts a server whose streams are these bytes, and returns a client of it.
async fn streaming(bytes: Vec<u8>) -> HttpTransport {
    let url = fake::<Http, _, _>(move |mut stream| {
        let bytes = bytes.clone();
        async move {
            let _ = stream.read(&mut [0; 4096]).await;
            let head =
                "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.synckit.pages\r\nconnection: close\r\n\r\n";
            let _ = stream.write_all(&[head.as_bytes(), &bytes].concat()).await;
            let _ = stream.shutdown().await;
        }
    });
    HttpTransport::new(url.await).unwrap()
}

#[tokio::test]
async fn lengths_are_checked_before_there_is_room_for_them() {
    for (bytes, expected) in [
        (vec![0xff, 0xff, 0xff, 0xff, 0x7f], ErrorKind::TooLarge),
        (vec![0xff; 10], ErrorKind::Corrupt),
        (vec![0, 0, 0, 3, 1], ErrorKind::Unavailable),
        (vec![0, 0x80], ErrorKind::Unavailable),
        (vec![2, 0xff, 0xff], ErrorKind::Corrupt),
    ] {
        let client = streaming(bytes.clone()).await;
        let mut pages = client.subscribe(pull()).await.unwrap();
        assert_eq!(kind(pages.next().await.unwrap()), expected, "{bytes:?}");
    }
    let message = page(events(1)).to_protobuf();
    let mut bytes = vec![0, (message.len() & 0x7f | 0x80) as u8, (message.len() >> 7) as u8];
    bytes.extend_from_slice(&message);
    let client = streaming(bytes).await;
    let got: PullResponse = client.subscribe(pull()).await.unwrap().next().await.unwrap().unwrap();
    assert_eq!(got.events, events(1));
}

#[tokio::test]
async fn ids_are_packed_in_json_too() {
    let server = Server::start().await;
    ids_are_packed_to(&server, &server.client_with(|config| config.with_protobuf(false))).await;
}
