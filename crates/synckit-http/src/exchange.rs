//! One request and its answer, at the client.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, Method as Verb, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use synckit_core::{Error, ErrorKind, PullRequest, Result};
use synckit_net::{Coding, Connector, Counts, LastWords, Protocol};
use synckit_remote::{
    Address, CallNumbers, Client, ClientConfig, DIGEST, Digest, Exchange, Method, Packed, pack,
};
use synckit_wire::{Encode, Format};
use tokio::time::{Instant, sleep_until};

use crate::HTTP;
use crate::body::{Upload, check_announced, receive};
use crate::compression::{ACCEPTED, coding_header, coding_of};
use crate::error::{foreign, retry_after};
use crate::format::{accepted_by, media_type, of_body, stream_type};
use crate::pages::HttpPages;
use crate::route::PREFIX;

/// A [`Transport`](synckit_core::Transport) to a synckit server over HTTP/1.1, at a URL such as `http://127.0.0.1:8080`
/// or `https://hub.example/base`. Clones share its connections.
///
/// Messages are JSON until the server has answered in protobuf, and protobuf from then on, unless
/// [`ClientConfig::protobuf`] is off.
pub type HttpTransport = Client<HttpExchange>;

/// The most bytes that are read of an answer that is an error.
const ERROR_BYTES: usize = 64 << 10;

/// How requests get to one server. Made by [`HttpTransport`].
#[derive(Debug)]
pub struct HttpExchange {
    config: Arc<ClientConfig>,
    headers: HeaderMap,
    counts: Arc<Counts>,
    way: Way,
    /// Where the server has moved for good: to TLS at the same host.
    moved: OnceLock<Way>,
    calls: CallNumbers,
    /// Whether the server has answered in protobuf, so that it is sent protobuf.
    speaks_protobuf: AtomicBool,
}

/// Where requests go, and the connections there.
#[derive(Debug)]
struct Way {
    address: Address,
    pool: legacy::Client<Connector, Upload>,
    last_words: LastWords,
}

impl Way {
    fn to(address: Address, config: &ClientConfig, counts: Arc<Counts>) -> Result<Self> {
        let connector = config.connector(&address, HTTP, counts)?;
        let last_words = connector.last_words();
        let pool =
            legacy::Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        Ok(Way { address, pool, last_words })
    }
}

impl Exchange for HttpExchange {
    const NAME: &'static str = "http";
    const PROTOCOL: Protocol = HTTP;
    type Incoming = HttpPages;

    fn open(config: Arc<ClientConfig>, counts: Arc<Counts>) -> Result<Self> {
        let (address, mut headers) = (Address::parse(&config.url, HTTP)?, config.header_map()?);
        headers.insert(ACCEPT, accepted_by(config.protobuf));
        let way = Way::to(address, &config, counts.clone())?;
        let speaks_protobuf = AtomicBool::new(false);
        let (moved, calls) = (OnceLock::new(), CallNumbers::new());
        Ok(HttpExchange { config, headers, counts, way, moved, calls, speaks_protobuf })
    }

    async fn call(
        &self,
        method: Method,
        message: &(dyn Encode + Send + Sync),
        coding: Coding,
    ) -> Result<Packed> {
        let answer = self.send(method, message, coding).await?;
        let Some(format) = of_body(answer.headers(), media_type) else {
            return Err(self.foreign(answer).await);
        };
        let (parts, body) = answer.into_parts();
        let (most, idle) = (self.config.limits.body_bytes, self.config.timeouts.idle());
        check_announced(&parts.headers, most)?;
        let (coding, digest) = (coding_of(&parts.headers)?, Digest::in_headers(&parts.headers));
        let bytes = receive(body, most, idle, None).await?;
        Ok(Packed { coding, format, digest, bytes })
    }

    /// Does nothing: HTTP/1.1 sends all headers with each request.
    fn renew(&self) {}

    async fn subscribe(&self, request: &PullRequest) -> Result<HttpPages> {
        let answer = self.send(Method::Subscribe, request, self.config.coding()).await?;
        let Some(format) = of_body(answer.headers(), stream_type) else {
            return Err(self.foreign(answer).await);
        };
        let digest = Digest::in_headers(answer.headers());
        Ok(HttpPages::new(answer.into_body(), format, digest, self.config.limits.decoded_bytes))
    }
}

impl HttpExchange {
    /// Sends a request and waits for the header of an answer that is not an error.
    ///
    /// If a server that spoke protobuf no longer does, another one now answers at this address. It has not read the
    /// request, which is sent to it as JSON.
    async fn send(
        &self,
        method: Method,
        message: &(dyn Encode + Send + Sync),
        coding: Coding,
    ) -> Result<Response<Incoming>> {
        if self.speaks_protobuf.load(Ordering::Relaxed) {
            let answer = self.send_there(method, message, coding, Format::Protobuf).await?;
            if answer.status() != StatusCode::UNSUPPORTED_MEDIA_TYPE {
                return self.checked(answer).await;
            }
            self.speaks_protobuf.store(false, Ordering::Relaxed);
        }
        let answer = self.send_there(method, message, coding, Format::Json).await?;
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

    /// Sends a request to where the server is. A permanent redirect to TLS at the same host is followed, once.
    async fn send_there(
        &self,
        method: Method,
        message: &(dyn Encode + Send + Sync),
        coding: Coding,
        format: Format,
    ) -> Result<Response<Incoming>> {
        let way = self.moved.get().unwrap_or(&self.way);
        let answer = self.send_as(way, method, message, coding, format).await?;
        let Some(address) = moved_to(&self.way.address, method, &answer) else { return Ok(answer) };
        if self.moved.get().is_some() {
            return Ok(answer);
        }
        let url = address.uri("")?;
        tracing::warn!(%url, "the server has moved to TLS; use this URL");
        let fresh = Way::to(address, &self.config, self.counts.clone())?;
        self.send_as(self.moved.get_or_init(|| fresh), method, message, coding, format).await
    }

    async fn send_as(
        &self,
        way: &Way,
        method: Method,
        message: &(dyn Encode + Send + Sync),
        coding: Coding,
        format: Format,
    ) -> Result<Response<Incoming>> {
        let ClientConfig { limits, timeouts, .. } = &*self.config;
        let packed = pack(format, message.encode(format), coding, limits.body_bytes).await?;
        let upload = Upload::new(packed.bytes, timeouts.connect());
        let progress = upload.progress();
        let mut request = Request::new(upload);
        *request.method_mut() = Verb::POST;
        *request.uri_mut() = way.address.uri(&format!("{PREFIX}{}", method.name()))?;
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type(format)));
        if coding != Coding::Identity {
            request.headers_mut().insert(ACCEPT_ENCODING, ACCEPTED);
        }
        request.headers_mut().extend(packed.digest.header().map(|digest| (DIGEST, digest)));
        if let Some(coding) = coding_header(packed.coding) {
            request.headers_mut().insert(CONTENT_ENCODING, coding);
        }
        let number = self.calls.next();
        number.put(request.headers_mut());
        self.config.call_headers.add(request.headers_mut());
        let mut answer = pin!(way.pool.request(request));
        loop {
            let deadline = progress.last() + timeouts.idle();
            if deadline <= Instant::now() {
                return Err(Error::new(ErrorKind::Timeout, "the server did not answer in time"));
            }
            tokio::select! {
                answer = &mut answer => {
                    let answer = answer.map_err(|error| {
                        let connecting = error.is_connect();
                        let broken = "the connection broke off before the answer";
                        way.last_words.unanswered(error, connecting, broken)
                    })?;
                    return number.check(answer.headers()).map(|()| answer);
                }
                () = sleep_until(deadline) => {}
            }
        }
    }

    /// Returns the error that an answer stands for. Only one that a synckit peer wrote is the peer's.
    async fn refused(&self, answer: Response<Incoming>) -> Error {
        let Some(format) = of_body(answer.headers(), media_type) else { return self.foreign(answer).await };
        let (parts, body) = answer.into_parts();
        let bytes = self.brief(body).await;
        let told = async {
            let (coding, bytes) = (coding_of(&parts.headers)?, bytes.clone());
            let digest = Digest::in_headers(&parts.headers);
            Packed { coding, format, digest, bytes }
                .read::<Error>(&self.config.limits, ErrorKind::Corrupt)
                .await
        };
        match (told.await, retry_after(&parts.headers)) {
            (Ok(error), Some(delay)) => error.with_retry_after(delay),
            (Ok(error), None) => error,
            (Err(_), _) => foreign(parts.status, &parts.headers, &bytes),
        }
    }

    /// Returns the error for an answer that is not a synckit peer's.
    async fn foreign(&self, answer: Response<Incoming>) -> Error {
        let (parts, body) = answer.into_parts();
        foreign(parts.status, &parts.headers, &self.brief(body).await)
    }

    /// Receives a body that stands for an error, as far as it comes.
    async fn brief(&self, body: Incoming) -> Bytes {
        let most = ERROR_BYTES.min(self.config.limits.body_bytes);
        receive(body, most, self.config.timeouts.idle(), None).await.unwrap_or_default()
    }
}

/// Returns where a server has moved for good, if that is at the same host, over TLS.
fn moved_to(from: &Address, method: Method, answer: &Response<Incoming>) -> Option<Address> {
    if !matches!(answer.status(), StatusCode::MOVED_PERMANENTLY | StatusCode::PERMANENT_REDIRECT) {
        return None;
    }
    let location = answer.headers().get(LOCATION)?.to_str().ok()?;
    let base = location.strip_suffix(method.name())?;
    let to = Address::parse(base, HTTP).ok()?;
    (to.secure && !from.secure && to.authority.host() == from.authority.host()).then_some(to)
}
