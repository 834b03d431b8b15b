//! The answering side as a tower service.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::header::{CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Body;
use synckit_core::{Result, Transport};
use synckit_net::BoxError;
use synckit_remote::{CallNumber, DIGEST, Digest, Method, Packed, ServerConfig, Service};
use synckit_wire::{Encode, Format};
use tokio::sync::watch;
use tracing::{Instrument, Span};

use crate::compression::ACCEPTED;
use crate::format::{media_type, of_answer, stream_type};
use crate::pages::sent;
use crate::problem::{Problem, body_of, packed, reply};
use crate::route::{PREFIX, Route, check_headers};
use crate::routes::{RequestBody, Routes};

/// The body of every answer.
pub type ResponseBody = UnsyncBoxBody<Bytes, Infallible>;

/// A [`Transport`], such as an endpoint, on the wire: a [`tower_service::Service`] that any hyper or axum server can
/// mount, also below a path that the mount strips. Clones share the transport and the limits.
///
/// It answers `POST /v1/hello`, `/v1/pull`, `/v1/push`, `/v1/missing` and `/v1/subscribe`, and `GET /v1/health`. Every
/// problem is answered with a matching status and `{"error":{"code","message","retryable"}}`.
///
/// The service limits its bodies, its running requests and its time. A server that mounts it must limit what is below:
/// connections, silent ones too, and callers that do not read. [`serve`](crate::serve) does.
pub struct HttpService<T> {
    pub(crate) service: Service<T>,
    routes: Option<Arc<dyn Routes>>,
}

impl<T: Transport> HttpService<T> {
    /// Creates a service that puts a transport on the wire.
    pub fn new(transport: T) -> Self {
        Service::new(transport).into()
    }

    /// Sets limits and timeouts, for this clone and those made from it.
    pub fn with_config(mut self, config: ServerConfig) -> Self {
        self.service = self.service.with_config(config);
        self
    }

    /// Adds routes at paths that do not begin with `/v1/`. Without them, nothing is there.
    pub fn with_routes(mut self, routes: impl Routes) -> Self {
        self.routes = Some(Arc::new(routes));
        self
    }

    /// Serves each call within the span that this function makes from its headers: see
    /// [`Service::with_span`](synckit_remote::Service::with_span).
    pub fn with_span(mut self, span: impl Fn(&HeaderMap) -> Span + Send + Sync + 'static) -> Self {
        self.service = self.service.with_span(span);
        self
    }

    /// Returns its limits and timeouts.
    pub fn config(&self) -> &ServerConfig {
        self.service.config()
    }

    /// Ends subscriptions when this flag is raised.
    pub(crate) fn with_closing(mut self, closing: watch::Receiver<bool>) -> Self {
        self.service = self.service.with_closing(closing);
        self
    }

    /// Makes the answer to any request.
    pub(crate) async fn answer(self, request: Request<RequestBody>) -> Response<ResponseBody> {
        let path = request.uri().path().to_owned();
        if let Some(routes) = self.routes.as_ref().filter(|_| !path.starts_with(PREFIX)) {
            return routes.answer(request, self.service.admission()).await;
        }
        let (format, number) = (of_answer(request.headers()), CallNumber::in_headers(request.headers()));
        let span = self.service.span(request.headers());
        let answer = self.try_answer(request, format).instrument(span).await;
        let mut answer = answer.unwrap_or_else(|problem| {
            problem.answer(&path, media_type(format), ACCEPTED, |error| error.encode(format))
        });
        number.put(answer.headers_mut());
        answer
    }

    async fn try_answer(
        &self,
        request: Request<RequestBody>,
        format: Format,
    ) -> Result<Response<ResponseBody>, Problem> {
        let (parts, body) = request.into_parts();
        let route = Route::at(parts.uri.path())?;
        route.check(&parts.method)?;
        let Route::Call(method) = route else {
            let unavailable = |error| Problem { status: StatusCode::SERVICE_UNAVAILABLE, error, allow: None };
            self.service.check_health().await.map_err(unavailable)?;
            let status = Bytes::from_static(b"{\"status\":\"ok\"}\n");
            return Ok(reply(StatusCode::OK, media_type(Format::Json), status));
        };
        let (admission, limits) = (self.service.admission(), self.config().limits);
        let (coding, sent_in) = check_headers(&parts.headers, limits.body_bytes)?;
        let mut arrival = admission.arrive(None);
        let idle = self.config().timeouts.idle();
        let bytes = body_of(body, limits.body_bytes, idle, &mut arrival).await?;
        let turn = arrival.begin(None).await?;
        let digest = Digest::in_headers(&parts.headers);
        let message = Packed { coding, format: sent_in, digest, bytes };
        if method == Method::Subscribe {
            return Ok(turn.within(self.subscribe(message, format)).await?);
        }
        let answer = turn.within(self.service.dispatch(method, message, format)).await?;
        Ok(packed(&parts.headers, media_type(format), format, answer).await?)
    }

    async fn subscribe(&self, message: Packed, format: Format) -> Result<Response<ResponseBody>> {
        let request = self.service.read(message).await?;
        let pump = self.service.subscribe(request, format).await?;
        let mut answer = Response::new(sent(pump, format));
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(stream_type(format)));
        answer.headers_mut().extend(Digest::Inside.header().map(|inside| (DIGEST, inside)));
        answer.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
        Ok(answer)
    }
}

/// Puts a service on the wire that has its limits already, and shares its room with others made from it.
impl<T> From<Service<T>> for HttpService<T> {
    fn from(service: Service<T>) -> Self {
        HttpService { service, routes: None }
    }
}

impl<T> Clone for HttpService<T> {
    fn clone(&self) -> Self {
        HttpService { service: self.service.clone(), routes: self.routes.clone() }
    }
}

impl<T> fmt::Debug for HttpService<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpService").field("service", &self.service).finish_non_exhaustive()
    }
}

impl<T, B> tower_service::Service<Request<B>> for HttpService<T>
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
        let request = request.map(|body| {
            let body =
                body.map_frame(|frame| frame.map_data(|mut data| data.copy_to_bytes(data.remaining())));
            body.map_err(Into::into).boxed_unsync()
        });
        Box::pin(async move { Ok(service.answer(request).await) })
    }
}
