//! TLS by rustls, with ring for the cryptography. No provider is installed for the process: each configuration names
//! its own, so that a program may use another beside it.
//!
//! - `config`: what a deployment sets, in PEM
//! - `client`, `server`: both ends of a handshake
//! - `read`: PEM into certificates and keys
//! - `explain`: what a failed handshake means, in words that say what to do
//! - `absent`: what stands in for all of it when the crate is built without the feature `tls`

mod config;

#[cfg(feature = "tls")]
mod client;
#[cfg(feature = "tls")]
mod explain;
#[cfg(feature = "tls")]
mod read;
#[cfg(feature = "tls")]
mod server;

#[cfg(not(feature = "tls"))]
mod absent;

pub use config::{ClientTls, ClientsTls, ServerTls, TlsIdentity};

#[cfg(not(feature = "tls"))]
pub(crate) use absent::{Acceptor, Dialer, explain};
#[cfg(feature = "tls")]
pub(crate) use {client::Dialer, explain::explain, server::Acceptor};
