//! A transport that a hub of any kind can be served over, stopped and served over again.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use synckit_core::{BoxTransport, Error, ErrorKind, Result, Transport};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::fixture::{HubEndpoint, TransportFixture};

/// A transport at a fixed place: an address, a queue. What it serves can be stopped and served again there.
///
/// The scenarios of the matrix need this. Each one is a [`TransportFixture`] too, so one fixture is enough for the
/// conformance suite and the matrix.
pub trait WireFixture: Send + Sync + 'static {
    /// The calling side.
    type Transport: Transport;

    /// Serves at the place of this fixture, also after a server there was stopped.
    ///
    /// # Errors
    /// The errors of the place: an address that is taken, a broker that does not answer.
    fn serve(&self, hub: BoxTransport) -> impl Future<Output = Result<Server>> + Send;

    /// Returns a client of whatever is served at this place, now or later.
    ///
    /// # Errors
    /// The errors of the connection. If nothing is served, that is not an error until the client calls.
    fn connect(&self) -> impl Future<Output = Result<Self::Transport>> + Send;
}

impl<F: WireFixture> TransportFixture for F {
    type Transport = F::Transport;

    async fn connect(&self, endpoint: HubEndpoint) -> Result<F::Transport> {
        // It serves until the runtime of the case ends.
        WireFixture::serve(self, BoxTransport::new(endpoint)).await?.leave();
        WireFixture::connect(self).await
    }

    async fn connect_again(&self) -> Result<Option<F::Transport>> {
        WireFixture::connect(self).await.map(Some)
    }
}

/// A server in a separate task. When it is dropped, it gets the signal to stop, and nobody waits for it.
#[derive(Debug)]
pub struct Server {
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<()>>,
}

impl Server {
    /// Serves until the future that the function gets resolves.
    pub fn spawn<F>(serve: impl FnOnce(Stopped) -> F) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let (stop, stopped) = oneshot::channel();
        Server { stop, serving: tokio::spawn(serve(Stopped(stopped))) }
    }

    /// Stops the server, and waits until it has stopped.
    ///
    /// # Errors
    /// The error with which serving failed; `Internal` if it panicked.
    pub async fn stop(self) -> Result<()> {
        let _ended_already = self.stop.send(());
        self.serving.await.map_err(|error| {
            Error::new(ErrorKind::Internal, "the server of a fixture has panicked").with_source(error)
        })?
    }

    /// Lets it serve until the runtime ends.
    fn leave(self) {
        tokio::spawn(async move {
            let _stop = self.stop;
            self.serving.await
        });
    }
}

/// Resolves when a [`Server`] is stopped.
#[derive(Debug)]
pub struct Stopped(oneshot::Receiver<()>);

impl Future for Stopped {
    type Output = ();

    fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<()> {
        std::pin::Pin::new(&mut self.0).poll(context).map(|_told_or_dropped| ())
    }
}

/// A TCP port on the loopback address that a server can leave and come back to.
#[derive(Debug, Default)]
pub struct Loopback {
    address: Mutex<Option<SocketAddr>>,
}

impl Loopback {
    /// Listens on this port: a free one the first time, and the same one after that.
    ///
    /// # Errors
    /// `Unavailable` if there is no free port, or another server uses this one.
    pub async fn listen(&self) -> Result<TcpListener> {
        let address = self.known().unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into());
        let failed = |error| {
            Error::new(ErrorKind::Unavailable, format!("cannot listen on {address}")).with_source(error)
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
        Ok(listener)
    }

    /// Returns the address of this port.
    ///
    /// # Errors
    /// `Invalid` before anything has listened on it.
    pub fn address(&self) -> Result<SocketAddr> {
        self.known().ok_or_else(|| Error::invalid("nothing has listened on this port yet"))
    }

    fn known(&self) -> Option<SocketAddr> {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_is_left_and_come_back_to() {
        let port = Loopback::default();
        assert!(port.address().is_err());
        drop(port.listen().await.unwrap());
        let address = port.address().unwrap();
        assert!(tokio::net::TcpStream::connect(address).await.is_err());
        let listener = port.listen().await.unwrap();
        assert_eq!(listener.local_addr().unwrap(), address);
        assert!(port.listen().await.is_err(), "two servers cannot have it");
    }

    #[tokio::test]
    async fn a_server_serves_until_it_is_stopped() {
        let server = Server::spawn(|stopped| async {
            stopped.await;
            Err(Error::invalid("what it failed with"))
        });
        assert_eq!(server.stop().await.unwrap_err().kind(), ErrorKind::Invalid);
        let server = Server::spawn(|_| async { panic!("a bug") });
        assert_eq!(server.stop().await.unwrap_err().kind(), ErrorKind::Internal);
    }

    #[tokio::test]
    async fn a_dropped_server_is_told_to_stop() {
        let (told, hears) = oneshot::channel();
        drop(Server::spawn(|stopped| async {
            stopped.await;
            let _nobody_waits = told.send(());
            Ok(())
        }));
        assert!(hears.await.is_ok());
    }
}
