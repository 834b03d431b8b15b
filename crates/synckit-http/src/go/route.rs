//! Paths, and the form of an error.

use http::header::{ACCEPT_ENCODING, ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use synckit_core::{Error, ErrorKind};
use synckit_net::Coding;

use crate::body::check_announced;
use crate::compression::coding_of;
use crate::error::retry_after_of;
use crate::route::{Problem, reply};
use crate::service::ResponseBody;

/// What go-sync-kit's own server takes: the most bytes of a body as compressed, and unpacked.
pub(crate) const BODY_BYTES: usize = 10 << 20;
pub(crate) const DECODED_BYTES: usize = 20 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Push,
    Pull,
    LatestVersion,
    PullCursor,
    Stream,
}

/// A call and the name of the client that makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GoRoute {
    pub(crate) call: Call,
    pub(crate) client: Option<String>,
}

impl GoRoute {
    /// What is at this path, if it is a client's of go-sync-kit: `[/sync][/clients/<name>][/sync]/<call>`.
    pub(crate) fn at(path: &str) -> Option<GoRoute> {
        let below_sync = |path| match str::strip_prefix(path, "/sync") {
            Some(rest) if rest.starts_with('/') => rest,
            _ => path,
        };
        let path = below_sync(path);
        let (client, path) = match path.strip_prefix("/clients/").and_then(|rest| rest.split_once('/')) {
            Some((name, _)) => (Some(name.to_owned()), below_sync(&path["/clients/".len() + name.len()..])),
            None => (None, path),
        };
        let call = match path {
            "/push" => Call::Push,
            "/pull" => Call::Pull,
            "/latest-version" => Call::LatestVersion,
            "/pull-cursor" => Call::PullCursor,
            "/sse" => Call::Stream,
            _ => return None,
        };
        Some(GoRoute { call, client })
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.call == Call::Stream
    }

    fn posts(&self) -> bool {
        matches!(self.call, Call::Push | Call::PullCursor)
    }

    /// Checks method and headers before any of the body is read.
    pub(crate) fn check(&self, method: &Method, headers: &HeaderMap) -> Result<Coding, Problem> {
        let unsupported = |status, message: &str, allow| Problem {
            status,
            error: Error::new(ErrorKind::Unsupported, message.to_owned()),
            allow,
        };
        let (wanted, allow) = if self.posts() { (Method::POST, "POST") } else { (Method::GET, "GET") };
        if *method != wanted {
            return Err(unsupported(StatusCode::METHOD_NOT_ALLOWED, "method not allowed", Some(allow)));
        }
        if !self.posts() {
            return Ok(Coding::Identity);
        }
        let media = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        let content = headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or("?"));
        let is_json = |content: &str| content.trim().to_ascii_lowercase().starts_with("application/json");
        if content.is_some_and(|content| !content.is_empty() && !is_json(content)) {
            return Err(unsupported(media, "unsupported media type: send application/json", None));
        }
        let coding = match coding_of(headers) {
            Ok(coding @ (Coding::Identity | Coding::Gzip)) => coding,
            _ => return Err(unsupported(media, "unsupported content encoding: send gzip or none", None)),
        };
        check_announced(headers, BODY_BYTES)?;
        Ok(coding)
    }
}

/// A problem in the form that these clients know: `{"error":"text"}`.
pub(crate) fn problem(problem: Problem, path: &str) -> Response<ResponseBody> {
    let Problem { status, error, allow } = problem;
    match error.kind() {
        ErrorKind::Internal | ErrorKind::Corrupt => {
            tracing::error!(path, %error, "a call of an old client failed")
        }
        _ => tracing::debug!(path, %error, "a call of an old client was refused"),
    }
    let body = serde_json::json!({ "error": error.message() }).to_string();
    let mut answer = reply(status, "application/json", body.into());
    let headers = answer.headers_mut();
    if let Some(delay) = retry_after_of(&error) {
        headers.insert(RETRY_AFTER, delay);
    }
    if let Some(allow) = allow {
        headers.insert(ALLOW, HeaderValue::from_static(allow));
    }
    if status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    }
    answer
}

/// A field of a query, decoded.
pub(super) fn field(query: &str, name: &str) -> Option<String> {
    let value = query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value)
    })?;
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        let hex = |byte: Option<u8>| char::from(byte?).to_digit(16).map(|digit| digit as u8);
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (high, low) = (hex(rest.next())?, hex(rest.next())?);
                high << 4 | low
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_found_also_below_sync_and_for_a_client() {
        let route = |call, client: Option<&str>| Some(GoRoute { call, client: client.map(str::to_owned) });
        for (path, expected) in [
            ("/push", route(Call::Push, None)),
            ("/sync/pull", route(Call::Pull, None)),
            ("/sync/latest-version", route(Call::LatestVersion, None)),
            ("/clients/ann/pull-cursor", route(Call::PullCursor, Some("ann"))),
            ("/sync/clients/ann/push", route(Call::Push, Some("ann"))),
            ("/clients/ann/sync/sse", route(Call::Stream, Some("ann"))),
            ("/", None),
            ("/syncpush", None),
            ("/clients/push", None),
            ("/clients//push", route(Call::Push, Some(""))),
            ("/clients/ann", None),
            ("/v1/push", None),
        ] {
            assert_eq!(GoRoute::at(path), expected, "{path}");
        }
    }

    #[test]
    fn fields_of_a_query_are_decoded() {
        assert_eq!(field("a=1&since=12", "since").as_deref(), Some("12"));
        assert_eq!(field("cursor=%7B%22a%22%3A+1%7d", "cursor").as_deref(), Some(r#"{"a": 1}"#));
        assert_eq!(field("since", "since").as_deref(), Some(""));
        assert_eq!(field("", "since"), None);
        assert_eq!(field("since=%f", "since"), None);
        assert_eq!(field("since=%ff", "since"), None);
    }
}
