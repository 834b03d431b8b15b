//! One call and its answer, at the client.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderValue, Method as Verb, Request};
use hyper::body::Incoming as Received;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use synckit_core::{Error, ErrorKind, PullRequest, Result};
use synckit_net::{Coding, Connector, Counts, LastWords, Protocol};
use synckit_remote::{
    Address, CallNumbers, Client, ClientConfig, DIGEST, Digest, Exchange, Incoming, Method, Packed, Sign,
    Timeouts, pack_sealed, subscription_ended,
};
use synckit_wire::{Encode, Format};
use tonic::body::Body;

use crate::GRPC;
use crate::compression::{ACCEPT_ENCODING, ACCEPTED, ENCODING, coding_of};
use crate::deadline::timeout_header;
use crate::error::{BROKEN, foreign};
use crate::frame::{Frames, framed};
use crate::method::{MEDIA_TYPE, Rpc};
use crate::outgoing::whole;
use crate::status;

/// A [`Transport`](synckit_core::Transport) to a synckit server over gRPC, at a URL such as `grpc://hub.example:8081`,
/// or `grpcs://hub.example:8081` for TLS. Clones share its connection.
///
/// The connection is opened when it is needed, pinged while calls run, and used for all calls at once. Besides the
/// calls of every transport it has [`PushStream`](crate::PushStream).
pub type GrpcTransport = Client<GrpcExchange>;

/// How calls get to one server. Made by [`GrpcTransport`].
#[derive(Debug)]
pub struct GrpcExchange {
    pub(crate) config: Arc<ClientConfig>,
    address: Address,
    headers: HeaderMap,
    calls: CallNumbers,
    connector: Connector,
    /// The connections to the server: one, as long as it does not break.
    pool: Mutex<legacy::Client<Connector, Body>>,
    last_words: LastWords,
}

impl Exchange for GrpcExchange {
    const NAME: &'static str = "grpc";
    const PROTOCOL: Protocol = GRPC;
    type Incoming = GrpcPages;

    fn open(config: Arc<ClientConfig>, counts: Arc<Counts>) -> Result<Self> {
        let address = Address::parse(&config.url, GRPC)?;
        let bad = |message| Err(Error::invalid(message).with("url", &config.url));
        if !address.base.is_empty() {
            return bad("the URL of a gRPC server has no path; write it as grpc://host:port");
        }
        if address.authority.port().is_none() {
            return bad("the URL names no port; write it as grpc://host:port");
        }
        if !config.protobuf {
            return bad("gRPC has no form of messages other than protobuf");
        }
        let mut headers = config.header_map()?;
        headers.insert(CONTENT_TYPE, MEDIA_TYPE);
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.extend(Digest::Inside.header().map(|inside| (DIGEST, inside)));
        let connector = config.connector(&address, GRPC, counts)?;
        let last_words = connector.last_words();
        let pool = Mutex::new(pool(&config.timeouts, connector.clone()));
        let calls = CallNumbers::new();
        Ok(GrpcExchange { config, address, headers, calls, connector, pool, last_words })
    }

    async fn call(
        &self,
        method: Method,
        message: &(dyn Encode + Send + Sync),
        coding: Coding,
    ) -> Result<Packed> {
        let message = whole(framed(&self.packed(message, coding).await?), None);
        let deadline = Some(self.config.timeouts.request());
        answer(self.open_call(Rpc::Of(method), deadline, message, coding).await?).await
    }

    fn renew(&self) {
        let fresh = pool(&self.config.timeouts, self.connector.clone());
        *self.pool.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
    }

    async fn subscribe(&self, request: &PullRequest) -> Result<GrpcPages> {
        let coding = self.config.coding();
        let message = whole(framed(&self.packed(request, coding).await?), None);
        Ok(GrpcPages(self.open_call(Rpc::Of(Method::Subscribe), None, message, coding).await?))
    }
}

/// Returns a pool without connections.
fn pool(timeouts: &Timeouts, connector: Connector) -> legacy::Client<Connector, Body> {
    legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .http2_only(true)
        .http2_keep_alive_interval(timeouts.keep_alive())
        .http2_keep_alive_timeout(timeouts.keep_alive_timeout())
        .http2_initial_stream_window_size(1 << 20)
        .http2_initial_connection_window_size(2 << 20)
        .http2_max_header_list_size(16 << 10)
        .http2_max_send_buf_size(256 << 10)
        .build(connector)
}

impl GrpcExchange {
    /// Packs a message to the server.
    pub(crate) async fn packed(
        &self,
        message: &(dyn Encode + Send + Sync),
        coding: Coding,
    ) -> Result<Packed> {
        let most = self.config.limits.body_bytes;
        pack_sealed(Format::Protobuf, message.to_protobuf(), coding, most).await
    }

    /// Sends a body whose messages are packed in this way, and waits for the header of an answer that is not an error.
    pub(crate) async fn open_call(
        &self,
        rpc: Rpc,
        deadline: Option<Duration>,
        body: Body,
        coding: Coding,
    ) -> Result<Frames<Received>> {
        let mut request = Request::new(body);
        *request.method_mut() = Verb::POST;
        *request.uri_mut() = self.address.uri(rpc.path())?;
        *request.headers_mut() = self.headers.clone();
        if coding != Coding::Identity {
            request.headers_mut().insert(ENCODING, HeaderValue::from_static(coding.name()));
            request.headers_mut().insert(ACCEPT_ENCODING, ACCEPTED);
        }
        if let Some(deadline) = deadline {
            let (name, value) = timeout_header(deadline);
            request.headers_mut().insert(name, value);
        }
        let number = self.calls.next();
        number.put(request.headers_mut());
        self.config.call_headers.add(request.headers_mut());
        let pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let answer = pool.request(request).await.map_err(|error| {
            let connecting = error.is_connect();
            self.last_words.unanswered(error, connecting, BROKEN)
        })?;
        let (parts, body) = answer.into_parts();
        let content = parts.headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
        if !parts.status.is_success() || !content.starts_with(MEDIA_TYPE.as_bytes()) {
            return Err(foreign(parts.status, &parts.headers, body, self.config.timeouts.idle()).await);
        }
        number.check(&parts.headers)?;
        if let Some(Err(error)) = status::read(&parts.headers) {
            return Err(error);
        }
        let (coding, most) = (coding_of(&parts.headers)?, self.config.limits.body_bytes);
        let digest = Digest::in_headers(&parts.headers);
        let mut frames = Frames::new(body, coding, digest, most, ErrorKind::Corrupt);
        frames.trailers = Some(parts.headers);
        Ok(frames)
    }
}

/// Reads the one message of an answer, and the status after it.
pub(crate) async fn answer(mut frames: Frames<Received>) -> Result<Packed> {
    let answer = frames.next().await?;
    if answer.is_some() && frames.next().await?.is_some() {
        return Err(Error::corrupt("the answer has more than one message"));
    }
    frames.ended()?;
    answer.ok_or_else(|| Error::corrupt("the answer has no message"))
}

/// The pages received from a stream. Reads no further ahead than the window of the stream.
pub struct GrpcPages(Frames<Received>);

impl Incoming for GrpcPages {
    async fn next(&mut self) -> Result<Sign> {
        match self.0.next().await? {
            Some(page) => Ok(Sign::Page(page)),
            None => Err(self.0.ended().err().unwrap_or_else(subscription_ended)),
        }
    }
}

impl fmt::Debug for GrpcPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcPages").finish_non_exhaustive()
    }
}
