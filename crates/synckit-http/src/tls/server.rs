//! The answering end.

use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use synckit_core::{Error, ErrorKind, Result};
use synckit_wire::Encode;
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::read::{ALPN, add_roots, identity, provider, wrong};
use super::{ServerTls, explain};
use crate::io::Guarded;

/// The first byte of every TLS handshake.
const HANDSHAKE: u8 = 22;

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

    /// Shakes hands. A caller that fails is told why before its connection ends, also one that speaks plain HTTP.
    pub(crate) async fn accept(&self, mut stream: Guarded) -> Result<TlsStream<Guarded>> {
        let broken = |error| Error::new(ErrorKind::Unavailable, "the handshake broke off").with_source(error);
        let mut first = [0; 1];
        if stream.get_ref().peek(&mut first).await.map_err(broken)? == 1 && first[0] != HANDSHAKE {
            let error = Error::new(ErrorKind::Unsupported, "this port speaks TLS; use https://");
            let answer = plain_answer(&error);
            stream.write_all(&answer).await.map_err(broken)?;
            stream.shutdown().await.map_err(broken)?;
            return Err(error);
        }
        match self.0.accept(stream).into_fallible().await {
            Ok(stream) => Ok(stream),
            Err((error, mut stream)) => {
                // The alert is on its way; it arrives only if what the caller still sends is read.
                let _ = stream.shutdown().await;
                let told = explain(&error);
                Err(told
                    .unwrap_or_else(|| Error::new(ErrorKind::Unavailable, "the handshake broke off"))
                    .with_source(error))
            }
        }
    }
}

fn plain_answer(error: &Error) -> Vec<u8> {
    let body = error.to_json();
    let head = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}
