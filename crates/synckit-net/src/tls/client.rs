//! The calling end.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use synckit_core::{Error, ErrorKind, Result};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::pinned::Pinned;
use super::read::{add_roots, certificates, identity, provider, wrong};
use super::{ClientTls, Protocol};
use crate::{BoxError, Stream, explain};

/// Makes TLS connections to one server. Clones share the sessions that are resumed.
#[derive(Clone)]
pub struct Dialer {
    connector: TlsConnector,
    protocol: Protocol,
    server: ServerName<'static>,
}

impl Dialer {
    /// Creates a dialer for the server of this name or address, written as in a URL.
    ///
    /// # Errors
    /// `Invalid` for settings that cannot be read, or a host that no certificate can name; `Unsupported` without the
    /// feature `tls`.
    pub fn new(protocol: Protocol, config: &ClientTls, host: &str) -> Result<Dialer> {
        let mut roots = RootCertStore::empty();
        if config.public_roots {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        let mut given = Vec::new();
        if !config.roots.trim().is_empty() {
            given = certificates(&config.roots, "the authorities trusted")?;
            add_roots(&mut roots, &config.roots, "the authorities trusted")?;
        }
        if roots.is_empty() {
            return Err(Error::invalid("no authority is trusted; give the certificate of one"));
        }
        let unfit = |error: BoxError| wrong("TLS cannot be set up")(error);
        let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
        let usual = usual.build().map_err(|error| unfit(error.into()))?;
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| unfit(error.into()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Pinned::new(usual, given)));
        let mut settings = match &config.identity {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let (chain, key) = identity(own, "the client's")?;
                let unfit = wrong("the client's certificate and private key do not match");
                builder.with_client_auth_cert(chain, key).map_err(|error| unfit(error.into()))?
            }
        };
        settings.alpn_protocols = vec![protocol.alpn.into()];
        let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let server = ServerName::try_from(name)
            .map_err(|error| wrong("no certificate can name this host")(error.into()).with("host", host))?;
        Ok(Dialer { connector: TlsConnector::from(Arc::new(settings)), protocol, server })
    }

    /// Shakes hands over an open connection, within this time. Dropping the future closes the connection.
    ///
    /// # Errors
    /// `Denied` when one side does not accept the other's certificate, `Unsupported` when the other does not speak TLS
    /// or this protocol, `Timeout` and `Unavailable`.
    pub async fn dial(&self, stream: impl Stream + 'static, limit: Duration) -> Result<Box<dyn Stream>> {
        match timeout(limit, self.connector.connect(self.server.clone(), stream)).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => {
                let message = "the connection broke off in the TLS handshake";
                let broken = || Error::new(ErrorKind::Unavailable, message);
                Err(explain(&error, self.protocol).unwrap_or_else(broken).with_source(error))
            }
            Err(_) => {
                let message =
                    "the server did not finish the TLS handshake in time; does it speak TLS at this port?";
                Err(Error::new(ErrorKind::Timeout, message))
            }
        }
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("server", &self.server).finish_non_exhaustive()
    }
}
