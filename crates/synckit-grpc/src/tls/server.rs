//! The answering end.

use std::sync::Arc;
use std::time::Duration;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use synckit_core::{Error, ErrorKind, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::read::{ALPN, add_roots, identity, provider, wrong};
use super::{ServerTls, explain};
use crate::io::Guarded;

/// How long the end of a failed handshake waits for the caller to have read why.
const LINGER: Duration = Duration::from_secs(1);

/// Accepts TLS connections.
#[derive(Clone)]
pub(crate) struct Acceptor(TlsAcceptor);

impl Acceptor {
    /// # Errors
    /// `Invalid` for settings that cannot be read.
    pub(crate) fn new(config: &ServerTls) -> Result<Acceptor> {
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
        let (chain, key) = identity(&config.identity, "the server's")?;
        let unfit = wrong("the server's certificate and private key do not fit each other");
        let mut settings = builder.with_single_cert(chain, key).map_err(|error| unfit(error.into()))?;
        settings.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Acceptor(TlsAcceptor::from(Arc::new(settings))))
    }

    /// Shakes hands. A caller that fails is told why before its connection ends.
    pub(crate) async fn accept(&self, stream: Guarded) -> Result<TlsStream<Guarded>> {
        match self.0.accept(stream).into_fallible().await {
            Ok(stream) => Ok(stream),
            Err((error, mut stream)) => {
                // The alert is on its way. It arrives only if what the caller still sends is read: what is left unread
                // would reset the connection.
                let _ = stream.shutdown().await;
                let mut scrap = [0; 4 << 10];
                let rest = async { while matches!(stream.read(&mut scrap).await, Ok(read) if read > 0) {} };
                let _ = timeout(LINGER, rest).await;
                let broken = || Error::new(ErrorKind::Unavailable, "the handshake broke off");
                Err(explain(&error).unwrap_or_else(broken).with_source(error))
            }
        }
    }
}
