//! A whole server: accepts connections, guards them, and shuts down gracefully.

use std::future::Future;

use synckit_core::Result;
use synckit_net::{Acceptor, Connections, Entrance, Guards, Protocol, ServerTls, Stream};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::config::ServerConfig;

/// A service that can have its own listener: the answering side of a transport over TCP.
///
/// ```
/// use synckit_core::Result;
/// use synckit_remote::{Serve, serve};
/// use tokio::net::TcpListener;
///
/// /// Runs a service until the program ends.
/// async fn run(service: impl Serve, listener: TcpListener) -> Result<()> {
///     serve(listener, service, std::future::pending()).await
/// }
/// ```
pub trait Serve: Sized + Send {
    /// The name of the transport in errors.
    const NAME: &'static str;

    /// The protocol spoken within TLS.
    const PROTOCOL: Protocol;

    /// Returns its limits and timeouts.
    fn config(&self) -> &ServerConfig;

    /// Returns how connections are guarded.
    fn guards(config: &ServerConfig) -> Guards;

    /// Returns what is sent to a caller that does not speak TLS although the server does; nothing if the caller would
    /// not read it.
    fn refusal() -> Vec<u8> {
        Vec::new()
    }

    /// Prepares to answer calls. Lasting streams end when the flag is raised.
    ///
    /// # Errors
    /// Those of what the service needs.
    fn start(self, closing: watch::Receiver<bool>) -> impl Future<Output = Result<impl Answer>> + Send;
}

/// The part of a server that answers on connections.
///
/// ```
/// use synckit_net::Stream;
/// use synckit_remote::Answer;
/// use tokio::io::AsyncWriteExt;
/// use tokio::sync::watch;
///
/// /// Says hello on each connection, and ends it.
/// #[derive(Clone)]
/// struct Hello;
///
/// impl Answer for Hello {
///     async fn connection(self, mut stream: Box<dyn Stream>, _: watch::Receiver<bool>) {
///         let _ = stream.write_all(b"hello").await;
///     }
/// }
/// ```
pub trait Answer: Clone + Send + 'static {
    /// Serves this connection until the caller ends it, or until the flag is raised and running calls are done.
    fn connection(
        self,
        stream: Box<dyn Stream>,
        closing: watch::Receiver<bool>,
    ) -> impl Future<Output = ()> + Send + 'static;
}

/// Serves without TLS until `shutdown` resolves; then accepts no more connections, ends subscriptions, lets running
/// calls finish within [`ServerConfig::grace_ms`], and returns.
///
/// Silent connections, slow callers and callers that do not take their answers are closed after their
/// [`Timeouts`](crate::Timeouts). An error in accepting, such as too many open files, does not stop the server.
///
/// Dropping the future closes all connections at once; a call that a transport has begun is carried out in full or not
/// at all.
///
/// # Errors
/// Those of [`Serve::start`].
pub async fn serve<S: Serve>(
    listener: TcpListener,
    service: S,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    run(listener, None, service, shutdown).await
}

/// Serves as [`serve`] does, over TLS. A handshake counts as one of the connections, and takes at most
/// [`Timeouts::connect_ms`](crate::Timeouts::connect_ms); one that fails ends that connection only.
///
/// # Errors
/// As [`serve`]; `Invalid` when certificates or keys cannot be used, before any connection is accepted; `Unsupported`
/// without the feature `tls` of the transport.
pub async fn serve_tls<S: Serve>(
    listener: TcpListener,
    tls: &ServerTls,
    service: S,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let acceptor = Acceptor::new(S::PROTOCOL, tls).map_err(|error| error.at(S::NAME, "serve"))?;
    run(listener, Some(acceptor), service, shutdown).await
}

async fn run<S: Serve>(
    listener: TcpListener,
    acceptor: Option<Acceptor>,
    service: S,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let config = *service.config();
    let (closing, closed) = watch::channel(false);
    let entrance = Entrance::new(acceptor, S::guards(&config), config.timeouts.connect());
    let entrance = entrance.with_refusal(S::refusal());
    let answer = service.start(closed.clone()).await.map_err(|error| error.at(S::NAME, "serve"))?;
    let mut connections = Connections::new(config.connections);
    let serve = move |stream| {
        let (entrance, answer, mut closing) = (entrance.clone(), answer.clone(), closed.clone());
        async move {
            if let Some(stream) = entrance.enter(stream, &mut closing).await {
                answer.connection(stream, closing).await;
            }
        }
    };
    connections.accept(listener, serve, shutdown).await;
    closing.send_replace(true);
    connections.finish(config.grace()).await;
    Ok(())
}
