//! The calling side of any transport.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use synckit_core::{
    Error, ErrorKind, HelloRequest, HelloResponse, MissingRequest, MissingResponse, PageStream, PullRequest,
    PullResponse, PushRequest, PushResponse, Result, Traffic, Transport,
};
use synckit_net::{Coding, Counts, Protocol};
use synckit_wire::{Decode, Encode};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::config::ClientConfig;
use crate::incoming::{Incoming, Reader};
use crate::message::Packed;
use crate::method::Method;
use crate::packing::Packing;

/// The part that a transport adds to a [`Client`]: it gets a message to the server, and the answer back.
///
/// The client limits the time of a call, drops the exchange when it is closed, and adds the transport and the call to
/// errors.
///
/// ```
/// use synckit_core::{Result, Transport};
/// use synckit_remote::{Client, Exchange};
///
/// /// Makes a transport of any exchange.
/// fn transport<E: Exchange>(url: &str) -> Result<impl Transport> {
///     Client::<E>::new(url)
/// }
/// ```
pub trait Exchange: Sized + Send + Sync + 'static {
    /// The name of the transport in errors.
    const NAME: &'static str;

    /// The protocol spoken within TLS, and how URLs begin.
    const PROTOCOL: Protocol;

    /// How the pages of a subscription arrive.
    type Incoming: Incoming;

    /// Prepares to call the server. Sends nothing yet. Counts bytes as they are on the wire.
    ///
    /// # Errors
    /// `Invalid` for settings that cannot be used; `Unsupported` for TLS without the feature `tls`.
    fn open(config: Arc<ClientConfig>, counts: Arc<Counts>) -> Result<Self>;

    /// Sends a message, packed in this way, and waits for the answer. If it is not packed, no packed answer is accepted
    /// either. Dropping the future ends the call.
    ///
    /// # Errors
    /// The peer's, and those of the connection. Everything that is not an answer of a synckit peer is a
    /// [`foreign`](crate::foreign) error, never one by which a peer judges a message.
    fn call(
        &self,
        method: Method,
        message: &(dyn Encode + Send + Sync),
        coding: Coding,
    ) -> impl Future<Output = Result<Packed>> + Send;

    /// Opens another connection for the next call, if this one keeps state that damage may have changed for good, as the
    /// compression of headers in HTTP/2 does.
    fn renew(&self);

    /// Sends a request to subscribe and waits until the answer begins.
    ///
    /// # Errors
    /// As [`Exchange::call`].
    fn subscribe(&self, request: &PullRequest) -> impl Future<Output = Result<Self::Incoming>> + Send;
}

/// A [`Transport`] to a synckit server, over the protocol of its exchange. Clones share its connections.
///
/// Connections are opened when they are needed, and reused. Calls are not retried, with one exception: where something
/// between damages or refuses a packed message, it is sent once more, unpacked. All calls need a tokio runtime with its
/// timer. After a call is dropped, the server has carried it out in full or not at all.
///
/// `traffic` counts every byte of every connection, TLS and headers included.
///
/// ```
/// use synckit_core::{MissingRequest, Result, Transport};
/// use synckit_remote::{Client, Exchange};
///
/// async fn ask<E: Exchange>(url: &str, request: MissingRequest) -> Result<usize> {
///     let hub = Client::<E>::new(url)?;
///     Ok(hub.missing(request).await?.ids.len())
/// }
/// ```
pub struct Client<E>(Arc<Inner<E>>);

struct Inner<E> {
    config: Arc<ClientConfig>,
    counts: Arc<Counts>,
    /// Absent once closed.
    exchange: Mutex<Option<Arc<E>>>,
    packing: Packing,
    closed: watch::Sender<bool>,
}

impl<E: Exchange> Client<E> {
    /// Creates a transport to the server at this URL. Sends nothing yet.
    ///
    /// # Errors
    /// `Invalid` when this is not the URL of a server; `Unsupported` for TLS without the feature `tls`.
    pub fn new(url: impl Into<String>) -> Result<Self> {
        Client::with_config(ClientConfig::new(url))
    }

    /// Creates a transport with this configuration. Sends nothing yet.
    ///
    /// # Errors
    /// As [`Client::new`], and `Invalid` for headers, certificates and keys that cannot be used.
    pub fn with_config(config: ClientConfig) -> Result<Self> {
        let (config, counts) = (Arc::new(config), Arc::new(Counts::default()));
        let exchange = E::open(config.clone(), counts.clone()).map_err(|error| error.at(E::NAME, "open"))?;
        let exchange = Mutex::new(Some(Arc::new(exchange)));
        let (packing, closed) = (Packing::default(), watch::Sender::new(false));
        Ok(Client(Arc::new(Inner { config, counts, exchange, packing, closed })))
    }

    /// Returns the URL it was made with.
    pub fn url(&self) -> &str {
        &self.0.config.url
    }

    /// Returns its configuration.
    pub fn config(&self) -> &ClientConfig {
        &self.0.config
    }

    /// Runs a call of the exchange until the transport is closed; `operation` is its name in errors. Meant for calls
    /// that [`Transport`] does not have; they set their own time limit.
    ///
    /// # Errors
    /// `Closed`, and those of the call.
    pub async fn run<A>(
        &self,
        operation: &'static str,
        call: impl AsyncFnOnce(Arc<E>) -> Result<A>,
    ) -> Result<A> {
        let mut closing = self.0.closed.subscribe();
        let call = async {
            let exchange = self.0.exchange.lock().unwrap_or_else(PoisonError::into_inner).clone();
            call(exchange.ok_or_else(closed)?).await
        };
        let result = tokio::select! {
            biased;
            _ = closing.wait_for(|closed| *closed) => Err(closed()),
            result = call => result,
        };
        result.map_err(|error| error.with("url", self.url()).at(E::NAME, operation))
    }

    /// Runs a call of a transport, for no longer than a request may take.
    async fn run_within<A>(&self, method: Method, call: impl AsyncFnOnce(Arc<E>) -> Result<A>) -> Result<A> {
        let limit = self.0.config.timeouts.request();
        self.run(method.name(), async |exchange| {
            timeout(limit, call(exchange)).await.unwrap_or_else(|_| {
                let message = format!("the call took longer than {} ms", limit.as_millis());
                Err(Error::new(ErrorKind::Timeout, message))
            })
        })
        .await
    }

    async fn call<Q, A>(&self, method: Method, request: Q) -> Result<A>
    where
        Q: Encode + Send + Sync,
        A: Decode + Send + 'static,
    {
        let packing = &self.0.packing;
        let coding = packing.coding(method, self.0.config.coding());
        match self.call_with(method, &request, coding).await {
            Err(error) if packing.is_in_doubt(coding, &error) => {
                tracing::debug!(%error, "a packed message did not get through; it is sent unpacked");
                let answer = self.call_with(method, &request, Coding::Identity).await;
                match answer {
                    Err(again) if again.is_in_transit() => Err(error),
                    answer => {
                        packing.stop();
                        answer
                    }
                }
            }
            answer => answer,
        }
    }

    async fn call_with<Q, A>(&self, method: Method, request: &Q, coding: Coding) -> Result<A>
    where
        Q: Encode + Send + Sync,
        A: Decode + Send + 'static,
    {
        self.run_within(method, async |exchange| {
            let answer = async {
                let answer = exchange.call(method, request, coding).await?;
                answer.read(&self.0.config.limits, ErrorKind::Corrupt).await
            };
            let answer = answer.await;
            if answer.as_ref().is_err_and(may_be_damage) {
                exchange.renew();
            }
            answer
        })
        .await
    }
}

/// Returns whether damage to the headers of a connection may be behind an error.
fn may_be_damage(error: &Error) -> bool {
    let headers = [ErrorKind::Unsupported, ErrorKind::Denied, ErrorKind::NotFound, ErrorKind::Corrupt];
    error.is_in_transit() || error.retry_after() == Some(Duration::ZERO) || headers.contains(&error.kind())
}

/// Returns the error of a transport that was closed.
pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the transport is closed")
}

impl<E: Exchange> Transport for Client<E> {
    async fn hello(&self, request: HelloRequest) -> Result<HelloResponse> {
        self.call(Method::Hello, request).await
    }

    async fn pull(&self, request: PullRequest) -> Result<PullResponse> {
        // The server is told how much this side takes, so that it reads no more than that.
        let most = self.0.config.limits.limits.batch_events;
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
        let Inner { config, closed, .. } = &*self.0;
        let incoming =
            self.run_within(Method::Subscribe, async |exchange| exchange.subscribe(&request).await).await?;
        let reader = Reader {
            name: E::NAME,
            url: config.url.clone(),
            limits: config.limits,
            idle: config.timeouts.idle(),
            closed: closed.subscribe(),
        };
        Ok(reader.pages(incoming))
    }

    fn traffic(&self) -> Traffic {
        self.0.counts.traffic()
    }

    async fn close(&self) -> Result<()> {
        self.0.closed.send_replace(true);
        self.0.exchange.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(())
    }
}

impl<E> Clone for Client<E> {
    fn clone(&self) -> Self {
        Client(self.0.clone())
    }
}

impl<E> fmt::Debug for Client<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("config", &self.0.config).finish_non_exhaustive()
    }
}
