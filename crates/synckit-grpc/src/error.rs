//! What can go wrong below a gRPC status.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Body;
use synckit_core::Error;
use tokio::time::timeout;

/// The message for a connection that breaks: HTTP/2 does not tell why.
pub(crate) const BROKEN: &str = "the connection broke off before the answer; does the server speak gRPC (HTTP/2) at this \
                                 port, with TLS (grpcs://) or without (grpc://) as the URL says?";

/// The most bytes that are read of an answer that is not gRPC.
const BRIEF: usize = 8 << 10;

/// Returns the error for an answer that is not gRPC, such as a proxy's page or another server's.
pub(crate) async fn foreign<B>(status: StatusCode, headers: &HeaderMap, mut body: B, idle: Duration) -> Error
where
    B: Body<Data = Bytes> + Unpin,
{
    let content = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let mut text = BytesMut::new();
    while text.len() < BRIEF
        && let Ok(Some(Ok(frame))) = timeout(idle, body.frame()).await
    {
        text.extend_from_slice(frame.data_ref().map_or(&[], |data| &data[..data.len().min(BRIEF)]));
    }
    synckit_remote::foreign(status.as_u16(), content, &text)
}
