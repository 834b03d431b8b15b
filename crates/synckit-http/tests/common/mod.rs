//! A server on a free port, and requests over raw sockets.
#![allow(dead_code, unused_imports, reason = "each test binary uses its part")]

#[path = "../fixture/mod.rs"]
mod fixture;

use synckit_testkit::remote::Running;

pub(crate) use fixture::Http;
pub(crate) use synckit_testkit::remote::requests::*;
pub(crate) use synckit_testkit::remote::{Double, read_all, short};

/// A running server.
pub(crate) type Server = Running<Http>;

pub(crate) const JSON: &str = "content-type: application/json\r\n";

/// Returns a request that posts a body, with further header lines.
pub(crate) fn posted(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// Posts a body, and reads the answer.
pub(crate) async fn post(server: &Server, path: &str, headers: &str, body: &[u8]) -> String {
    server.raw(posted(path, headers, body)).await
}
