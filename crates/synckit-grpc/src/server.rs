//! A whole server: accepts connections, guards them, and ends with grace.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use synckit_core::{Error, ErrorKind, Result, Transport};
use synckit_net::{Acceptor, Connections, raised};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::body::Body;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tower_service::Service as _;

use crate::config::ServerConfig;
use crate::io::Guarded;
use crate::method::SERVICE;
use crate::service::SyncService;

/// Serves over HTTP/2 without TLS until `shutdown` resolves; then accepts no more, ends streams, lets running calls
/// finish within [`ServerConfig::grace_ms`], and returns.
///
/// Beside the service it answers `grpc.health.v1.Health` and reflection (v1 and v1alpha), so that load balancers and
/// `grpcurl` find their way. Silent connections, callers that are gone and callers that do not take their answers are
/// closed after their [`Timeouts`](crate::Timeouts). An error in accepting, such as too many open files, does not end it.
///
/// Dropping the future closes all connections at once; what a transport has begun is as before or as after.
///
/// # Errors
/// `Internal` when the reflection service cannot be made.
pub async fn serve<T: Transport>(
    listener: TcpListener,
    service: SyncService<T>,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    run(listener, None, service, shutdown).await
}

/// Serves as [`serve`] does, over TLS. A handshake takes one of the connections and at most
/// [`Timeouts::connect_ms`](crate::Timeouts::connect_ms); one that fails ends that connection only.
///
/// # Errors
/// As [`serve`], and `Invalid` when certificates or keys cannot be used, before anything is accepted.
#[cfg(feature = "tls")]
pub async fn serve_tls<T: Transport>(
    listener: TcpListener,
    tls: &synckit_net::ServerTls,
    service: SyncService<T>,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let acceptor = Acceptor::new(crate::GRPC, tls).map_err(|error| error.at("grpc", "serve"))?;
    run(listener, Some(acceptor), service, shutdown).await
}

async fn run<T: Transport>(
    listener: TcpListener,
    acceptor: Option<Acceptor>,
    service: SyncService<T>,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let config = *service.config();
    let (closing, closed) = watch::channel(false);
    let (mut health, health_service) = tonic_health::server::health_reporter();
    health.set_service_status(SERVICE, ServingStatus::Serving).await;
    let routes = reflection(Routes::new(service.with_closing(closed.clone())).add_service(health_service))
        .map_err(|error| error.at("grpc", "serve"))?
        .prepare();
    let mut connections = Connections::new(config.connections);
    let serve = |stream| welcome(stream, acceptor.clone(), routes.clone(), config, closed.clone());
    connections.accept(listener, serve, shutdown).await;
    closing.send_replace(true);
    // Whoever watches the health would else keep its connection open.
    for name in ["", SERVICE] {
        health.clear_service_status(name).await;
    }
    connections.finish(config.grace()).await;
    Ok(())
}

/// Adds what tells callers which calls there are.
fn reflection(routes: Routes) -> Result<Routes> {
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(crate::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let failed = |error: tonic_reflection::server::Error| {
        Error::new(ErrorKind::Internal, "the description of the service cannot be read").with_source(error)
    };
    let (v1, v1alpha) = (builder().build_v1().map_err(failed)?, builder().build_v1alpha().map_err(failed)?);
    Ok(routes.add_service(v1).add_service(v1alpha))
}

/// Serves a connection, after a handshake where there is one.
async fn welcome(
    stream: TcpStream,
    acceptor: Option<Acceptor>,
    routes: Routes,
    config: ServerConfig,
    mut closing: watch::Receiver<bool>,
) {
    let limit = config.timeouts.connect();
    let Some(acceptor) = acceptor else {
        return serve_connection(Guarded::new(stream, limit), routes, config, closing).await;
    };
    let accepted = tokio::select! {
        accepted = timeout(limit, acceptor.accept(Guarded::new(stream, limit))) => accepted,
        () = raised(&mut closing) => return,
    };
    match accepted {
        Ok(Ok(stream)) => serve_connection(stream, routes, config, closing).await,
        Ok(Err(error)) => tracing::debug!(%error, "a handshake failed"),
        Err(_) => tracing::debug!("a handshake took too long"),
    }
}

async fn serve_connection<S>(
    stream: S,
    routes: Routes,
    config: ServerConfig,
    mut closing: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let answer = service_fn(move |request: Request<Incoming>| {
        let mut routes = routes.clone();
        async move { Ok::<_, Infallible>(routes.call(request.map(Body::new)).await.unwrap_or_else(never)) }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(config.timeouts.keep_alive())
        .keep_alive_timeout(config.timeouts.keep_alive_timeout())
        .max_concurrent_streams(config.calls_per_connection.max(1))
        .max_header_list_size(16 << 10)
        .initial_stream_window_size(256 << 10)
        .initial_connection_window_size(1 << 20)
        .max_send_buf_size(64 << 10)
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

fn never<A>(error: Infallible) -> A {
    match error {}
}
