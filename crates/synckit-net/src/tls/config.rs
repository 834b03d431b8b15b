//! What a deployment sets about TLS. Everything is PEM: text, or for a server also files that are read again when they
//! change.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use synckit_core::{Error, ErrorKind, Result};

/// What one side identifies itself with: a chain of certificates and the private key of the first. `Debug` does not
/// show the key.
///
/// ```
/// use synckit_net::TlsIdentity;
///
/// fn identity() -> std::io::Result<TlsIdentity> {
///     Ok(TlsIdentity::new(std::fs::read_to_string("chain.pem")?, std::fs::read_to_string("key.pem")?))
/// }
/// ```
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsIdentity {
    /// The certificate of this side, followed by those between it and an authority, as PEM.
    pub chain: String,
    /// The private key of that certificate as PEM: PKCS #8, PKCS #1 or SEC 1, not encrypted.
    pub key: String,
}

impl TlsIdentity {
    /// Creates an identity from this chain and this key, both as PEM. They are checked when a transport or a server is
    /// made.
    pub fn new(chain: impl Into<String>, key: impl Into<String>) -> Self {
        TlsIdentity { chain: chain.into(), key: key.into() }
    }
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsIdentity").field("chain", &self.chain).finish_non_exhaustive()
    }
}

/// The PEM files of a [`TlsIdentity`], which something else renews.
///
/// A server looks at them when a connection begins, at most once a second. If they have changed, this connection and
/// later ones get what is in them now; connections that are open go on. A pair that cannot be read, or whose halves do
/// not belong together, is not used: the pair before stays, the log says so, and the files are tried again.
///
/// ```
/// use synckit_net::{ServerTls, TlsFiles};
///
/// fn renewed_by_acme() -> ServerTls {
///     ServerTls::of_files(TlsFiles::new("/etc/hub/fullchain.pem", "/etc/hub/privkey.pem"))
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The file of [`TlsIdentity::chain`].
    pub chain: PathBuf,
    /// The file of [`TlsIdentity::key`].
    pub key: PathBuf,
}

impl TlsFiles {
    /// Names the file of a chain and the file of its key.
    pub fn new(chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        TlsFiles { chain: chain.into(), key: key.into() }
    }

    /// Reads both files as they are now. This blocks the thread.
    ///
    /// # Errors
    /// `NotFound`, `Denied` and `Invalid`, with the name of the file.
    pub fn read(&self) -> Result<TlsIdentity> {
        Ok(TlsIdentity { chain: read_pem(&self.chain)?, key: read_pem(&self.key)? })
    }
}

/// Reads a PEM file. This blocks the thread.
///
/// # Errors
/// `NotFound`, `Denied` and `Invalid`, with the name of the file.
pub fn read_pem(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            io::ErrorKind::PermissionDenied => ErrorKind::Denied,
            _ => ErrorKind::Invalid,
        };
        Error::new(kind, "the PEM file cannot be read").with("file", path.display()).with_source(error)
    })
}

/// Whom the calling side trusts, and what it shows to a server that asks. Used with a URL that asks for TLS, such as
/// one of `https` or `grpcs`.
///
/// ```
/// use synckit_net::ClientTls;
///
/// /// Trusts the authority of a company and nobody else.
/// fn private(authority: &str) -> ClientTls {
///     ClientTls::new().with_public_roots(false).with_roots(authority)
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientTls {
    /// Whether the authorities that browsers trust are trusted: Mozilla's list, as it was when the program was built,
    /// the same on every machine. True.
    pub public_roots: bool,
    /// Certificates of further authorities that are trusted, as PEM: a company's own, or the server's if its
    /// certificate is self-signed.
    pub roots: String,
    /// The certificate and key to show to a server that asks for one.
    pub identity: Option<TlsIdentity>,
}

impl Default for ClientTls {
    fn default() -> Self {
        ClientTls { public_roots: true, roots: String::new(), identity: None }
    }
}

impl ClientTls {
    /// Creates settings that trust the public authorities and have no client certificate.
    pub fn new() -> Self {
        ClientTls::default()
    }

    /// Trusts these authorities (PEM) as well.
    pub fn with_roots(mut self, pem: &str) -> Self {
        self.roots.push_str(pem);
        self.roots.push('\n');
        self
    }

    /// Sets whether the public authorities are trusted. Without them, [`ClientTls::with_roots`] must name at least one.
    pub fn with_public_roots(mut self, trusted: bool) -> Self {
        self.public_roots = trusted;
        self
    }

    /// Shows this certificate to a server that asks for one.
    pub fn with_identity(mut self, identity: TlsIdentity) -> Self {
        self.identity = Some(identity);
        self
    }
}

/// What the answering side shows, and whether it asks callers for certificates.
///
/// ```
/// use synckit_net::{ServerTls, TlsIdentity};
///
/// /// Lets in callers whose certificates this authority signed.
/// fn guarded(identity: TlsIdentity, authority: &str) -> ServerTls {
///     ServerTls::new(identity).with_required_clients(authority)
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerTls {
    /// The certificate and key of the server. Not used with `files`.
    #[serde(default)]
    pub identity: TlsIdentity,
    /// The files of the certificate and the key, which are read again when they change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<TlsFiles>,
    /// Which certificates callers must show. Unless this is set, they are not asked for any.
    #[serde(default)]
    pub clients: Option<ClientsTls>,
}

/// Which certificates callers show, and whether they must.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientsTls {
    /// The certificates of the authorities that sign those of callers, as PEM. Not used with `file`.
    #[serde(default)]
    pub roots: String,
    /// The PEM file of these certificates, which is read again when it changes, as [`TlsFiles`] are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Whether a caller without a certificate is turned away. One with a wrong certificate always is.
    pub required: bool,
}

impl ServerTls {
    /// Creates settings that show this certificate, and ask callers for none.
    pub fn new(identity: TlsIdentity) -> Self {
        ServerTls { identity, files: None, clients: None }
    }

    /// Creates settings that show the certificate that is in these files when a connection begins, and ask callers for
    /// none.
    pub fn of_files(files: TlsFiles) -> Self {
        ServerTls { identity: TlsIdentity::default(), files: Some(files), clients: None }
    }

    /// Turns away callers without a certificate that one of these authorities (PEM) signed.
    pub fn with_required_clients(mut self, roots: impl Into<String>) -> Self {
        self.clients = Some(ClientsTls { roots: roots.into(), file: None, required: true });
        self
    }

    /// Turns away callers without a certificate that one of the authorities in this PEM file signed. When the file
    /// changes, it counts for the connections that begin from then on.
    pub fn with_required_clients_of_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.clients = Some(ClientsTls { roots: String::new(), file: Some(file.into()), required: true });
        self
    }

    /// Asks callers for a certificate that one of these authorities (PEM) signed, and also accepts callers that have
    /// none.
    pub fn with_optional_clients(mut self, roots: impl Into<String>) -> Self {
        self.clients = Some(ClientsTls { roots: roots.into(), file: None, required: false });
        self
    }
}
