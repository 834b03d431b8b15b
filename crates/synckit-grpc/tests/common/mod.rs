//! A server on a free port, and calls over HTTP/2 without the client of this crate.
#![allow(dead_code, unused_imports, clippy::unwrap_used, reason = "each test binary uses its part")]

#[path = "../fixture/mod.rs"]
mod fixture;

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use synckit_testkit::remote::Running;

pub(crate) use fixture::Grpc;
pub(crate) use synckit_testkit::remote::requests::*;
pub(crate) use synckit_testkit::remote::{Double, read_all, short};

/// A running server.
pub(crate) type Server = Running<Grpc>;

/// Calls with these bytes as the body, and reads the whole answer.
pub(crate) async fn call(
    server: &Server,
    method: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Answer {
    call_with(server, method, headers, Full::new(body.into()).boxed_unsync()).await
}

/// Calls with this body, and reads the whole answer.
pub(crate) async fn call_with(
    server: &Server,
    method: &str,
    headers: &[(&str, &str)],
    body: RawBody,
) -> Answer {
    let client: Client<_, RawBody> = raw_client();
    let mut request = Request::post(format!("http://{}/synckit.v1.Sync/{method}", server.address));
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

pub(crate) type RawBody = UnsyncBoxBody<Bytes, Infallible>;

pub(crate) fn raw_client() -> Client<HttpConnector, RawBody> {
    Client::builder(TokioExecutor::new()).http2_only(true).build_http()
}

/// The answer to a raw call.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) http: u16,
    /// Headers and trailers.
    pub(crate) status: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// Returns the gRPC code.
    pub(crate) fn code(&self) -> i32 {
        self.status.get("grpc-status").map_or(-1, |code| code.to_str().unwrap().parse().unwrap())
    }
}

/// Returns a message as it is framed in a stream.
pub(crate) fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
    let mut frame = vec![flag];
    frame.extend_from_slice(&(message.len() as u32).to_be_bytes());
    frame.extend_from_slice(message);
    frame
}
