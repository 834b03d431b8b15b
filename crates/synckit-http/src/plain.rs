//! What callers that speak plain HTTP to a port of TLS are told: in plain HTTP, since they would not read an alert.

use synckit_core::{Error, ErrorKind, Result};
use synckit_wire::Encode;
use tokio::io::AsyncWriteExt;

use crate::HTTP;
use crate::io::Guarded;

/// The first byte of every TLS handshake.
const HANDSHAKE: u8 = 22;

/// Hands back a connection on which the caller begins a handshake; answers one that does not, and ends it.
///
/// # Errors
/// `Unsupported` for a caller that does not, and `Unavailable` when the connection breaks off.
pub(crate) async fn turn_away_plain(mut stream: Guarded) -> Result<Guarded> {
    let broken = |error| Error::new(ErrorKind::Unavailable, "the handshake broke off").with_source(error);
    let mut first = [0; 1];
    if stream.get_ref().peek(&mut first).await.map_err(broken)? == 0 || first[0] == HANDSHAKE {
        return Ok(stream);
    }
    let message = format!("this port speaks TLS; use {}", HTTP.secure);
    let error = Error::new(ErrorKind::Unsupported, message);
    stream.write_all(&answer(&error)).await.map_err(broken)?;
    stream.shutdown().await.map_err(broken)?;
    Err(error)
}

fn answer(error: &Error) -> Vec<u8> {
    let body = error.to_json();
    let head = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}
