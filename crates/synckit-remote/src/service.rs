//! The answering side of any transport: a message in, a message out.

use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use synckit_core::{Error, ErrorKind, PullRequest, Result, Transport};
use synckit_wire::{Decode, Encode, Format, ReceivedPush};
use tokio::sync::watch;
use tracing::Span;

use crate::admission::Admission;
use crate::config::ServerConfig;
use crate::health::Health;
use crate::message::Packed;
use crate::method::Method;
use crate::pump::Pump;
use crate::trace::SpanOf;

/// A transport and its limits. Clones share both.
///
/// ```
/// use synckit_core::Transport;
/// use synckit_remote::{ServerConfig, Service};
///
/// /// Puts a transport on the wire, for at most ten calls at once.
/// fn small<T: Transport>(transport: T) -> Service<T> {
///     Service::new(transport).with_config(ServerConfig { requests: 10, ..ServerConfig::default() })
/// }
/// ```
pub struct Service<T> {
    transport: Arc<T>,
    admission: Admission,
    health: Arc<Health>,
    span: Option<SpanOf>,
}

impl<T: Transport> Service<T> {
    /// Creates a service that puts a transport on the wire.
    pub fn new(transport: T) -> Self {
        Service {
            transport: Arc::new(transport),
            admission: Admission::new(ServerConfig::default()),
            health: Arc::default(),
            span: None,
        }
    }

    /// Sets limits and timeouts, for this clone and those made from it.
    pub fn with_config(mut self, config: ServerConfig) -> Self {
        self.admission = Admission::new(config).with_closing(self.admission.closing());
        self
    }

    /// Ends subscriptions when this flag is raised.
    pub fn with_closing(mut self, closing: watch::Receiver<bool>) -> Self {
        self.admission = self.admission.with_closing(closing);
        self
    }

    /// Serves each call within the span that this function makes from its headers. What the client has put there with
    /// [`ClientConfig::with_call_headers`](crate::ClientConfig::with_call_headers) makes that span part of its trace.
    pub fn with_span(mut self, span: impl Fn(&HeaderMap) -> Span + Send + Sync + 'static) -> Self {
        self.span = Some(Arc::new(span));
        self
    }

    /// Returns the span in which a call with these headers is served.
    pub fn span(&self, headers: &HeaderMap) -> Span {
        self.span.as_ref().map_or_else(Span::none, |span| span(headers))
    }

    /// Returns its limits and timeouts.
    pub fn config(&self) -> &ServerConfig {
        self.admission.config()
    }

    /// Returns the admission of calls.
    pub fn admission(&self) -> &Admission {
        &self.admission
    }

    /// Returns the transport that answers.
    pub fn transport(&self) -> &T {
        &self.transport
    }

    /// Reads a request within the limits.
    ///
    /// # Errors
    /// `TooLarge` and `Invalid` for a message that cannot be read.
    pub async fn read<M: Decode + Send + 'static>(&self, message: Packed) -> Result<M> {
        message.read(&self.config().limits, ErrorKind::Invalid).await
    }

    /// Carries out a call: reads its message, calls the transport, and writes the answer in this form.
    ///
    /// # Errors
    /// As [`Service::read`], and those of the transport; `Unsupported` for [`Method::Subscribe`], which has more than
    /// one message as its answer.
    pub async fn dispatch(&self, method: Method, message: Packed, format: Format) -> Result<Vec<u8>> {
        let transport = self.transport();
        Ok(match method {
            Method::Hello => {
                let mut answer = transport.hello(self.read(message).await?).await?;
                answer.limits = self.admission.offered(answer.limits);
                answer.encode(format)
            }
            Method::Pull => transport.pull(self.read(message).await?).await?.encode(format),
            Method::Push => {
                let ReceivedPush { request, refused } = self.read(message).await?;
                let mut answer = transport.push(request).await?;
                answer.refused.extend(refused);
                answer.encode(format)
            }
            Method::Missing => transport.missing(self.read(message).await?).await?.encode(format),
            Method::Subscribe => {
                let message = "a subscription is answered with a stream of messages";
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
        })
    }

    /// Checks that calls can be answered: asks the transport, which looks into its store, within 5 s. Needs no room
    /// among the calls that run; of those who ask at the same time, one asks the transport.
    ///
    /// Can be dropped at any time.
    ///
    /// # Errors
    /// Those of the transport, except `Denied`, by which a transport that knows its callers turns this one away.
    pub async fn check_health(&self) -> Result<()> {
        self.health.check(self.transport()).await
    }

    /// Starts a subscription that writes its pages in this form.
    ///
    /// # Errors
    /// `Busy` when there are too many, and those of the transport.
    pub async fn subscribe(&self, request: PullRequest, format: Format) -> Result<Pump> {
        let room = self.admission.lasting()?;
        let cursor = request.cursor.clone();
        let pages = self.transport.subscribe(request).await?;
        Ok(Pump::new(pages, cursor, format, &self.admission, room))
    }
}

impl<T> Clone for Service<T> {
    fn clone(&self) -> Self {
        Service {
            transport: self.transport.clone(),
            admission: self.admission.clone(),
            health: self.health.clone(),
            span: self.span.clone(),
        }
    }
}

impl<T> fmt::Debug for Service<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("config", self.admission.config()).finish_non_exhaustive()
    }
}
