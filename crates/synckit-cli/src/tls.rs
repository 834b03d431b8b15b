//! Certificates on the command line: which to trust, and which to show. The files are PEM, as all tools write them.

use std::path::PathBuf;

use synckit::Result;
use synckit_net::{ClientTls, ServerTls, TlsFiles, read_pem};

/// The authorities that a command trusts when it calls a hub, and the certificate it shows to a hub that asks.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct ClientCertificates {
    /// Trust the authorities in this PEM file too, for https:// and grpcs://
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,

    /// Show this certificate (PEM, with its chain) to a hub that asks for one
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,

    /// The private key of --cert (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

/// The certificate that a hub shows, and whether it asks callers for theirs.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct ServerCertificates {
    /// The certificate (PEM, with its chain) shown where --listen is https:// or grpcs://; read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The private key of --tls-cert (PEM); read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Turn away callers without a certificate that an authority in this PEM file has signed; read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    client_ca: Option<PathBuf>,
}

impl ClientCertificates {
    /// Returns the first option that is given, if there is one.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let options = [(&self.ca, "--ca"), (&self.cert, "--cert"), (&self.key, "--key")];
        options.into_iter().find_map(|(given, option)| given.as_ref().map(|_| option))
    }

    pub(crate) fn read(&self) -> Result<ClientTls> {
        let mut tls = ClientTls::new();
        if let Some(roots) = &self.ca {
            tls = tls.with_roots(&read_pem(roots)?);
        }
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            tls = tls.with_identity(TlsFiles::new(cert, key).read()?);
        }
        Ok(tls)
    }
}

impl ServerCertificates {
    /// Returns whether a certificate is named.
    pub(crate) fn given(&self) -> bool {
        self.tls_cert.is_some()
    }

    /// Checks that the certificates can be read, and returns settings that read them again when they change; `None` if
    /// none is named.
    pub(crate) fn read(&self) -> Result<Option<ServerTls>> {
        let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) else { return Ok(None) };
        let files = TlsFiles::new(cert, key);
        files.read()?;
        let tls = ServerTls::of_files(files);
        Ok(Some(match &self.client_ca {
            Some(roots) => {
                read_pem(roots)?;
                tls.with_required_clients_of_file(roots)
            }
            None => tls,
        }))
    }
}
