//! A wire that a hub of any kind is put behind, taken down and put up again.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use synckit_core::{BoxTransport, Error, ErrorKind, Result, Transport};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::fixture::{HubEndpoint, TransportFixture};

/// A transport at a place of its own: an address, a queue. What it serves can be stopped and served again there.
///
/// The scenarios of the matrix want this. Every one of them is a [`TransportFixture`] too, so that one fixture is
/// enough for the conformance suite and the matrix.
pub trait WireFixture: Send + Sync + 'static {
    /// The calling side.
    type Transport: Transport;

    /// Serves at the place of this fixture, also again after a server there was stopped.
    ///
    /// # Errors
    /// Those of the place: an address that is taken, a broker that does not answer.
    fn serve(&self, hub: BoxTransport) -> impl Future<Output = Result<Server>> + Send;

    /// A client of whatever is served at this place, now or later.
    ///
    /// # Errors
    /// Those of the way there. That nothing is served is no error until the client calls.
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

/// Something that serves in a task of its own. Dropped, it is told to stop, and not waited for.
#[derive(Debug)]
pub struct Server {
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<()>>,
}

impl Server {
    /// Serves until the future that is given to it resolves.
    pub fn spawn<F>(serve: impl FnOnce(Stopped) -> F) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let (stop, stopped) = oneshot::channel();
        Server { stop, serving: tokio::spawn(serve(Stopped(stopped))) }
    }

    /// Tells it to stop, and waits until it has.
    ///
    /// # Errors
    /// What it failed with while it served; `Internal` when it panicked.
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

/// Resolves when a [`Server`] is told to stop.
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
    /// Listens on this port: a free one at first, the same ever after.
    ///
    /// # Errors
    /// `Unavailable` when there is no free port, or another server has this one.
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

    /// The address of this port.
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
