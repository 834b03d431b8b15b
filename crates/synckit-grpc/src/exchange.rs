//! One call and its answer, at the client.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::header::{CONTENT_TYPE, TE, USER_AGENT};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method as Verb, Request, Uri};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use synckit_core::{Error, ErrorKind, Result};
use synckit_net::{BoxError, Coding, Counted, Counts, Dialer, Stream};
use synckit_wire::{Decode, Encode};
use tonic::body::Body;

use crate::GRPC;
use crate::compression::{ACCEPT_ENCODING, ACCEPTED, ENCODING, coding_of};
use crate::config::GrpcConfig;
use crate::error::{foreign, unanswered};
use crate::frame::{Frames, write};
use crate::io::{LastWords, Pooled};
use crate::method::{MEDIA_TYPE, Method};
use crate::outgoing::whole;
use crate::pages::timeout_header;
use crate::status;

/// The connections to one server: one, as long as it holds.
pub(crate) type Pool = Client<Connector, Body>;

/// Where the server is.
#[derive(Clone, Debug)]
pub(crate) struct Base {
    scheme: Scheme,
    authority: Authority,
}

impl Base {
    pub(crate) fn parse(url: &str) -> Result<Base> {
        let bad = |message: &str| Error::invalid(message.to_owned()).with("url", url);
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(bad("the URL has no scheme; write it as grpc://host:port, or grpcs:// for TLS"));
        };
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "grpc" => Scheme::HTTP,
            "grpcs" => Scheme::HTTPS,
            _ => {
                return Err(bad(
                    "the URL is of another scheme; write it as grpc://host:port, or grpcs:// for TLS",
                ));
            }
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('@') {
            // The URL is left out of this message: it holds a password.
            return Err(Error::invalid("the URL holds credentials; send them in a header instead"));
        }
        if rest.contains(['/', '?', '#']) {
            return Err(bad("the URL of a gRPC server has no path"));
        }
        let authority: Authority =
            rest.parse().map_err(|error| bad("this is not a URL").with_source(BoxError::from(error)))?;
        if authority.host().is_empty() || authority.port().is_none() {
            return Err(bad("the URL names no host and port; write it as grpc://host:port"));
        }
        Ok(Base { scheme, authority })
    }

    fn uri(&self, method: Method) -> Result<Uri> {
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(method.path())
            .build()
            .map_err(|error| Error::invalid("this is not a URL").with_source(error))
    }
}

/// The headers of every call.
pub(crate) fn headers(config: &GrpcConfig) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("synckit-grpc/", env!("CARGO_PKG_VERSION"))));
    for (name, value) in &config.headers {
        let bad = || Error::invalid("this is not a header of gRPC").with("name", name);
        let mut value = HeaderValue::from_str(value).map_err(|_| bad())?;
        value.set_sensitive(true);
        headers.append(HeaderName::try_from(name).map_err(|_| bad())?, value);
    }
    headers.insert(CONTENT_TYPE, MEDIA_TYPE);
    headers.insert(TE, HeaderValue::from_static("trailers"));
    if config.compression {
        headers.insert(ENCODING, HeaderValue::from_static("zstd"));
        headers.insert(ACCEPT_ENCODING, ACCEPTED);
    }
    Ok(headers)
}

/// A pool without connections yet.
pub(crate) fn pool(
    config: &GrpcConfig,
    base: &Base,
    counts: Arc<Counts>,
    last_words: Arc<LastWords>,
) -> Result<Pool> {
    let tls = match base.scheme == Scheme::HTTPS {
        true => Some(Dialer::new(GRPC, &config.tls, base.authority.host())?),
        false => None,
    };
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(config.timeouts.connect()));
    let connector = Connector { tcp, tls, limit: config.timeouts.connect(), counts, last_words };
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .http2_only(true)
        .http2_keep_alive_interval(config.timeouts.keep_alive())
        .http2_keep_alive_timeout(config.timeouts.keep_alive_timeout())
        .http2_initial_stream_window_size(1 << 20)
        .http2_initial_connection_window_size(2 << 20)
        .http2_max_header_list_size(16 << 10)
        .http2_max_send_buf_size(256 << 10)
        .build(connector))
}

/// Opens connections that are counted.
#[derive(Clone)]
pub(crate) struct Connector {
    tcp: HttpConnector,
    tls: Option<Dialer>,
    /// For the handshake.
    limit: Duration,
    counts: Arc<Counts>,
    last_words: Arc<LastWords>,
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Pooled>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        ready!(self.tcp.poll_ready(cx))?;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let opening = self.tcp.call(uri);
        let Connector { tls, limit, counts, last_words, .. } = self.clone();
        Box::pin(async move {
            let stream = Counted::new(opening.await?.into_inner(), counts);
            let stream: Box<dyn Stream> = match tls {
                None => Box::new(stream),
                Some(tls) => tls.dial(stream, limit).await?,
            };
            last_words.clear();
            Ok(TokioIo::new(Pooled { stream, last_words }))
        })
    }
}

/// What every call to one server has in common.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) config: GrpcConfig,
    pub(crate) base: Base,
    pub(crate) headers: HeaderMap,
    pub(crate) last_words: Arc<LastWords>,
}

impl Server {
    /// How messages to the server are packed.
    pub(crate) fn coding(&self) -> Coding {
        if self.config.compression { Coding::Zstd } else { Coding::Identity }
    }

    /// Sends a message and waits for the header of an answer that is no error.
    pub(crate) async fn send<Q>(
        &self,
        pool: &Pool,
        method: Method,
        deadline: Option<Duration>,
        request: Q,
    ) -> Result<Frames<Incoming>>
    where
        Q: Encode + Send + 'static,
    {
        let message = write(request, self.coding(), &self.config.limits).await?;
        self.open(pool, method, deadline, whole(message, None)).await
    }

    /// Sends a body and waits for the header of an answer that is no error.
    pub(crate) async fn open(
        &self,
        pool: &Pool,
        method: Method,
        deadline: Option<Duration>,
        body: Body,
    ) -> Result<Frames<Incoming>> {
        let mut request = Request::new(body);
        *request.method_mut() = Verb::POST;
        *request.uri_mut() = self.base.uri(method)?;
        *request.headers_mut() = self.headers.clone();
        if let Some(deadline) = deadline {
            let (name, value) = timeout_header(deadline);
            request.headers_mut().insert(name, value);
        }
        let answer = pool.request(request).await;
        let answer = answer.map_err(|error| unanswered(error, self.last_words.error()))?;
        let (parts, body) = answer.into_parts();
        let content = parts.headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
        if !parts.status.is_success() || !content.starts_with(MEDIA_TYPE.as_bytes()) {
            return Err(foreign(parts.status, &parts.headers));
        }
        if let Some(Err(error)) = status::read(&parts.headers) {
            return Err(error);
        }
        let coding = coding_of(&parts.headers)?;
        let mut frames = Frames::new(body, coding, self.config.limits, ErrorKind::Corrupt);
        frames.trailers = Some(parts.headers);
        Ok(frames)
    }

    /// Reads the one message of an answer, and the status after it.
    pub(crate) async fn read<A>(&self, mut frames: Frames<Incoming>) -> Result<A>
    where
        A: Decode + Send + 'static,
    {
        let answer = frames.next().await?;
        let more = || Error::corrupt("the answer has more than one message");
        if answer.is_some() && frames.next::<A>().await?.is_some() {
            return Err(more());
        }
        frames.ended()?;
        answer.ok_or_else(|| Error::corrupt("the answer has no message"))
    }
}
