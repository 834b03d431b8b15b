//! Problems of a request, and the answers to them.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, VARY};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Body;
use synckit_core::{Error, ErrorKind, Result};
use synckit_net::BoxError;
use synckit_remote::{Arrival, DIGEST, Digest, pack, report, with_delay};
use synckit_wire::Format;
use tokio::time::timeout_at;

use crate::body::receive;
use crate::compression::{accepted_coding, coding_header};
use crate::error::{retry_after_of, status_of};
use crate::service::ResponseBody;

/// An error, and how it is answered.
#[derive(Debug)]
pub struct Problem {
    /// The status of the answer.
    pub status: StatusCode,
    /// The error itself.
    pub error: Error,
    /// The value of the header `Allow`.
    pub allow: Option<&'static str>,
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Problem { status: status_of(error.kind()), error, allow: None }
    }
}

impl Problem {
    /// Creates a problem with an error of the kind `Unsupported` and this status.
    pub fn unsupported(status: StatusCode, message: impl Into<String>) -> Self {
        Problem { status, error: Error::new(ErrorKind::Unsupported, message.into()), allow: None }
    }

    /// Makes the answer to a request at this path: the error in the form that `write` gives it. `accepted` are the
    /// encodings that bodies may have here.
    pub fn answer(
        self,
        path: &str,
        media_type: &'static str,
        accepted: HeaderValue,
        write: impl FnOnce(&Error) -> Vec<u8>,
    ) -> Response<ResponseBody> {
        let Problem { status, error, allow } = self;
        report(path, &error);
        let error = with_delay(error);
        let mut answer = reply(status, media_type, write(&error).into());
        let headers = answer.headers_mut();
        if let Some(delay) = retry_after_of(&error) {
            headers.insert(RETRY_AFTER, delay);
        }
        if let Some(allow) = allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            headers.insert(ACCEPT_ENCODING, accepted);
        }
        answer
    }
}

/// Returns an answer with a whole body.
pub(crate) fn reply(status: StatusCode, media_type: &'static str, body: Bytes) -> Response<ResponseBody> {
    let digest = Digest::of(&body);
    packed_reply(status, media_type, digest, body)
}

/// Returns an answer with a whole body, which may be packed, and the digest of what is packed.
fn packed_reply(
    status: StatusCode,
    media_type: &'static str,
    digest: Digest,
    body: Bytes,
) -> Response<ResponseBody> {
    let mut answer = Response::new(Full::new(body).boxed_unsync());
    *answer.status_mut() = status;
    answer.headers_mut().extend(digest.header().map(|digest| (DIGEST, digest)));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer
}

/// Returns an answer with a message, packed as the headers of the request accept it.
///
/// # Errors
/// `Internal` when packing fails.
pub async fn packed(
    headers: &HeaderMap,
    media_type: &'static str,
    format: Format,
    message: Vec<u8>,
) -> Result<Response<ResponseBody>> {
    let packed = pack(format, message, accepted_coding(headers), usize::MAX).await?;
    let mut answer = packed_reply(StatusCode::OK, media_type, packed.digest, packed.bytes);
    if let Some(coding) = coding_header(packed.coding) {
        answer.headers_mut().insert(CONTENT_ENCODING, coding);
    }
    answer.headers_mut().insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
    Ok(answer)
}

/// Receives the whole body of a request, of at most `most` bytes, within its turn.
///
/// # Errors
/// Problems of the statuses 408, 413 and 503: the body does not arrive in time, is too large, finds no memory, or breaks
/// off.
pub async fn body_of<B>(body: B, most: usize, idle: Duration, arrival: &mut Arrival) -> Result<Bytes, Problem>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let late = || {
        let error = Error::new(ErrorKind::Timeout, "the request did not arrive in time");
        Problem { status: StatusCode::REQUEST_TIMEOUT, error, allow: None }
    };
    let until = arrival.until();
    let body = timeout_at(until, receive(body, most, idle, Some(arrival))).await;
    body.map_err(|_| late())?.map_err(|error| match error.kind() {
        ErrorKind::Timeout => late(),
        _ => Problem::from(error),
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use futures_util::stream;
    use http_body_util::StreamBody;
    use hyper::body::Frame;
    use synckit_remote::{Admission, ServerConfig};

    use super::*;

    #[tokio::test]
    async fn a_body_that_breaks_off_is_a_fault_in_transit() {
        let mut arrival = Admission::new(ServerConfig::default()).arrive(None);
        let frames = [Ok(Frame::data(Bytes::from_static(b"{"))), Err(io::Error::other("cut"))];
        let body = StreamBody::new(stream::iter(frames));
        let problem =
            body_of(body, 100, Duration::from_secs(60), &mut arrival).await.expect_err("it broke off");
        assert_eq!(problem.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(problem.error.is_in_transit() && problem.error.is_retryable(), "{:?}", problem.error);
    }
}
