//! The answering side as a tower service.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Body;
use synckit_core::{Error, ErrorKind, Limits, Result, Transport};
use synckit_net::{BoxError, Coding, offload};
use synckit_wire::{Decode, Encode, Format, ReceivedPush};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout, timeout_at};

use crate::body::receive;
use crate::compression::{accepted_coding, coding_header, pack};
use crate::config::ServerConfig;
use crate::format::{media_type, of_answer, stream_type};
use crate::go::{self, BODY_BYTES, DECODED_BYTES, GoClients, GoHub, GoRoute};
use crate::pages::sent;
use crate::route::{Problem, Route, check_headers, reply};

/// The body of every answer.
pub type ResponseBody = UnsyncBoxBody<Bytes, Infallible>;

/// A [`Transport`], such as an endpoint, on the wire: a [`tower_service::Service`] that any hyper or axum server can
/// mount, also below a path that the mount strips. Clones share the transport and the limits.
///
/// It answers `POST /v1/hello`, `/v1/pull`, `/v1/push`, `/v1/missing` and `/v1/subscribe`, and `GET /v1/health`.
/// Every problem is answered with a fitting status and `{"error":{"code","message","retryable"}}`.
///
/// The service bounds its bodies, its requests in work and its time. A server that mounts it bounds what is below:
/// connections, silent ones too, and callers that do not read. [`serve`](crate::serve) does.
pub struct SyncService<T> {
    transport: Arc<T>,
    config: Arc<ServerConfig>,
    requests: Arc<Semaphore>,
    subscriptions: Arc<Semaphore>,
    closing: watch::Receiver<bool>,
    go: Option<GoHub>,
}

impl<T: Transport> SyncService<T> {
    /// Puts a transport on the wire.
    pub fn new(transport: T) -> Self {
        SyncService {
            transport: Arc::new(transport),
            config: Arc::default(),
            requests: Arc::new(Semaphore::new(0)),
            subscriptions: Arc::new(Semaphore::new(0)),
            closing: watch::channel(false).1,
            go: None,
        }
        .with_config(ServerConfig::default())
    }

    /// Sets limits and timeouts, for this clone and those made of it.
    pub fn with_config(mut self, config: ServerConfig) -> Self {
        let permits = |most: usize| Arc::new(Semaphore::new(most.clamp(1, Semaphore::MAX_PERMITS)));
        self.requests = permits(config.requests);
        self.subscriptions = permits(config.subscriptions);
        self.config = Arc::new(config);
        self
    }

    /// Answers clients of go-sync-kit too. Off unless set.
    pub fn with_go_clients(mut self, clients: GoClients) -> Self {
        self.go = Some(clients.into_hub());
        self
    }

    /// Its limits and timeouts.
    pub fn config(&self) -> &ServerConfig {
        &self.config
    }

    /// Ends subscriptions when this flag is raised.
    pub(crate) fn with_closing(mut self, closing: watch::Receiver<bool>) -> Self {
        self.closing = closing;
        self
    }

    /// Answers any request.
    pub(crate) async fn answer<B>(self, request: Request<B>) -> Response<ResponseBody>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let path = request.uri().path().to_owned();
        if let Some(hub) = self.go.clone().filter(|_| !path.starts_with("/v1/")) {
            return match self.try_answer_go(hub, request).await {
                Ok(answer) => answer,
                Err(problem) => go::problem(problem, &path),
            };
        }
        let format = of_answer(request.headers());
        match self.try_answer(request, format).await {
            Ok(answer) => answer,
            Err(problem) => problem.answer(&path, format),
        }
    }

    async fn try_answer<B>(
        self,
        request: Request<B>,
        answered: Format,
    ) -> Result<Response<ResponseBody>, Problem>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let (parts, body) = request.into_parts();
        let route = Route::at(parts.uri.path())?;
        route.check(&parts.method)?;
        if route == Route::Health {
            return Ok(reply(
                StatusCode::OK,
                "application/json",
                Bytes::from_static(b"{\"status\":\"ok\"}\n"),
            ));
        }
        let (coding, format) = check_headers(&parts.headers, self.config.limits.body_bytes)?;
        let _room = self.room().await?;
        let deadline = Instant::now() + self.config.timeouts.request();
        let body = self.received(body, self.config.limits.body_bytes, deadline).await?;
        let message = Message { coding, format, body };
        match within(deadline, self.call(route, message, answered)).await? {
            Outcome::Message(text) => Ok(packed(&parts.headers, media_type(answered), text).await?),
            Outcome::Pages(body) => {
                let mut answer = Response::new(body);
                answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(stream_type(answered)));
                answer.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
                Ok(answer)
            }
        }
    }

    /// Answers a client of go-sync-kit.
    async fn try_answer_go<B>(
        self,
        hub: GoHub,
        request: Request<B>,
    ) -> Result<Response<ResponseBody>, Problem>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let (parts, body) = request.into_parts();
        let route =
            GoRoute::at(parts.uri.path()).ok_or_else(|| Error::new(ErrorKind::NotFound, "not found"))?;
        let coding = route.check(&parts.method, &parts.headers)?;
        let query = parts.uri.query().unwrap_or_default();
        if route.is_stream() {
            let room = self.room_for_subscription()?;
            let (heartbeat, closing) = (self.config.heartbeat(), self.closing.clone());
            let mut answer = Response::new(hub.stream(&route, query, heartbeat, closing, room).await?);
            let headers = answer.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(go::EVENT_STREAM));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            return Ok(answer);
        }
        let _room = self.room().await?;
        let deadline = Instant::now() + self.config.timeouts.request();
        let body = self.received(body, BODY_BYTES, deadline).await?;
        let call = async {
            let unfolded = coding.estimate(body.len());
            let body = offload(unfolded, move || coding.unpack(body, DECODED_BYTES)).await?;
            hub.answer(&route, query, body).await
        };
        let text = within(deadline, call).await?;
        Ok(packed(&parts.headers, media_type(Format::Json), text).await?)
    }

    /// Room for one more request, or `Busy`.
    async fn room(&self) -> Result<OwnedSemaphorePermit> {
        let full =
            || Error::new(ErrorKind::Busy, "the server works on as many requests as it may; try again");
        let waiting = timeout(self.config.queue(), self.requests.clone().acquire_owned());
        waiting.await.map_err(|_| full())?.map_err(|_| full())
    }

    /// Room for one more subscription, or `Busy`.
    fn room_for_subscription(&self) -> Result<OwnedSemaphorePermit> {
        let full = || Error::new(ErrorKind::Busy, "the server has as many subscribers as it may");
        self.subscriptions.clone().try_acquire_owned().map_err(|_| full())
    }

    /// A whole body.
    async fn received<B>(&self, body: B, most: usize, deadline: Instant) -> Result<Bytes, Problem>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let reading = receive(body, most, self.config.timeouts.body_idle(), ErrorKind::Invalid);
        let late = || Error::new(ErrorKind::Timeout, "the request did not come in time");
        let body = timeout_at(deadline, reading).await.unwrap_or_else(|_| Err(late()));
        body.map_err(|error| match error.kind() {
            ErrorKind::Timeout => Problem { status: StatusCode::REQUEST_TIMEOUT, error, allow: None },
            _ => Problem::from(error),
        })
    }

    async fn call(&self, route: Route, message: Message, answered: Format) -> Result<Outcome> {
        let transport = &*self.transport;
        let text = match route {
            Route::Hello => {
                let mut answer = transport.hello(self.decode(message).await?).await?;
                answer.limits = self.offered(answer.limits);
                answer.encode(answered)
            }
            Route::Pull => transport.pull(self.decode(message).await?).await?.encode(answered),
            Route::Missing => transport.missing(self.decode(message).await?).await?.encode(answered),
            Route::Push => {
                let ReceivedPush { request, refusals } = self.decode(message).await?;
                let answer = transport.push(request).await?;
                if let Some(hub) = &self.go {
                    hub.announce();
                }
                refusals.join(answer).encode(answered)
            }
            Route::Subscribe => {
                let request = self.decode(message).await?;
                let room = self.room_for_subscription()?;
                let pages = transport.subscribe(request).await?;
                let (heartbeat, closing) = (self.config.heartbeat(), self.closing.clone());
                return Ok(Outcome::Pages(sent(pages, answered, heartbeat, closing, room)));
            }
            Route::Health => b"{\"status\":\"ok\"}\n".to_vec(),
        };
        Ok(Outcome::Message(text))
    }

    /// What this side accepts: the stricter of what the transport takes and what the wire lets through.
    fn offered(&self, limits: Limits) -> Limits {
        Limits { drift_seconds: limits.drift_seconds, ..limits.min(self.config.limits.limits) }
    }

    async fn decode<M: Decode + Send + 'static>(&self, message: Message) -> Result<M> {
        let Message { coding, format, body } = message;
        let limits = self.config.limits;
        let unfolded = coding.estimate(body.len());
        let unpack = move || M::decode(format, &coding.unpack(body, limits.decoded_bytes)?, &limits);
        offload(unfolded, unpack).await
    }
}

/// A request as it came.
struct Message {
    coding: Coding,
    format: Format,
    body: Bytes,
}

/// The result of a call, if it comes in time.
async fn within<R>(deadline: Instant, call: impl Future<Output = Result<R>>) -> Result<R> {
    let late = || Error::new(ErrorKind::Timeout, "the call took too long; it may have been carried out");
    timeout_at(deadline, call).await.unwrap_or_else(|_| Err(late()))
}

/// A message, packed as the caller accepts.
async fn packed(
    headers: &HeaderMap,
    media_type: &'static str,
    text: Vec<u8>,
) -> Result<Response<ResponseBody>> {
    let accepted = accepted_coding(headers);
    let (coding, text) = offload(text.len(), move || Ok(pack(accepted, text))).await?;
    let mut answer = reply(StatusCode::OK, media_type, text);
    if let Some(coding) = coding_header(coding) {
        answer.headers_mut().insert(CONTENT_ENCODING, coding);
    }
    answer.headers_mut().insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
    Ok(answer)
}

enum Outcome {
    Message(Vec<u8>),
    Pages(ResponseBody),
}

impl<T> Clone for SyncService<T> {
    fn clone(&self) -> Self {
        SyncService {
            transport: self.transport.clone(),
            config: self.config.clone(),
            requests: self.requests.clone(),
            subscriptions: self.subscriptions.clone(),
            closing: self.closing.clone(),
            go: self.go.clone(),
        }
    }
}

impl<T> fmt::Debug for SyncService<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncService").field("config", &self.config).finish_non_exhaustive()
    }
}

impl<T, B> tower_service::Service<Request<B>> for SyncService<T>
where
    T: Transport,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(service.answer(request).await) })
    }
}
