//! Paths, and the form of an error.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use synckit_core::{Error, ErrorKind};
use synckit_http::ResponseBody;
use synckit_http::routes::{
    Answering, Problem, RequestBody, Routes, body_of, check_announced, check_verb, coding_of, packed,
};
use synckit_net::{Coding, offload};
use synckit_remote::Admission;
use synckit_wire::Format;

use crate::GoRoutes;
use crate::large::{Batch, Start};
use crate::stream::MEDIA_TYPE;

/// The most bytes of a body, compressed as well as unpacked: what go-sync-kit's own server accepts.
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
pub(crate) struct Route {
    pub(crate) call: Call,
    pub(crate) client: Option<String>,
}

impl Route {
    /// Returns the route at this path, if it is one for clients of go-sync-kit:
    /// `[/sync][/clients/<name>][/sync]/<call>`.
    pub(crate) fn at(path: &str) -> Option<Route> {
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
        Some(Route { call, client })
    }

    fn posts(&self) -> bool {
        matches!(self.call, Call::Push | Call::PullCursor)
    }

    /// Checks the method and the headers before any of the body is read.
    pub(crate) fn check(&self, method: &Method, headers: &HeaderMap) -> Result<Coding, Problem> {
        if !self.posts() {
            check_verb(method, &Method::GET, "GET")?;
            return Ok(Coding::Identity);
        }
        check_verb(method, &Method::POST, "POST")?;
        let unsupported = |message| Problem::unsupported(StatusCode::UNSUPPORTED_MEDIA_TYPE, message);
        let content = headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or("?"));
        let is_json = |content: &str| content.trim().to_ascii_lowercase().starts_with("application/json");
        if content.is_some_and(|content| !content.is_empty() && !is_json(content)) {
            return Err(unsupported("unsupported media type: send application/json"));
        }
        let coding = match coding_of(headers) {
            Ok(coding @ (Coding::Identity | Coding::Gzip)) => coding,
            _ => return Err(unsupported("unsupported content encoding: send gzip or none")),
        };
        // A push that is too large is taken as far as it fits.
        if self.call != Call::Push {
            check_announced(headers, BODY_BYTES)?;
        }
        Ok(coding)
    }
}

impl Routes for GoRoutes {
    fn answer<'a>(&'a self, request: Request<RequestBody>, admission: &'a Admission) -> Answering<'a> {
        Box::pin(async move {
            let path = request.uri().path().to_owned();
            self.try_answer(request, admission).await.unwrap_or_else(|problem| {
                // The form that these clients know.
                let write =
                    |error: &Error| serde_json::json!({ "error": error.message() }).to_string().into();
                problem.answer(&path, "application/json", HeaderValue::from_static("gzip"), write)
            })
        })
    }
}

impl GoRoutes {
    async fn try_answer(
        &self,
        request: Request<RequestBody>,
        admission: &Admission,
    ) -> Result<Response<ResponseBody>, Problem> {
        let (parts, body) = request.into_parts();
        let not_found = || Error::new(ErrorKind::NotFound, "not found");
        let route = Route::at(parts.uri.path()).ok_or_else(not_found)?;
        let coding = route.check(&parts.method, &parts.headers)?;
        let query = parts.uri.query().unwrap_or_default();
        if route.call == Call::Stream {
            let mut answer = Response::new(self.stream(&route, query, admission).await?);
            let headers = answer.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            return Ok(answer);
        }
        let mut arrival = admission.arrive(None);
        let idle = admission.config().timeouts.idle();
        let cut = Arc::new(AtomicBool::new(false));
        let body = body_of(Start::of(body, cut.clone()), BODY_BYTES, idle, &mut arrival).await?;
        let turn = arrival.begin(None).await?;
        let call = async {
            let unfolded = coding.estimate(body.len());
            let cut = cut.load(Ordering::Relaxed);
            let body = offload(unfolded, move || Batch::unpack(coding, body, cut)).await?;
            self.call(&route, query, body).await
        };
        let text = turn.within(call).await?;
        Ok(packed(&parts.headers, "application/json", Format::Json, text).await?)
    }
}

impl fmt::Debug for GoRoutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GoRoutes").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

/// Returns a field of a query, decoded.
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
        let route = |call, client: Option<&str>| Some(Route { call, client: client.map(str::to_owned) });
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
            assert_eq!(Route::at(path), expected, "{path}");
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
