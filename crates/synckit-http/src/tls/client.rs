//! The calling end.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use synckit_core::{Error, Result};
use tokio_rustls::TlsConnector;

use super::read::{ALPN, add_roots, identity, provider, wrong};
use super::{ClientTls, explain};
use crate::io::{Counted, Stream};

/// Makes TLS connections to one server.
#[derive(Clone)]
pub(crate) struct Dialer {
    connector: TlsConnector,
    server: ServerName<'static>,
}

impl Dialer {
    /// # Errors
    /// `Invalid` for settings that cannot be read, or a host that no certificate can name.
    pub(crate) fn new(config: &ClientTls, host: &str) -> Result<Dialer> {
        let mut roots = RootCertStore::empty();
        if config.public_roots {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        if !config.roots.trim().is_empty() {
            add_roots(&mut roots, &config.roots, "the authorities trusted")?;
        }
        if roots.is_empty() {
            return Err(Error::invalid("no authority is trusted; give the certificate of one"));
        }
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong("TLS cannot be set up")(error.into()))?
            .with_root_certificates(roots);
        let mut settings = match &config.identity {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let (chain, key) = identity(own, "the client's")?;
                let unfit = wrong("the client's certificate and private key do not fit each other");
                builder.with_client_auth_cert(chain, key).map_err(|error| unfit(error.into()))?
            }
        };
        settings.alpn_protocols = vec![ALPN.to_vec()];
        let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let server = ServerName::try_from(name)
            .map_err(|error| wrong("no certificate can name this host")(error.into()).with("host", host))?;
        Ok(Dialer { connector: TlsConnector::from(Arc::new(settings)), server })
    }

    /// Shakes hands over a connection that stands.
    pub(crate) async fn dial(&self, stream: Counted) -> Result<Box<dyn Stream>> {
        match self.connector.connect(self.server.clone(), stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(explain(&error)
                .unwrap_or_else(|| {
                    let message = "the connection broke off in the TLS handshake";
                    Error::new(synckit_core::ErrorKind::Unavailable, message)
                })
                .with_source(error)),
        }
    }
}
