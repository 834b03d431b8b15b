//! TLS by rustls, with ring for the cryptography. No provider is installed for the process: each configuration names
//! its own, so that a program may use another beside it.
//!
//! - `config`: what a deployment sets, in PEM
//! - `protocol`: what a transport speaks within TLS
//! - `client`, `server`: both ends of a handshake
//! - `current`: the settings of a server, whose files may change while it serves
//! - `pinned`: a certificate that is trusted as it is
//! - `read`: PEM into certificates and keys
//! - `explain`: what a failed handshake means, in words that say what to do
//! - `without`: replaces handshakes when the crate is built without the feature `tls`

mod config;
mod protocol;

#[cfg(feature = "tls")]
mod client;
#[cfg(feature = "tls")]
mod current;
#[cfg(feature = "tls")]
mod explain;
#[cfg(feature = "tls")]
mod pinned;
#[cfg(feature = "tls")]
mod read;
#[cfg(feature = "tls")]
mod server;

#[cfg(not(feature = "tls"))]
mod without;

pub use config::{ClientTls, ClientsTls, ServerTls, TlsFiles, TlsIdentity, read_pem};
pub use protocol::Protocol;

#[cfg(not(feature = "tls"))]
pub use without::{Acceptor, Dialer};
#[cfg(feature = "tls")]
pub use {client::Dialer, server::Acceptor};

#[cfg(feature = "tls")]
pub(crate) use explain::explain;
#[cfg(not(feature = "tls"))]
pub(crate) use without::explain;
