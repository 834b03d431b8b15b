//! TLS by rustls, with ring for the cryptography. No provider is installed for the process: each configuration names
//! its own, so that a program may use another beside it.
//!
//! - `config`: what a deployment sets, in PEM
//! - `client`, `server`: both ends of a handshake
//! - `read`: PEM into certificates and keys
//! - `explain`: what a failed handshake means, in words that say what to do

mod client;
mod config;
mod explain;
mod read;
mod server;

pub use config::{ClientTls, ClientsTls, ServerTls, TlsIdentity};

pub(crate) use client::Dialer;
pub(crate) use explain::explain;
pub(crate) use server::Acceptor;
