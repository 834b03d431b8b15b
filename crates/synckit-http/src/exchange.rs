//! One request and its answer, at the client.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method as Verb, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use synckit_core::{Error, ErrorKind, PullRequest, Result};
use synckit_net::{Connector, Counts, LastWords, Protocol};
use synckit_remote::{Address, Client, ClientConfig, Exchange, Method, Packed, pack};
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
    address: Address,
    headers: HeaderMap,
    pool: legacy::Client<Connector, Upload>,
    last_words: LastWords,
    /// Whether the server has answered in protobuf, so that it is sent protobuf.
    speaks_protobuf: AtomicBool,
}

impl Exchange for HttpExchange {
    const NAME: &'static str = "http";
    const PROTOCOL: Protocol = HTTP;
    type Incoming = HttpPages;

    fn open(config: Arc<ClientConfig>, counts: Arc<Counts>) -> Result<Self> {
        let (address, mut headers) = (Address::parse(&config.url, HTTP)?, config.header_map()?);
        headers.insert(ACCEPT, accepted_by(config.protobuf));
        if config.compression {
            headers.insert(ACCEPT_ENCODING, ACCEPTED);
        }
        let tls = address.dialer(HTTP, &config.tls)?;
        let connector = Connector::new(HTTP, tls, config.timeouts.connect(), counts);
        let last_words = connector.last_words();
        let pool =
            legacy::Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        let speaks_protobuf = AtomicBool::new(false);
        Ok(HttpExchange { config, address, headers, pool, last_words, speaks_protobuf })
    }

    async fn call(&self, method: Method, message: &(dyn Encode + Send + Sync)) -> Result<Packed> {
        let (parts, body) = self.send(method, message).await?.into_parts();
        let Some(format) = of_body(&parts.headers, media_type) else {
            return Err(foreign(parts.status, &parts.headers));
        };
        let (most, idle) = (self.config.limits.body_bytes, self.config.timeouts.idle());
        check_announced(&parts.headers, most)?;
        let coding = coding_of(&parts.headers)?;
        let bytes = receive(body, most, idle, ErrorKind::Unavailable, None).await?;
        Ok(Packed { coding, format, bytes })
    }

    async fn subscribe(&self, request: &PullRequest) -> Result<HttpPages> {
        let answer = self.send(Method::Subscribe, request).await?;
        let Some(format) = of_body(answer.headers(), stream_type) else {
            return Err(foreign(answer.status(), answer.headers()));
        };
        Ok(HttpPages::new(answer.into_body(), format, self.config.limits.decoded_bytes))
    }
}

impl HttpExchange {
    /// Sends a request and waits for the header of an answer that is not an error.
    ///
    /// If a server that spoke protobuf no longer does, another one now answers at this address. It has not read the
    /// request, which is sent to it as JSON.
    async fn send(&self, method: Method, message: &(dyn Encode + Send + Sync)) -> Result<Response<Incoming>> {
        if self.speaks_protobuf.load(Ordering::Relaxed) {
            let answer = self.send_as(method, message, Format::Protobuf).await?;
            if answer.status() != StatusCode::UNSUPPORTED_MEDIA_TYPE {
                return self.checked(answer).await;
            }
            self.speaks_protobuf.store(false, Ordering::Relaxed);
        }
        let answer = self.send_as(method, message, Format::Json).await?;
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

    async fn send_as(
        &self,
        method: Method,
        message: &(dyn Encode + Send + Sync),
        format: Format,
    ) -> Result<Response<Incoming>> {
        let ClientConfig { limits, timeouts, .. } = &*self.config;
        let packed = pack(format, message.encode(format), self.config.coding(), limits.body_bytes).await?;
        let upload = Upload::new(packed.bytes, timeouts.connect());
        let progress = upload.progress();
        let mut request = Request::new(upload);
        *request.method_mut() = Verb::POST;
        *request.uri_mut() = self.address.uri(&format!("{PREFIX}{}", method.name()))?;
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type(format)));
        if let Some(coding) = coding_header(packed.coding) {
            request.headers_mut().insert(CONTENT_ENCODING, coding);
        }
        let mut answer = pin!(self.pool.request(request));
        loop {
            let deadline = progress.last() + timeouts.idle();
            if deadline <= Instant::now() {
                return Err(Error::new(ErrorKind::Timeout, "the server did not answer in time"));
            }
            tokio::select! {
                answer = &mut answer => return answer.map_err(|error| {
                    let connecting = error.is_connect();
                    let broken = "the connection broke off before the answer";
                    self.last_words.unanswered(error, connecting, broken)
                }),
                () = sleep_until(deadline) => {}
            }
        }
    }

    /// Returns the error that an answer stands for.
    async fn refused(&self, answer: Response<Incoming>) -> Error {
        let (parts, body) = answer.into_parts();
        let ClientConfig { limits, timeouts, .. } = &*self.config;
        let told = async |format| {
            let most = ERROR_BYTES.min(limits.body_bytes);
            let bytes = receive(body, most, timeouts.idle(), ErrorKind::Unavailable, None).await?;
            let coding = coding_of(&parts.headers)?;
            Packed { coding, format, bytes }.read::<Error>(limits, ErrorKind::Corrupt).await
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
