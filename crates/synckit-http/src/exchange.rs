//! One request and its answer, at the client.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use synckit_core::{Error, ErrorKind, Result};
use synckit_net::{BoxError, Coding, Counted, Counts, Dialer, Stream, offload};
use synckit_wire::{Decode, Encode, Format};
use tokio::time::{Instant, sleep_until};

use crate::HTTP;
use crate::body::{Upload, check_announced, receive};
use crate::compression::{ACCEPTED, coding_header, coding_of, pack};
use crate::config::HttpConfig;
use crate::error::{foreign, retry_after, unanswered};
use crate::format::{accepted_by, media_type, of_body};
use crate::io::Pooled;

/// The pool of connections to one server.
pub(crate) type Pool = Client<Connector, Upload>;

/// An answer that is an error is read up to here.
const ERROR_BYTES: usize = 64 << 10;

/// Where the server is.
#[derive(Clone, Debug)]
pub(crate) struct Base {
    scheme: Scheme,
    authority: Authority,
    path: String,
}

impl Base {
    pub(crate) fn parse(url: &str) -> Result<Base> {
        let bad = |message: &str| Error::invalid(message.to_owned()).with("url", url);
        let Some((scheme, _)) = url.split_once("://") else {
            return Err(bad("the URL has no scheme; write it as http://host:port or https://host"));
        };
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::HTTP,
            "https" => Scheme::HTTPS,
            _ => {
                return Err(bad(
                    "the URL is of another scheme; write it as http://host:port or https://host",
                ));
            }
        };
        let uri: Uri =
            url.parse().map_err(|error| bad("this is not a URL").with_source(BoxError::from(error)))?;
        let parts = uri.into_parts();
        let authority = parts.authority.filter(|authority| !authority.host().is_empty());
        let authority =
            authority.ok_or_else(|| bad("the URL names no host; write it as http://host:port"))?;
        if authority.as_str().contains('@') {
            // The URL is left out of this message: it holds a password.
            return Err(Error::invalid("the URL holds credentials; send them in a header instead"));
        }
        let path = parts.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
        if path.query().is_some() {
            return Err(bad("the URL of a server has no query"));
        }
        Ok(Base { scheme, authority, path: path.path().trim_end_matches('/').to_owned() })
    }

    fn uri(&self, operation: &str) -> Result<Uri> {
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(format!("{}/v1/{operation}", self.path))
            .build()
            .map_err(|error| Error::invalid("this is not a URL").with_source(error))
    }
}

/// The headers of every request.
pub(crate) fn headers(config: &HttpConfig) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("synckit/", env!("CARGO_PKG_VERSION"))));
    for (name, value) in &config.headers {
        let bad = || Error::invalid("this is not an HTTP header").with("name", name);
        let mut value = HeaderValue::from_str(value).map_err(|_| bad())?;
        value.set_sensitive(true);
        headers.append(HeaderName::try_from(name).map_err(|_| bad())?, value);
    }
    headers.insert(ACCEPT, accepted_by(config.protobuf));
    if config.compression {
        headers.insert(ACCEPT_ENCODING, ACCEPTED);
    }
    Ok(headers)
}

/// A pool without connections yet.
///
/// # Errors
/// Where the server is to be reached by TLS: `Invalid` for settings that cannot be used, `Unsupported` without the
/// feature `tls`.
pub(crate) fn pool(config: &HttpConfig, base: &Base, counts: Arc<Counts>) -> Result<Pool> {
    let tls = match base.scheme == Scheme::HTTPS {
        true => Some(Dialer::new(HTTP, &config.tls, base.authority.host())?),
        false => None,
    };
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(config.timeouts.connect()));
    let connector = Connector { tcp, tls, limit: config.timeouts.connect(), counts };
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        // Half the time after which the server closes an idle connection, so that none is taken up as it dies.
        .pool_idle_timeout(config.timeouts.header() / 2)
        .http1_max_buf_size(64 << 10)
        .build(connector))
}

/// Opens connections that are counted, and shakes hands where the server speaks TLS.
#[derive(Clone)]
pub(crate) struct Connector {
    tcp: HttpConnector,
    tls: Option<Dialer>,
    /// For the handshake.
    limit: Duration,
    counts: Arc<Counts>,
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
        let Connector { tls, limit, counts, .. } = self.clone();
        Box::pin(async move {
            let stream = Counted::new(opening.await?.into_inner(), counts);
            let stream: Box<dyn Stream> = match tls {
                None => Box::new(stream),
                Some(tls) => tls.dial(stream, limit).await?,
            };
            Ok(TokioIo::new(Pooled(stream)))
        })
    }
}

/// What every exchange with one server has in common.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) config: HttpConfig,
    pub(crate) base: Base,
    pub(crate) headers: HeaderMap,
    /// Whether the server has answered in protobuf, and is sent it.
    pub(crate) speaks_protobuf: AtomicBool,
}

impl Server {
    /// Sends a request and waits for the header of an answer that is no error.
    ///
    /// Where a server that spoke protobuf no longer does, another now answers at this address: it has not read the
    /// request, which goes to it as JSON.
    pub(crate) async fn send<Q>(&self, pool: &Pool, operation: &str, request: Q) -> Result<Response<Incoming>>
    where
        Q: Encode + Send + Sync + 'static,
    {
        let request = Arc::new(request);
        if self.speaks_protobuf.load(Ordering::Relaxed) {
            let answer = self.send_as(pool, operation, request.clone(), Format::Protobuf).await?;
            if answer.status() != StatusCode::UNSUPPORTED_MEDIA_TYPE {
                return self.checked(answer).await;
            }
            self.speaks_protobuf.store(false, Ordering::Relaxed);
        }
        let answer = self.send_as(pool, operation, request, Format::Json).await?;
        self.checked(answer).await
    }

    async fn checked(&self, answer: Response<Incoming>) -> Result<Response<Incoming>> {
        if !answer.status().is_success() {
            return Err(self.refused(answer).await);
        }
        if of_body(answer.headers(), media_type) == Some(Format::Protobuf) {
            self.speaks_protobuf.store(true, Ordering::Relaxed);
        }
        Ok(answer)
    }

    async fn send_as<Q>(
        &self,
        pool: &Pool,
        operation: &str,
        request: Arc<Q>,
        format: Format,
    ) -> Result<Response<Incoming>>
    where
        Q: Encode + Send + Sync + 'static,
    {
        let HttpConfig { limits, timeouts, compression, .. } = &self.config;
        let coding = if *compression { Coding::Zstd } else { Coding::Identity };
        let body = request.encode(format);
        let (coding, body) = offload(body.len(), move || Ok(pack(coding, body))).await?;
        if body.len() > limits.body_bytes {
            let message = format!(
                "the request has {} bytes; at most {} are allowed; send smaller batches",
                body.len(),
                limits.body_bytes
            );
            return Err(Error::too_large(message));
        }
        let upload = Upload::new(body, timeouts.connect());
        let progress = upload.progress();
        let mut request = Request::new(upload);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.base.uri(operation)?;
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type(format)));
        if let Some(coding) = coding_header(coding) {
            request.headers_mut().insert(CONTENT_ENCODING, coding);
        }
        let mut answer = pin!(pool.request(request));
        loop {
            let deadline = progress.last() + timeouts.header();
            if deadline <= Instant::now() {
                return Err(Error::new(ErrorKind::Timeout, "the server did not answer in time"));
            }
            tokio::select! {
                answer = &mut answer => return answer.map_err(unanswered),
                () = sleep_until(deadline) => {}
            }
        }
    }

    /// Reads the answer to a request.
    pub(crate) async fn read<A>(&self, answer: Response<Incoming>) -> Result<A>
    where
        A: Decode + Send + 'static,
    {
        let (parts, body) = answer.into_parts();
        let Some(format) = of_body(&parts.headers, media_type) else {
            return Err(foreign(parts.status, &parts.headers));
        };
        let limits = self.config.limits;
        check_announced(&parts.headers, limits.body_bytes)?;
        let coding = coding_of(&parts.headers)?;
        let body = receive(body, limits.body_bytes, self.config.timeouts.body_idle(), ErrorKind::Unavailable)
            .await?;
        offload(coding.estimate(body.len()), move || {
            let body = coding.unpack(body, limits.decoded_bytes).map_err(|error| match error.kind() {
                ErrorKind::Invalid => Error::corrupt("the answer cannot be unpacked").with_source(error),
                _ => error,
            })?;
            A::decode(format, &body, &limits)
        })
        .await
    }

    /// The error that an answer stands for.
    async fn refused(&self, answer: Response<Incoming>) -> Error {
        let (parts, body) = answer.into_parts();
        let limits = self.config.limits;
        let told = async |format| {
            let most = ERROR_BYTES.min(limits.body_bytes);
            let idle = self.config.timeouts.body_idle();
            let body: Bytes = receive(body, most, idle, ErrorKind::Unavailable).await?;
            let body = coding_of(&parts.headers)?.unpack(body, limits.decoded_bytes)?;
            Error::decode(format, &body, &limits)
        };
        let error = match of_body(&parts.headers, media_type) {
            Some(format) => told(format).await.unwrap_or_else(|_| foreign(parts.status, &parts.headers)),
            None => foreign(parts.status, &parts.headers),
        };
        match retry_after(&parts.headers) {
            Some(delay) => error.with_retry_after(delay),
            None => error,
        }
    }
}
