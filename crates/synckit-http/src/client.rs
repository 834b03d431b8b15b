//! The calling side.

use std::fmt;
use std::future::Future;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use synckit_core::{
    Error, ErrorKind, HelloRequest, HelloResponse, MissingRequest, MissingResponse, PageStream, PullRequest,
    PullResponse, PushRequest, PushResponse, Result, Traffic, Transport,
};
use synckit_net::Counts;
use synckit_wire::{Decode, Encode};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::config::HttpConfig;
use crate::error::foreign;
use crate::exchange::{Base, Pool, Server, headers, pool};
use crate::format::{of_body, stream_type};
use crate::pages::received;

/// A [`Transport`] to a synckit server over HTTP/1.1. Clones share its connections.
///
/// Connections are opened when they are needed, kept alive and used again. There are no retries of calls. All calls
/// need a tokio runtime with its timer, and dropping any of them leaves the server as before or as after.
///
/// Messages are JSON until the server has answered in protobuf, and protobuf from then on, unless
/// [`HttpConfig::protobuf`] is off.
///
/// `traffic` counts every byte of every connection, headers included.
#[derive(Clone)]
pub struct HttpTransport(Arc<Inner>);

struct Inner {
    server: Server,
    counts: Arc<Counts>,
    /// Absent once closed.
    pool: Mutex<Option<Pool>>,
    closed: watch::Sender<bool>,
}

impl HttpTransport {
    /// A transport to the server at this URL, such as `http://127.0.0.1:8080` or `https://hub.example`. Nothing is sent
    /// yet.
    ///
    /// # Errors
    /// `Invalid` when this is not the URL of a server; `Unsupported` for `https` without the feature `tls`.
    pub fn new(url: impl Into<String>) -> Result<Self> {
        HttpTransport::with_config(HttpConfig::new(url))
    }

    /// A transport as configured. Nothing is sent yet.
    ///
    /// # Errors
    /// As [`HttpTransport::new`], and `Invalid` for a header that is none, or certificates and keys that cannot be used.
    pub fn with_config(config: HttpConfig) -> Result<Self> {
        let counts = Arc::new(Counts::default());
        let open = || {
            let (base, headers) = (Base::parse(&config.url)?, headers(&config)?);
            let pool = pool(&config, &base, counts.clone())?;
            Ok((base, headers, Mutex::new(Some(pool))))
        };
        let (base, headers, pool) = open().map_err(|error: Error| error.at("http", "open"))?;
        let server = Server { config, base, headers, speaks_protobuf: AtomicBool::new(false) };
        Ok(HttpTransport(Arc::new(Inner { server, counts, pool, closed: watch::Sender::new(false) })))
    }

    /// The URL it was made with.
    pub fn url(&self) -> &str {
        &self.0.server.config.url
    }

    fn pool(&self) -> Result<Pool> {
        let pool = self.0.pool.lock().unwrap_or_else(PoisonError::into_inner);
        pool.clone().ok_or_else(closed)
    }

    /// Runs a call, unless or until the transport is closed.
    async fn run<T>(&self, operation: &'static str, call: impl Future<Output = Result<T>>) -> Result<T> {
        let Inner { server, closed: sender, .. } = &*self.0;
        let mut closing = sender.subscribe();
        let limit = server.config.timeouts.request();
        let result = tokio::select! {
            biased;
            _ = closing.wait_for(|closed| *closed) => Err(closed()),
            result = timeout(limit, call) => result.unwrap_or_else(|_| {
                let message = format!("the call took longer than {} ms", limit.as_millis());
                Err(Error::new(ErrorKind::Timeout, message))
            }),
        };
        result.map_err(|error| error.with("url", self.url()).at("http", operation))
    }

    async fn call<Q, A>(&self, operation: &'static str, request: Q) -> Result<A>
    where
        Q: Encode + Send + Sync + 'static,
        A: Decode + Send + 'static,
    {
        let call = async {
            let answer = self.0.server.send(&self.pool()?, operation, request).await?;
            self.0.server.read(answer).await
        };
        self.run(operation, call).await
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the transport is closed")
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport").field("config", &self.0.server.config).finish_non_exhaustive()
    }
}

impl Transport for HttpTransport {
    async fn hello(&self, request: HelloRequest) -> Result<HelloResponse> {
        self.call("hello", request).await
    }

    async fn pull(&self, request: PullRequest) -> Result<PullResponse> {
        self.call("pull", request).await
    }

    async fn push(&self, request: PushRequest) -> Result<PushResponse> {
        self.call("push", request).await
    }

    async fn missing(&self, request: MissingRequest) -> Result<MissingResponse> {
        self.call("missing", request).await
    }

    async fn subscribe(&self, request: PullRequest) -> Result<PageStream> {
        let call = async {
            let answer = self.0.server.send(&self.pool()?, "subscribe", request).await?;
            let Some(format) = of_body(answer.headers(), stream_type) else {
                return Err(foreign(answer.status(), answer.headers()));
            };
            let config = &self.0.server.config;
            let idle = config.timeouts.body_idle();
            let url = config.url.clone();
            Ok(received(answer.into_body(), format, config.limits, idle, self.0.closed.subscribe(), url))
        };
        self.run("subscribe", call).await
    }

    fn traffic(&self) -> Traffic {
        self.0.counts.traffic()
    }

    async fn close(&self) -> Result<()> {
        self.0.closed.send_replace(true);
        self.0.pool.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(())
    }
}
