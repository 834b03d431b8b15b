//! What happens to an accepted connection before it is served.

use std::fmt;
use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use synckit_core::{Error, ErrorKind, Result};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::guards::{Guard, Guards};
use crate::stream::{Observed, Stream};
use crate::tasks::raised;
use crate::tls::Acceptor;

/// The first byte of every TLS handshake.
const HANDSHAKE: u8 = 22;

/// What every accepted connection passes: guards and, with TLS, a handshake.
///
/// ```
/// use std::time::Duration;
///
/// use synckit_net::{Entrance, Guards};
///
/// let guards = Guards { stall: Some(Duration::from_secs(30)), ..Guards::default() };
/// let entrance = Entrance::new(None, guards, Duration::from_secs(10));
/// ```
#[derive(Clone)]
pub struct Entrance {
    acceptor: Option<Acceptor>,
    guards: Guards,
    limit: Duration,
    refusal: Vec<u8>,
}

impl Entrance {
    /// Creates an entrance that guards connections and, with an acceptor, shakes hands within this time.
    pub fn new(acceptor: Option<Acceptor>, guards: Guards, limit: Duration) -> Self {
        Entrance { acceptor, guards, limit, refusal: Vec::new() }
    }

    /// Sets what is sent to a caller that does not begin a handshake although one is required: an answer in the plain
    /// form of the protocol, since such a caller would not read an alert.
    pub fn with_refusal(mut self, refusal: Vec<u8>) -> Self {
        self.refusal = refusal;
        self
    }

    /// Lets a connection in; returns `None` when its handshake fails or takes too long, or when the flag is raised
    /// meanwhile.
    ///
    /// Dropping the future closes the connection.
    pub async fn enter(
        &self,
        stream: TcpStream,
        closing: &mut watch::Receiver<bool>,
    ) -> Option<Box<dyn Stream>> {
        let stream = Observed::new(stream, Guard::new(self.guards));
        let Some(acceptor) = &self.acceptor else {
            return Some(Box::new(stream));
        };
        // In a box, which is gone when the connection is open.
        let handshake = Box::pin(async { acceptor.accept(self.turn_away_plain(stream).await?).await });
        let accepted = tokio::select! {
            accepted = timeout(self.limit, handshake) => accepted,
            () = raised(closing) => return None,
        };
        match accepted {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a handshake failed");
                None
            }
            Err(_) => {
                tracing::debug!("a handshake took too long");
                None
            }
        }
    }

    /// Returns a connection on which the caller begins a handshake; refuses and ends any other.
    async fn turn_away_plain(
        &self,
        mut stream: Observed<TcpStream, Guard>,
    ) -> Result<Observed<TcpStream, Guard>> {
        let broken = |error| Error::new(ErrorKind::Unavailable, "the handshake broke off").with_source(error);
        let mut first = [0; 1];
        if self.refusal.is_empty()
            || stream.stream.peek(&mut first).await.map_err(broken)? == 0
            || first[0] == HANDSHAKE
        {
            return Ok(stream);
        }
        stream.write_all(&self.refusal).await.map_err(broken)?;
        stream.shutdown().await.map_err(broken)?;
        Err(Error::new(ErrorKind::Unsupported, "the caller does not speak TLS"))
    }
}

impl fmt::Debug for Entrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entrance")
            .field("acceptor", &self.acceptor)
            .field("guards", &self.guards)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// Runs a connection to its end. When the flag is raised, `finish` asks it to end after its current work.
///
/// The connection is in a box: each future that it passes through by value would have room for one more.
pub async fn run_connection<C, E>(
    mut connection: Pin<Box<C>>,
    closing: &mut watch::Receiver<bool>,
    finish: impl FnOnce(Pin<&mut C>),
) where
    C: Future<Output = Result<(), E>>,
    E: Display,
{
    let result = tokio::select! {
        result = &mut connection => result,
        () = raised(closing) => {
            finish(connection.as_mut());
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended early");
    }
}
