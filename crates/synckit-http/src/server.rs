//! A whole server: accepts connections, guards them, and ends with grace.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use synckit_core::{Result, Transport};
use synckit_net::{Acceptor, Connections, raised};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::io::Guarded;
use crate::plain::turn_away_plain;
use crate::service::SyncService;

/// Serves over HTTP/1.1 until `shutdown` resolves; then accepts no more, ends subscriptions, lets running requests
/// finish within [`ServerConfig::grace_ms`](crate::ServerConfig::grace_ms), and returns.
///
/// Silent connections, slow headers, slow bodies and callers that do not read their answers are closed after their
/// [`Timeouts`](crate::Timeouts). An error in accepting, such as too many open files, does not end it.
///
/// Dropping the future closes all connections at once; what a transport has begun is as before or as after.
///
/// # Errors
/// None today.
pub async fn serve<T: Transport>(
    listener: TcpListener,
    service: SyncService<T>,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    run(listener, None, service, shutdown).await;
    Ok(())
}

/// Serves as [`serve`] does, over TLS. A handshake takes one of the connections and at most
/// [`Timeouts::header_ms`](crate::Timeouts::header_ms); one that fails ends that connection only. Whoever speaks plain
/// HTTP here is told so.
///
/// # Errors
/// `Invalid` when certificates or keys cannot be used, before anything is accepted.
#[cfg(feature = "tls")]
pub async fn serve_tls<T: Transport>(
    listener: TcpListener,
    tls: &synckit_net::ServerTls,
    service: SyncService<T>,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let acceptor = Acceptor::new(crate::HTTP, tls).map_err(|error| error.at("http", "serve"))?;
    run(listener, Some(acceptor), service, shutdown).await;
    Ok(())
}

async fn run<T: Transport>(
    listener: TcpListener,
    acceptor: Option<Acceptor>,
    service: SyncService<T>,
    shutdown: impl Future<Output = ()>,
) {
    let config = *service.config();
    let (closing, closed) = watch::channel(false);
    let service = service.with_closing(closed.clone());
    let mut connections = Connections::new(config.connections);
    let serve = |stream| welcome(stream, acceptor.clone(), service.clone(), closed.clone());
    connections.accept(listener, serve, shutdown).await;
    closing.send_replace(true);
    connections.finish(config.grace()).await;
}

/// Serves a connection, after a handshake where there is one.
async fn welcome<T: Transport>(
    stream: TcpStream,
    acceptor: Option<Acceptor>,
    service: SyncService<T>,
    mut closing: watch::Receiver<bool>,
) {
    let timeouts = service.config().timeouts;
    let stream = Guarded::new(stream, timeouts.body_idle());
    let Some(acceptor) = acceptor else {
        return serve_connection(stream, service, closing).await;
    };
    let handshake = async { acceptor.accept(turn_away_plain(stream).await?).await };
    let accepted = tokio::select! {
        accepted = timeout(timeouts.header(), handshake) => accepted,
        () = raised(&mut closing) => return,
    };
    match accepted {
        Ok(Ok(stream)) => serve_connection(stream, service, closing).await,
        Ok(Err(error)) => tracing::debug!(%error, "a handshake failed"),
        Err(_) => tracing::debug!("a handshake took too long"),
    }
}

async fn serve_connection<S, T>(stream: S, service: SyncService<T>, mut closing: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: Transport,
{
    let timeouts = service.config().timeouts;
    let answer = service_fn(move |request| {
        let answering = service.clone().answer(request);
        async move { Ok::<_, Infallible>(answering.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(timeouts.header())
        .max_headers(64)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(stream), answer);
    let mut connection = pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = raised(&mut closing) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended early");
    }
}
