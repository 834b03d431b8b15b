//! The connections of a server: accepted up to a maximum number, and closed gracefully.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// The pause after a connection could not be accepted: without it, running out of files would keep a processor busy.
const PAUSE: Duration = Duration::from_millis(100);

/// The connections of one server, each in a task of its own. Dropping them closes them at once.
///
/// ```
/// use synckit_net::Connections;
/// use tokio::net::TcpListener;
///
/// /// Accepts up to 100 connections at once, and closes each.
/// async fn run(listener: TcpListener) {
///     let mut connections = Connections::new(100);
///     connections.accept(listener, |stream| async { drop(stream) }, std::future::pending()).await;
/// }
/// ```
#[derive(Debug)]
pub struct Connections {
    slots: Arc<Semaphore>,
    tasks: JoinSet<()>,
}

impl Connections {
    /// Creates room for this number of connections at once, but at least for one.
    pub fn new(most: usize) -> Self {
        let slots = Arc::new(Semaphore::new(most.clamp(1, Semaphore::MAX_PERMITS)));
        Connections { slots, tasks: JoinSet::new() }
    }

    /// Accepts connections until `shutdown` resolves, and runs the future that `serve` returns for each; then closes
    /// the listener. Above the limit, callers wait to be accepted. An error in accepting, such as too many open files,
    /// does not stop it.
    ///
    /// Dropping the future closes the listener; the connections stay open.
    pub async fn accept<F>(
        &mut self,
        listener: TcpListener,
        mut serve: impl FnMut(TcpStream) -> F,
        shutdown: impl Future<Output = ()>,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                Some(_) = self.tasks.join_next() => {}
                (stream, slot) = next(&listener, &self.slots) => {
                    // In a box: passed on by value, it would take its room twice.
                    let serving = Box::pin(serve(stream));
                    self.tasks.spawn(async move {
                        serving.await;
                        drop(slot);
                    });
                }
            }
        }
    }

    /// Waits until all connections have ended, which is up to the futures that serve them; closes those that are still
    /// open after `grace`. Dropping the future closes all at once.
    pub async fn finish(mut self, grace: Duration) {
        let finished = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(grace, finished).await.is_err() {
            tracing::warn!(connections = self.tasks.len(), "closed connections that did not finish in time");
            self.tasks.shutdown().await;
        }
    }
}

/// Accepts the next connection, once there is a slot for it.
async fn next(listener: &TcpListener, slots: &Arc<Semaphore>) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    let slot = slots.clone().acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "cannot set TCP_NODELAY");
                }
                return (stream, slot);
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(PAUSE).await;
            }
        }
    }
}
