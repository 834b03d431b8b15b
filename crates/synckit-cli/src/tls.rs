//! Certificates on the command line: whom to trust, and what to show. Files in PEM, as every tool writes them.

use std::path::{Path, PathBuf};

use synckit::{Error, ErrorKind, Result};

/// Whom a command that calls a hub trusts, and what it shows to one that asks.
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

/// What a hub shows, and whether it asks callers who they are.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct ServerCertificates {
    /// The certificate (PEM, with its chain) shown where --listen is https:// or grpcs://
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The private key of --tls-cert (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Turn away callers without a certificate that an authority in this PEM file has signed
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    client_ca: Option<PathBuf>,
}

/// What the files hold. Keys are not shown by `Debug`, as the settings made of them do not show them.
pub(crate) struct ClientPem {
    pub(crate) roots: Option<String>,
    pub(crate) identity: Option<(String, String)>,
}

/// As [`ClientPem`], of a hub.
pub(crate) struct ServerPem {
    pub(crate) identity: (String, String),
    pub(crate) clients: Option<String>,
}

impl ClientCertificates {
    pub(crate) fn read(&self) -> Result<ClientPem> {
        let identity = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => Some((read(cert)?, read(key)?)),
            _ => None,
        };
        Ok(ClientPem { roots: self.ca.as_deref().map(read).transpose()?, identity })
    }
}

impl ServerCertificates {
    /// `None` where no certificate is named.
    pub(crate) fn read(&self) -> Result<Option<ServerPem>> {
        let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) else { return Ok(None) };
        let clients = self.client_ca.as_deref().map(read).transpose()?;
        Ok(Some(ServerPem { identity: (read(cert)?, read(key)?), clients }))
    }
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            std::io::ErrorKind::PermissionDenied => ErrorKind::Denied,
            _ => ErrorKind::Invalid,
        };
        Error::new(kind, "the PEM file cannot be read").with("file", path.display()).with_source(error)
    })
}
