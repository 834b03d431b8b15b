//! The answering end.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use synckit_core::{Error, ErrorKind, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::read::{add_roots, provider, wrong};
use super::shown::Shown;
use super::{Protocol, ServerTls};
use crate::{Stream, explain};

/// How long a failed handshake is kept open, so that the caller can read the reason.
const LINGER: Duration = Duration::from_secs(1);

/// Accepts TLS connections.
#[derive(Clone)]
pub struct Acceptor {
    acceptor: TlsAcceptor,
    shown: Arc<Shown>,
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
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong("TLS cannot be set up")(error.into()))?;
        let builder = match &config.clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                add_roots(&mut roots, &clients.roots, "the authorities of clients")?;
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
                let verifier = if clients.required { verifier } else { verifier.allow_unauthenticated() };
                let unfit = wrong("the authorities of clients cannot be used");
                builder.with_client_cert_verifier(verifier.build().map_err(|error| unfit(error.into()))?)
            }
        };
        let shown = Arc::new(Shown::new(config)?);
        let mut settings = builder.with_cert_resolver(shown.clone());
        settings.alpn_protocols = vec![protocol.alpn.into()];
        Ok(Acceptor { acceptor: TlsAcceptor::from(Arc::new(settings)), shown, protocol })
    }

    /// Shakes hands. A peer that fails is told why before its connection ends. There is no time limit, so the caller of
    /// this function sets one; dropping the future closes the connection.
    ///
    /// # Errors
    /// `Denied` when one side does not accept the other's certificate, `Unsupported` when the other does not speak TLS
    /// or this protocol, otherwise `Unavailable`.
    pub async fn accept(&self, stream: impl Stream + 'static) -> Result<Box<dyn Stream>> {
        self.shown.look().await;
        match self.acceptor.accept(stream).into_fallible().await {
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
