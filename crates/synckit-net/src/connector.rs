//! The connections of a client's pool: counted, over TLS where the URL says so, and with the reason remembered for
//! which the last one broke.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use synckit_core::{Error, ErrorKind, Result};
use tokio::time::timeout;

use crate::explain::{BoxError, cannot_connect, explain};
use crate::proxy::Proxy;
use crate::stream::{Counts, Observe, Observed, Stream};
use crate::tls::{Dialer, Protocol};

/// The last reason that the connections of one client were given when they broke.
#[derive(Clone, Debug)]
pub struct LastWords {
    protocol: Protocol,
    said: Arc<Mutex<Option<(ErrorKind, String)>>>,
}

impl LastWords {
    fn set(&self, said: Option<(ErrorKind, String)>) {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = said;
    }

    fn error(&self) -> Option<Error> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.as_ref().map(|(kind, message)| Error::new(*kind, message.clone()))
    }

    /// Returns the error behind a request that got no answer: what TLS or the connection reports or, if `connecting`
    /// failed, that there is no connection. `broken` is the message if none of that is known.
    ///
    /// An HTTP/2 pool passes on only a text about why a connection broke, so the reason that the connection was given
    /// is remembered.
    pub fn unanswered(
        &self,
        error: impl StdError + Send + Sync + 'static,
        connecting: bool,
        broken: &'static str,
    ) -> Error {
        if let Some(known) = explain(&error, self.protocol) {
            return known.with_source(error);
        }
        if connecting {
            return cannot_connect(error);
        }
        let said = self.error();
        said.unwrap_or_else(|| Error::new(ErrorKind::Unavailable, broken)).in_transit().with_source(error)
    }
}

impl Observe for LastWords {
    fn read(&mut self, _: &mut Context<'_>, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Err(error)) = &polled
            && let Some(told) = explain(error, self.protocol)
        {
            self.set(Some((told.kind(), told.message().to_owned())));
        }
        polled
    }
}

/// Opens the connections of a hyper pool.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use synckit_net::{Connector, Counts, Protocol};
///
/// const QUIET: Protocol = Protocol { alpn: "quiet/1", plain: "quiet://", secure: "quiets://" };
///
/// let connector = Connector::new(QUIET, None, Duration::from_secs(10), Arc::new(Counts::default()));
/// let last_words = connector.last_words();
/// ```
#[derive(Clone)]
pub struct Connector {
    tcp: HttpConnector,
    tls: Option<Dialer>,
    /// The time limit of the handshake.
    limit: Duration,
    proxy: Option<Proxy>,
    counts: Arc<Counts>,
    last_words: LastWords,
}

impl Connector {
    /// Creates a connector that connects within this time; with a dialer, the handshake may take as long again.
    pub fn new(protocol: Protocol, tls: Option<Dialer>, limit: Duration, counts: Arc<Counts>) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(limit));
        let last_words = LastWords { protocol, said: Arc::default() };
        Connector { tcp, tls, limit, proxy: None, counts, last_words }
    }

    /// Connects through this proxy.
    pub fn with_proxy(mut self, proxy: Option<Proxy>) -> Self {
        self.proxy = proxy;
        self
    }

    /// Returns the handle that holds the last reason its connections were given, also for those opened later.
    pub fn last_words(&self) -> LastWords {
        self.last_words.clone()
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("tls", &self.tls).finish_non_exhaustive()
    }
}

impl Connection for Observed<Box<dyn Stream>, LastWords> {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Observed<Box<dyn Stream>, LastWords>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        ready!(self.tcp.poll_ready(cx))?;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Connector { mut tcp, tls, limit, proxy, counts, last_words } = self.clone();
        Box::pin(async move {
            let stream = match proxy {
                None => tcp.call(uri).await?,
                Some(proxy) => timeout(limit, proxy.tunnel(tcp).call(uri)).await.map_err(|_| {
                    Error::new(ErrorKind::Timeout, "the proxy did not open a connection in time")
                })??,
            };
            let stream = Observed::new(stream.into_inner(), counts);
            let stream: Box<dyn Stream> = match tls {
                None => Box::new(stream),
                Some(tls) => tls.dial(stream, limit).await?,
            };
            last_words.set(None);
            Ok(TokioIo::new(Observed::new(stream, last_words)))
        })
    }
}
