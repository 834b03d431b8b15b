//! One call and its answer, at the client.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderValue, Method as Verb, Request};
use hyper::body::Incoming as Received;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use synckit_core::{Error, ErrorKind, PullRequest, Result};
use synckit_net::{Connector, Counts, LastWords, Protocol};
use synckit_remote::{
    Address, Client, ClientConfig, Exchange, Incoming, Method, Packed, Sign, pack, subscription_ended,
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
    /// The connections to the server: one, as long as it does not break.
    pool: legacy::Client<Connector, Body>,
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
        if config.compression {
            headers.insert(ENCODING, HeaderValue::from_static("zstd"));
            headers.insert(ACCEPT_ENCODING, ACCEPTED);
        }
        let tls = address.dialer(GRPC, &config.tls)?;
        let connector = Connector::new(GRPC, tls, config.timeouts.connect(), counts);
        let last_words = connector.last_words();
        let pool = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .http2_only(true)
            .http2_keep_alive_interval(config.timeouts.keep_alive())
            .http2_keep_alive_timeout(config.timeouts.keep_alive_timeout())
            .http2_initial_stream_window_size(1 << 20)
            .http2_initial_connection_window_size(2 << 20)
            .http2_max_header_list_size(16 << 10)
            .http2_max_send_buf_size(256 << 10)
            .build(connector);
        Ok(GrpcExchange { config, address, headers, pool, last_words })
    }

    async fn call(&self, method: Method, message: &(dyn Encode + Send + Sync)) -> Result<Packed> {
        let message = whole(framed(&self.packed(message).await?), None);
        let deadline = Some(self.config.timeouts.request());
        answer(self.open_call(Rpc::Of(method), deadline, message).await?).await
    }

    async fn subscribe(&self, request: &PullRequest) -> Result<GrpcPages> {
        let message = whole(framed(&self.packed(request).await?), None);
        Ok(GrpcPages(self.open_call(Rpc::Of(Method::Subscribe), None, message).await?))
    }
}

impl GrpcExchange {
    /// Packs a message to the server.
    pub(crate) async fn packed(&self, message: &(dyn Encode + Send + Sync)) -> Result<Packed> {
        let most = self.config.limits.body_bytes;
        pack(Format::Protobuf, message.to_protobuf(), self.config.coding(), most).await
    }

    /// Sends a body and waits for the header of an answer that is not an error.
    pub(crate) async fn open_call(
        &self,
        rpc: Rpc,
        deadline: Option<Duration>,
        body: Body,
    ) -> Result<Frames<Received>> {
        let mut request = Request::new(body);
        *request.method_mut() = Verb::POST;
        *request.uri_mut() = self.address.uri(rpc.path())?;
        *request.headers_mut() = self.headers.clone();
        if let Some(deadline) = deadline {
            let (name, value) = timeout_header(deadline);
            request.headers_mut().insert(name, value);
        }
        let answer = self.pool.request(request).await.map_err(|error| {
            let connecting = error.is_connect();
            self.last_words.unanswered(error, connecting, BROKEN)
        })?;
        let (parts, body) = answer.into_parts();
        let content = parts.headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
        if !parts.status.is_success() || !content.starts_with(MEDIA_TYPE.as_bytes()) {
            return Err(foreign(parts.status, &parts.headers));
        }
        if let Some(Err(error)) = status::read(&parts.headers) {
            return Err(error);
        }
        let (coding, most) = (coding_of(&parts.headers)?, self.config.limits.body_bytes);
        let mut frames = Frames::new(body, coding, most, ErrorKind::Corrupt);
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
