//! A whole server: accepts connections, guards them, and ends with grace.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use synckit_core::{Result, Transport};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::io::Guarded;
use crate::pages::raised;
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
    let config = *service.config();
    let (closing, closed) = watch::channel(false);
    let service = service.with_closing(closed.clone());
    let slots = Arc::new(Semaphore::new(config.connections.clamp(1, Semaphore::MAX_PERMITS)));
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            (stream, slot) = accept(&listener, &slots) => {
                let service = service.clone();
                let closing = closed.clone();
                connections.spawn(async move {
                    serve_connection(stream, service, closing).await;
                    drop(slot);
                });
            }
        }
    }
    drop(listener);
    closing.send_replace(true);
    let finished = async { while connections.join_next().await.is_some() {} };
    if timeout(config.grace(), finished).await.is_err() {
        tracing::warn!(connections = connections.len(), "closed connections that did not finish in time");
        connections.shutdown().await;
    }
    Ok(())
}

/// The next connection, once there is a slot for it.
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    let slot = slots.clone().acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, slot),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                // Without a pause, running out of files would keep a processor busy.
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve_connection<T: Transport>(
    stream: TcpStream,
    service: SyncService<T>,
    mut closing: watch::Receiver<bool>,
) {
    let timeouts = service.config().timeouts;
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let answer = service_fn(move |request| {
        let answering = service.clone().answer(request);
        async move { Ok::<_, Infallible>(answering.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(timeouts.header())
        .max_headers(64)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(Guarded::new(stream, timeouts.body_idle())), answer);
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
