//! The answering end.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use synckit_core::{Error, ErrorKind, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::current::Current;
use super::{Protocol, ServerTls};
use crate::{Stream, explain};

/// How long a failed handshake is kept open, so that the caller can read the reason.
const LINGER: Duration = Duration::from_secs(1);

/// Accepts TLS connections.
#[derive(Clone)]
pub struct Acceptor {
    current: Arc<Current>,
    protocol: Protocol,
}

impl Acceptor {
    /// Creates an acceptor that uses these settings for every connection. Files that they name are read here, which
    /// blocks the thread, and again when they change (see [`TlsFiles`](super::TlsFiles)).
    ///
    /// # Errors
    /// `Invalid` for settings that cannot be read, `NotFound` and `Denied` for files; `Unsupported` without the feature
    /// `tls`.
    pub fn new(protocol: Protocol, config: &ServerTls) -> Result<Acceptor> {
        Ok(Acceptor { current: Arc::new(Current::new(protocol, config)?), protocol })
    }

    /// Shakes hands. A peer that fails is told why before its connection ends. There is no time limit, so the caller of
    /// this function sets one; dropping the future closes the connection.
    ///
    /// # Errors
    /// `Denied` when one side does not accept the other's certificate, `Unsupported` when the other does not speak TLS
    /// or this protocol, otherwise `Unavailable`.
    pub async fn accept(&self, stream: impl Stream + 'static) -> Result<Box<dyn Stream>> {
        self.current.look().await;
        match TlsAcceptor::from(self.current.get()).accept(stream).into_fallible().await {
            Ok(stream) => Ok(Box::new(stream)),
            Err((error, mut stream)) => {
                // The alert is on its way. It arrives only if the rest of what the caller sends is read: unread bytes
                // would reset the connection.
                let told = async {
                    let _ = stream.shutdown().await;
                    let mut scrap = [0; 4 << 10];
                    while matches!(stream.read(&mut scrap).await, Ok(read) if read > 0) {}
                };
                let _ = timeout(LINGER, told).await;
                let broken = || Error::new(ErrorKind::Unavailable, "the handshake broke off");
                Err(explain(&error, self.protocol).unwrap_or_else(broken).with_source(error))
            }
        }
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}
