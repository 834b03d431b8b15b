//! The answering side as a tower service.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use synckit_core::{Error, ErrorKind, PullRequest, Result, Transport};
use synckit_net::{BoxError, Coding, raised};
use synckit_remote::{
    Arrival, CallNumber, DIGEST, Digest, Method, Packed, ServerConfig, Service, Turn, pack_sealed, report,
};
use synckit_wire::{Encode, Format, ReceivedPush};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;
use tracing::{Instrument, Span};

use crate::compression::{ACCEPT_ENCODING, ACCEPTED, ENCODING, accepted_coding, coding_of};
use crate::deadline::deadline;
use crate::frame::{Frames, framed};
use crate::method::{MEDIA_TYPE, Rpc, SERVICE};
use crate::outgoing::{is_small, outgoing, whole};
use crate::pages::Pages;
use crate::pushes::Sum;
use crate::status;

/// A [`Transport`], such as an endpoint, on the wire: the service `synckit.v1.Sync` of `docs/synckit.proto`, which any
/// tonic router can mount. Clones share the transport and the limits.
///
/// The service limits its messages, its running requests, its streams and its time. A server that mounts it must limit
/// what is below: connections, silent ones too, and calls on each. [`serve`](crate::serve) does; it also answers
/// `grpc.health.v1.Health` and reflection (v1 and v1alpha), so that load balancers and `grpcurl` find their way.
pub struct GrpcService<T>(pub(crate) Service<T>);

/// A call as it was received.
struct Call {
    incoming: Frames<Body>,
    /// How the answer is packed.
    reply: Coding,
    /// When the caller gives up, if it said so.
    deadline: Option<Instant>,
}

impl<T: Transport> GrpcService<T> {
    /// Creates a service that puts a transport on the wire.
    pub fn new(transport: T) -> Self {
        GrpcService(Service::new(transport))
    }

    /// Sets limits and timeouts, for this clone and those made from it.
    pub fn with_config(self, config: ServerConfig) -> Self {
        GrpcService(self.0.with_config(config))
    }

    /// Serves each call within the span that this function makes from its headers: see
    /// [`Service::with_span`](synckit_remote::Service::with_span).
    pub fn with_span(self, span: impl Fn(&HeaderMap) -> Span + Send + Sync + 'static) -> Self {
        GrpcService(self.0.with_span(span))
    }

    /// Returns its limits and timeouts.
    pub fn config(&self) -> &ServerConfig {
        self.0.config()
    }

    /// Ends streams when this flag is raised.
    pub(crate) fn with_closing(self, closing: watch::Receiver<bool>) -> Self {
        GrpcService(self.0.with_closing(closing))
    }

    async fn answer(self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let content = parts.headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
        if !content.starts_with(MEDIA_TYPE.as_bytes()) {
            let mut answer = Response::new(Body::empty());
            *answer.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return answer;
        }
        let path = parts.uri.path();
        let span = self.0.span(&parts.headers);
        let answer = self.try_answer(path, &parts.headers, body).instrument(span).await;
        let mut answer = answer.unwrap_or_else(|error| {
            report(path, &error);
            let mut answer = accepted(Coding::Identity, Body::empty());
            answer.headers_mut().extend(status::failed(error));
            answer
        });
        CallNumber::in_headers(&parts.headers).put(answer.headers_mut());
        answer
    }

    async fn try_answer(&self, path: &str, headers: &HeaderMap, body: Body) -> Result<Response<Body>> {
        let unknown = || Error::new(ErrorKind::Unsupported, format!("{SERVICE} has no such call"));
        let rpc = Rpc::at(path).ok_or_else(unknown)?;
        let most = self.config().limits.body_bytes;
        let mut call = Call {
            incoming: Frames::new(
                body,
                coding_of(headers)?,
                Digest::in_headers(headers),
                most,
                ErrorKind::Invalid,
            ),
            reply: accepted_coding(headers),
            deadline: deadline(headers),
        };
        let Rpc::Of(method) = rpc else { return self.pushes(call).await };
        let mut arrival = self.0.admission().arrive(call.deadline);
        let message = only(&mut call.incoming, &mut arrival).await?;
        let turn = arrival.begin(call.deadline).await?;
        match method {
            Method::Subscribe => self.subscribe(call, turn, message).await,
            Method::Pull => {
                let request: PullRequest = self.0.read(message).await?;
                if request.limit.is_none() {
                    drop(turn);
                    return self.pull_all(call, request);
                }
                let page = async { Ok(self.0.transport().pull(request).await?.to_protobuf()) };
                self.whole(call.reply, turn, page).await
            }
            method => {
                let answer = self.0.dispatch(method, message, Format::Protobuf);
                self.whole(call.reply, turn, answer).await
            }
        }
    }

    /// Returns an answer of one message. Its room is kept until the caller has taken it.
    async fn whole(
        &self,
        reply: Coding,
        turn: Turn,
        answer: impl Future<Output = Result<Vec<u8>>>,
    ) -> Result<Response<Body>> {
        let most = self.config().limits.body_bytes;
        let packed =
            turn.within(async { pack_sealed(Format::Protobuf, answer.await?, reply, most).await }).await?;
        let frame = framed(&packed);
        if is_small(&frame) {
            return Ok(accepted(reply, whole(frame, Some(status::ok()))));
        }
        let (out, body) = outgoing(self.config().timeouts.request());
        tokio::spawn(async move {
            if let Ok(Ok(())) = timeout_at(turn.until(), out.message(frame)).await {
                out.end(Some(status::ok())).await;
            }
        });
        Ok(accepted(reply, body))
    }

    /// Returns page after page, to the end of the log.
    fn pull_all(&self, call: Call, request: PullRequest) -> Result<Response<Body>> {
        let room = self.0.admission().lasting()?;
        let service = self.0.clone();
        Ok(self.streamed(call, |pages| async move {
            let _room = room;
            pages.pull(&service, request).await;
        }))
    }

    async fn subscribe(&self, call: Call, turn: Turn, message: Packed) -> Result<Response<Body>> {
        let pump = async { self.0.subscribe(self.0.read(message).await?, Format::Protobuf).await };
        let pump = turn.within(pump).await?;
        Ok(self.streamed(call, |pages| pages.subscription(pump)))
    }

    /// Returns an answer that is a stream of pages, sent by a task.
    fn streamed<F>(&self, call: Call, send: impl FnOnce(Pages) -> F) -> Response<Body>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (out, body) = outgoing(self.config().timeouts.request());
        let admission = self.0.admission().clone();
        tokio::spawn(send(Pages { out, coding: call.reply, deadline: call.deadline, admission }));
        accepted(call.reply, body)
    }

    /// Stores batch after batch, each on its own, and returns one answer.
    async fn pushes(&self, mut call: Call) -> Result<Response<Body>> {
        let admission = self.0.admission();
        let (_room, mut closing) = (admission.lasting()?, admission.closing());
        let mut sum = Sum::default();
        loop {
            let idle = Instant::now() + self.config().timeouts.idle();
            let until = call.deadline.map_or(idle, |deadline| deadline.min(idle));
            let next = tokio::select! {
                next = timeout_at(until, call.incoming.next()) => next.map_err(|_| {
                    Error::new(ErrorKind::Timeout, "the next batch did not come in time")
                })??,
                () = raised(&mut closing) => return Err(self.0.admission().goodbye()),
            };
            let Some(message) = next else { break };
            let turn = admission.begin(call.deadline).await?;
            let ReceivedPush { request, refused } = turn.within(self.0.read(message)).await?;
            let mut answer = turn.within(self.0.transport().push(request)).await?;
            answer.refused.extend(refused);
            sum.add(answer)?;
        }
        let turn = admission.begin(call.deadline).await?;
        self.whole(call.reply, turn, std::future::ready(Ok(sum.answer().to_protobuf()))).await
    }
}

/// Reads the one message of a request.
async fn only(incoming: &mut Frames<Body>, arrival: &mut Arrival) -> Result<Packed> {
    let late = || Error::new(ErrorKind::Timeout, "the request did not arrive in time");
    let none = || Error::invalid("the request has no message");
    let message = timeout_at(arrival.until(), incoming.receive(Some(arrival))).await;
    message.map_err(|_| late())??.ok_or_else(none)
}

/// Returns an answer with this body.
fn accepted(reply: Coding, body: Body) -> Response<Body> {
    let mut answer = Response::new(body);
    answer.headers_mut().insert(CONTENT_TYPE, MEDIA_TYPE);
    if reply != Coding::Identity {
        answer.headers_mut().insert(ENCODING, HeaderValue::from_static(reply.name()));
    }
    answer.headers_mut().insert(ACCEPT_ENCODING, ACCEPTED);
    answer.headers_mut().extend(Digest::Inside.header().map(|inside| (DIGEST, inside)));
    answer
}

/// Puts a service on the wire that has its limits already, and shares its room with others made from it.
impl<T> From<Service<T>> for GrpcService<T> {
    fn from(service: Service<T>) -> Self {
        GrpcService(service)
    }
}

impl<T> Clone for GrpcService<T> {
    fn clone(&self) -> Self {
        GrpcService(self.0.clone())
    }
}

impl<T> fmt::Debug for GrpcService<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GrpcService").field(&self.0).finish()
    }
}

impl<T> tonic::server::NamedService for GrpcService<T> {
    const NAME: &'static str = SERVICE;
}

impl<T, B> tower_service::Service<Request<B>> for GrpcService<T>
where
    T: Transport,
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let answering = self.clone().answer(request.map(Body::new));
        Box::pin(async move { Ok(answering.await) })
    }

    /// Returns ready always: a caller waits for room within the call, for a limited time.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }
}
