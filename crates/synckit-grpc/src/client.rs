//! The calling side.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{Stream, StreamExt};
use synckit_core::{
    Error, ErrorKind, HelloRequest, HelloResponse, MissingRequest, MissingResponse, PageStream, PullRequest,
    PullResponse, PushRequest, PushResponse, Result, Traffic, Transport,
};
use synckit_net::Counts;
use synckit_wire::{Decode, Encode};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::config::GrpcConfig;
use crate::exchange::{Base, Pool, Server, headers, pool};
use crate::frame::write;
use crate::incoming::received;
use crate::io::LastWords;
use crate::method::Method;
use crate::outgoing::outgoing;

/// A [`Transport`] to a synckit server over gRPC. Clones share its connection.
///
/// The connection is opened when it is needed, pinged while calls run, and used for all calls at once. There are no
/// retries of calls. All calls need a tokio runtime with its timer, and dropping any of them leaves the server as
/// before or as after.
///
/// `traffic` counts every byte of every connection, TLS and headers included.
#[derive(Clone)]
pub struct GrpcTransport(Arc<Inner>);

struct Inner {
    server: Server,
    counts: Arc<Counts>,
    /// Absent once closed.
    pool: Mutex<Option<Pool>>,
    closed: watch::Sender<bool>,
}

impl GrpcTransport {
    /// A transport to the server at this URL: `grpc://host:port`, or `grpcs://host:port` for TLS. Nothing is sent yet.
    ///
    /// # Errors
    /// `Invalid` when this is not the URL of a server; `Unsupported` for `grpcs` without the feature `tls`.
    pub fn new(url: impl Into<String>) -> Result<Self> {
        GrpcTransport::with_config(GrpcConfig::new(url))
    }

    /// A transport as configured. Nothing is sent yet.
    ///
    /// # Errors
    /// As [`GrpcTransport::new`], and `Invalid` for a header, a certificate or a key that is none.
    pub fn with_config(config: GrpcConfig) -> Result<Self> {
        let (counts, last_words) = (Arc::new(Counts::default()), Arc::new(LastWords::default()));
        let open = || {
            let (base, headers) = (Base::parse(&config.url)?, headers(&config)?);
            let pool = pool(&config, &base, counts.clone(), last_words.clone())?;
            Ok((base, headers, pool))
        };
        let (base, headers, pool) = open().map_err(|error: Error| error.at("grpc", "open"))?;
        let (server, pool) = (Server { config, base, headers, last_words }, Mutex::new(Some(pool)));
        Ok(GrpcTransport(Arc::new(Inner { server, counts, pool, closed: watch::Sender::new(false) })))
    }

    /// The URL it was made with.
    pub fn url(&self) -> &str {
        &self.0.server.config.url
    }

    /// Hands over batches one after another in one call, for backlogs: no round trip is waited for between them. Each
    /// is stored as by [`Transport::push`], and one answer comes for them all: counts are sums, and the index of a
    /// refused event is its place in the whole stream.
    ///
    /// The next batch is taken from the stream when the one before is on its way. The whole may take any time; the
    /// server waits [`Timeouts::idle_ms`](crate::Timeouts::idle_ms) for each batch. Dropping the call ends it; the
    /// batches that the server has stored by then stay stored, and can be sent again.
    ///
    /// # Errors
    /// Those of the first batch that fails as a whole; the batches before it are stored.
    pub async fn push_stream(&self, batches: impl Stream<Item = PushRequest> + Send) -> Result<PushResponse> {
        let Server { config, .. } = &self.0.server;
        let (out, body) = outgoing(config.timeouts.request());
        let sending = async move {
            let mut batches = pin!(batches);
            while let Some(batch) = batches.next().await {
                let message = write(batch, self.0.server.coding(), &config.limits).await?;
                if out.message(message).await.is_err() {
                    // The server has answered, or is gone; which one is for the other side of this call to say.
                    return Ok(());
                }
            }
            out.end(None).await;
            Ok(())
        };
        let call = async {
            let pool = self.pool()?;
            let answering = async {
                let frames = self.0.server.open(&pool, Method::PushStream, None, body).await?;
                self.0.server.read(frames).await
            };
            let mut answering = pin!(answering);
            tokio::select! {
                answer = &mut answering => answer,
                sent = sending => match sent {
                    Ok(()) => answering.await,
                    Err(error) => Err(error),
                },
            }
        };
        self.run(Method::PushStream, call).await
    }

    fn pool(&self) -> Result<Pool> {
        let pool = self.0.pool.lock().unwrap_or_else(PoisonError::into_inner);
        pool.clone().ok_or_else(closed)
    }

    /// Runs a call, unless or until the transport is closed.
    async fn run<T>(&self, method: Method, call: impl Future<Output = Result<T>>) -> Result<T> {
        let mut closing = self.0.closed.subscribe();
        let result = tokio::select! {
            biased;
            _ = closing.wait_for(|closed| *closed) => Err(closed()),
            result = call => result,
        };
        result.map_err(|error| error.with("url", self.url()).at("grpc", method.operation()))
    }

    /// Runs a call for no longer than a request may take.
    async fn run_within<T>(&self, method: Method, call: impl Future<Output = Result<T>>) -> Result<T> {
        let limit = self.0.server.config.timeouts.request();
        let call = async {
            timeout(limit, call).await.unwrap_or_else(|_| {
                let message = format!("the call took longer than {} ms", limit.as_millis());
                Err(Error::new(ErrorKind::Timeout, message))
            })
        };
        self.run(method, call).await
    }

    async fn call<Q, A>(&self, method: Method, request: Q) -> Result<A>
    where
        Q: Encode + Send + 'static,
        A: Decode + Send + 'static,
    {
        let Server { config, .. } = &self.0.server;
        let call = async {
            let deadline = Some(config.timeouts.request());
            let frames = self.0.server.send(&self.pool()?, method, deadline, request).await?;
            self.0.server.read(frames).await
        };
        self.run_within(method, call).await
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the transport is closed")
}

impl fmt::Debug for GrpcTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcTransport").field("config", &self.0.server.config).finish_non_exhaustive()
    }
}

impl Transport for GrpcTransport {
    async fn hello(&self, request: HelloRequest) -> Result<HelloResponse> {
        self.call(Method::Hello, request).await
    }

    async fn pull(&self, request: PullRequest) -> Result<PullResponse> {
        // A pull with a limit is answered with one page, so that the server reads no page for nobody.
        let most = self.0.server.config.limits.limits.batch_events;
        let limit = Some(request.limit.unwrap_or(most));
        self.call(Method::Pull, PullRequest { limit, ..request }).await
    }

    async fn push(&self, request: PushRequest) -> Result<PushResponse> {
        self.call(Method::Push, request).await
    }

    async fn missing(&self, request: MissingRequest) -> Result<MissingResponse> {
        self.call(Method::Missing, request).await
    }

    async fn subscribe(&self, request: PullRequest) -> Result<PageStream> {
        let Inner { server, closed, .. } = &*self.0;
        let call = async {
            let frames = server.send(&self.pool()?, Method::Subscribe, None, request).await?;
            let (idle, url) = (server.config.timeouts.idle(), server.config.url.clone());
            Ok(received(frames, idle, closed.subscribe(), url))
        };
        self.run_within(Method::Subscribe, call).await
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
