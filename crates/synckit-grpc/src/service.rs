//! The answering side as a tower service.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, Response, StatusCode};
use synckit_core::{Error, ErrorKind, Limits, PullRequest, PullResponse, Result, Transport};
use synckit_net::{BoxError, Coding, raised};
use synckit_wire::{Decode, Encode, ReceivedPush};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tonic::body::Body;

use crate::compression::{ACCEPT_ENCODING, ACCEPTED, ENCODING, accepted_coding, coding_header, coding_of};
use crate::config::ServerConfig;
use crate::frame::{Frames, write};
use crate::method::{MEDIA_TYPE, Method, SERVICE};
use crate::outgoing::{Outgoing, is_small, outgoing, whole};
use crate::pages::{Pages, deadline};
use crate::pushes::Sum;
use crate::status;

/// A [`Transport`], such as an endpoint, on the wire: the service `synckit.v1.Sync` of `docs/synckit.proto`, which any
/// tonic router can mount. Clones share the transport and the limits.
///
/// The service bounds its messages, its requests in work, its streams and its time. A server that mounts it bounds
/// what is below: connections, silent ones too, and calls on each. [`serve`](crate::serve) does.
pub struct SyncService<T> {
    transport: Arc<T>,
    config: Arc<ServerConfig>,
    requests: Arc<Semaphore>,
    subscriptions: Arc<Semaphore>,
    closing: watch::Receiver<bool>,
}

/// A call as it came.
struct Call {
    incoming: Frames<Body>,
    /// How the answer is packed.
    reply: Coding,
    /// When the caller gives up, if it said so.
    deadline: Option<Instant>,
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

    /// Its limits and timeouts.
    pub fn config(&self) -> &ServerConfig {
        &self.config
    }

    /// Ends streams when this flag is raised.
    pub(crate) fn with_closing(mut self, closing: watch::Receiver<bool>) -> Self {
        self.closing = closing;
        self
    }

    async fn answer(self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let content = parts.headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
        if !content.starts_with(MEDIA_TYPE.as_bytes()) {
            let mut answer = Response::new(Body::empty());
            *answer.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return answer;
        }
        match self.try_answer(parts.uri.path(), &parts.headers, body).await {
            Ok(answer) => answer,
            Err(error) => refused(parts.uri.path(), error),
        }
    }

    async fn try_answer(&self, path: &str, headers: &HeaderMap, body: Body) -> Result<Response<Body>> {
        let unknown = || Error::new(ErrorKind::Unsupported, format!("{SERVICE} has no such call"));
        let method = Method::at(path).ok_or_else(unknown)?;
        let limits = self.config.limits;
        let mut call = Call {
            incoming: Frames::new(body, coding_of(headers)?, limits, ErrorKind::Invalid),
            reply: accepted_coding(headers),
            deadline: deadline(headers),
        };
        match method {
            Method::PushStream => self.pushes(call).await,
            Method::Subscribe => self.subscribe(call).await,
            Method::Pull => {
                let (room, until) = self.begin(call.deadline).await?;
                let request: PullRequest = within(until, only(&mut call.incoming)).await?;
                if request.limit.is_none() {
                    drop(room);
                    return self.pull_all(call, request).await;
                }
                self.whole(call.reply, room, until, self.transport.pull(request)).await
            }
            Method::Hello => {
                let (room, until) = self.begin(call.deadline).await?;
                let request = within(until, only(&mut call.incoming)).await?;
                let answer = async {
                    let mut answer = self.transport.hello(request).await?;
                    answer.limits = self.offered(answer.limits);
                    Ok(answer)
                };
                self.whole(call.reply, room, until, answer).await
            }
            Method::Missing => {
                let (room, until) = self.begin(call.deadline).await?;
                let request = within(until, only(&mut call.incoming)).await?;
                self.whole(call.reply, room, until, self.transport.missing(request)).await
            }
            Method::Push => {
                let (room, until) = self.begin(call.deadline).await?;
                let ReceivedPush { request, refusals } = within(until, only(&mut call.incoming)).await?;
                let answer = async { Ok(refusals.join(self.transport.push(request).await?)) };
                self.whole(call.reply, room, until, answer).await
            }
        }
    }

    /// Room for a request, and until when it must be done.
    async fn begin(&self, deadline: Option<Instant>) -> Result<(OwnedSemaphorePermit, Instant)> {
        let room = self.room().await?;
        let own = Instant::now() + self.config.timeouts.request();
        Ok((room, deadline.map_or(own, |deadline| deadline.min(own))))
    }

    /// Room for one more request, or `Busy`.
    pub(crate) async fn room(&self) -> Result<OwnedSemaphorePermit> {
        let full =
            || Error::new(ErrorKind::Busy, "the server works on as many requests as it may; try again");
        let waiting = timeout(self.config.queue(), self.requests.clone().acquire_owned());
        waiting.await.map_err(|_| full())?.map_err(|_| full())
    }

    /// Room for one more stream that lasts, or `Busy`.
    fn lasting(&self) -> Result<OwnedSemaphorePermit> {
        let full = || Error::new(ErrorKind::Busy, "the server has as many subscribers as it may");
        self.subscriptions.clone().try_acquire_owned().map_err(|_| full())
    }

    /// An answer of one message. Its room is kept until the caller has taken it.
    async fn whole<A: Encode + Send + 'static>(
        &self,
        reply: Coding,
        room: OwnedSemaphorePermit,
        until: Instant,
        answer: impl Future<Output = Result<A>>,
    ) -> Result<Response<Body>> {
        let limits = self.config.limits;
        let frame = within(until, async { write(answer.await?, reply, &limits).await }).await?;
        if is_small(&frame) {
            return Ok(accepted(reply, whole(frame, Some(status::ok()))));
        }
        let (out, body) = outgoing(self.config.timeouts.request());
        tokio::spawn(async move {
            let _room = room;
            if let Ok(Ok(())) = timeout_at(until, out.message(frame)).await {
                out.end(Some(status::ok())).await;
            }
        });
        Ok(accepted(reply, body))
    }

    /// Page after page to the end of the log.
    async fn pull_all(&self, call: Call, request: PullRequest) -> Result<Response<Body>> {
        let room = self.lasting()?;
        let (out, body) = outgoing(self.config.timeouts.request());
        let pages = self.pages(&call, out);
        let service = self.clone();
        tokio::spawn(async move {
            let _room = room;
            pages.pull(&service, request).await;
        });
        Ok(accepted(call.reply, body))
    }

    async fn subscribe(&self, mut call: Call) -> Result<Response<Body>> {
        let (starting, until) = self.begin(call.deadline).await?;
        let request: PullRequest = within(until, only(&mut call.incoming)).await?;
        let room = self.lasting()?;
        let cursor = request.cursor.clone();
        let stream = within(until, self.transport.subscribe(request)).await?;
        drop(starting);
        let (out, body) = outgoing(self.config.timeouts.request());
        let pages = self.pages(&call, out);
        let heartbeat = self.config.heartbeat();
        tokio::spawn(async move {
            let _room = room;
            pages.subscription(stream, cursor, heartbeat).await;
        });
        Ok(accepted(call.reply, body))
    }

    fn pages(&self, call: &Call, out: Outgoing) -> Pages {
        Pages {
            out,
            coding: call.reply,
            limits: self.config.limits,
            deadline: call.deadline,
            closing: self.closing.clone(),
        }
    }

    /// Batch after batch, each stored on its own, and one answer.
    async fn pushes(&self, mut call: Call) -> Result<Response<Body>> {
        let _room = self.lasting()?;
        let mut sum = Sum::default();
        loop {
            let idle = Instant::now() + self.config.timeouts.idle();
            let until = call.deadline.map_or(idle, |deadline| deadline.min(idle));
            let mut closing = self.closing.clone();
            let next = tokio::select! {
                next = within(until, call.incoming.next::<ReceivedPush>()) => next?,
                () = raised(&mut closing) => return Err(shutting_down()),
            };
            let Some(ReceivedPush { request, refusals }) = next else { break };
            let (_working, until) = self.begin(call.deadline).await?;
            let offered = request.events.len() + refusals.refused().len();
            let answer = within(until, self.transport.push(request)).await?;
            sum.add(offered, refusals.join(answer))?;
        }
        let (room, until) = self.begin(call.deadline).await?;
        self.whole(call.reply, room, until, std::future::ready(Ok(sum.answer()))).await
    }

    /// Reads a page for a stream, in the room of a request.
    pub(crate) async fn page(&self, request: PullRequest) -> Result<PullResponse> {
        let _room = self.room().await?;
        within(Instant::now() + self.config.timeouts.request(), self.transport.pull(request)).await
    }

    /// What this side accepts: the stricter of what the transport takes and what the wire lets through.
    fn offered(&self, limits: Limits) -> Limits {
        Limits { drift_seconds: limits.drift_seconds, ..limits.min(self.config.limits.limits) }
    }
}

/// The one message of a request.
async fn only<M: Decode + Send + 'static>(incoming: &mut Frames<Body>) -> Result<M> {
    let none = || Error::invalid("the request has no message");
    incoming.next().await?.ok_or_else(none)
}

pub(crate) fn shutting_down() -> Error {
    Error::new(ErrorKind::Unavailable, "the server shuts down; go on at the last cursor")
}

async fn within<A>(until: Instant, work: impl Future<Output = Result<A>>) -> Result<A> {
    let late = || Error::new(ErrorKind::Timeout, "the call took too long; it may have been carried out");
    timeout_at(until, work).await.unwrap_or_else(|_| Err(late()))
}

/// An answer with a body.
fn accepted(reply: Coding, body: Body) -> Response<Body> {
    let mut answer = Response::new(body);
    answer.headers_mut().insert(CONTENT_TYPE, MEDIA_TYPE);
    if let Some(coding) = coding_header(reply) {
        answer.headers_mut().insert(ENCODING, coding);
    }
    answer.headers_mut().insert(ACCEPT_ENCODING, ACCEPTED);
    answer
}

/// An answer that is an error.
fn refused(path: &str, error: Error) -> Response<Body> {
    match error.kind() {
        ErrorKind::Internal | ErrorKind::Corrupt => tracing::error!(path, %error, "a call failed"),
        _ => tracing::debug!(path, %error, "a call was refused"),
    }
    let mut answer = accepted(Coding::Identity, Body::empty());
    answer.headers_mut().extend(status::failed(error));
    answer
}

impl<T> Clone for SyncService<T> {
    fn clone(&self) -> Self {
        SyncService {
            transport: self.transport.clone(),
            config: self.config.clone(),
            requests: self.requests.clone(),
            subscriptions: self.subscriptions.clone(),
            closing: self.closing.clone(),
        }
    }
}

impl<T> fmt::Debug for SyncService<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncService").field("config", &self.config).finish_non_exhaustive()
    }
}

impl<T> tonic::server::NamedService for SyncService<T> {
    const NAME: &'static str = SERVICE;
}

impl<T, B> tower_service::Service<Request<B>> for SyncService<T>
where
    T: Transport,
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(service.answer(request.map(Body::new)).await) })
    }
}
