//! What is at which path, and how a problem is answered.

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use synckit_core::{Error, ErrorKind, Result};
use synckit_net::Coding;
use synckit_wire::{Encode, Format};

use crate::body::check_announced;
use crate::compression::{ACCEPTED, coding_of};
use crate::error::{retry_after_of, status_of};
use crate::format::{media_type, of_body};
use crate::service::ResponseBody;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Hello,
    Pull,
    Push,
    Missing,
    Subscribe,
    Health,
}

impl Route {
    pub(crate) fn at(path: &str) -> Result<Route> {
        match path {
            "/v1/hello" => Ok(Route::Hello),
            "/v1/pull" => Ok(Route::Pull),
            "/v1/push" => Ok(Route::Push),
            "/v1/missing" => Ok(Route::Missing),
            "/v1/subscribe" => Ok(Route::Subscribe),
            "/v1/health" => Ok(Route::Health),
            _ => Err(Error::new(
                ErrorKind::NotFound,
                "there is nothing at this path; a synckit server answers at /v1/hello, pull, push, missing, \
                 subscribe and health",
            )),
        }
    }

    pub(crate) fn check(self, method: &Method) -> Result<(), Problem> {
        let (allowed, allow) = match self {
            Route::Health => (method == Method::GET || method == Method::HEAD, "GET, HEAD"),
            _ => (method == Method::POST, "POST"),
        };
        if allowed {
            return Ok(());
        }
        let error = Error::new(ErrorKind::Unsupported, format!("this path answers {allow} only"));
        Err(Problem { status: StatusCode::METHOD_NOT_ALLOWED, error, allow: Some(allow) })
    }
}

/// An error and how it is answered.
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) error: Error,
    pub(crate) allow: Option<&'static str>,
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Problem { status: status_of(error.kind()), error, allow: None }
    }
}

impl Problem {
    pub(crate) fn answer(self, path: &str, format: Format) -> Response<ResponseBody> {
        let Problem { status, error, allow } = self;
        match error.kind() {
            ErrorKind::Internal | ErrorKind::Corrupt => tracing::error!(path, %error, "a call failed"),
            _ => tracing::debug!(path, %error, "a call was refused"),
        }
        let mut answer = reply(status, media_type(format), error.encode(format).into());
        let headers = answer.headers_mut();
        if let Some(delay) = retry_after_of(&error) {
            headers.insert(RETRY_AFTER, delay);
        }
        if let Some(allow) = allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            headers.insert(ACCEPT_ENCODING, ACCEPTED);
        }
        answer
    }
}

/// An answer with a whole body.
pub(crate) fn reply(status: StatusCode, media_type: &'static str, body: Bytes) -> Response<ResponseBody> {
    let mut answer = Response::new(Full::new(body).boxed_unsync());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer
}

/// Checks what the headers say of the body, before any of it is read: how it is packed, and what it is.
pub(crate) fn check_headers(headers: &HeaderMap, most: usize) -> Result<(Coding, Format), Problem> {
    let unsupported = |error| Problem { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, error, allow: None };
    let Some(format) = of_body(headers, media_type) else {
        let message = "the body must be application/json or application/protobuf; with curl, use --json";
        return Err(unsupported(Error::new(ErrorKind::Unsupported, message)));
    };
    let coding = coding_of(headers).map_err(unsupported)?;
    check_announced(headers, most)?;
    Ok((coding, format))
}
