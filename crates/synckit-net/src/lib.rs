#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! - [`ClientTls`], [`ServerTls`], [`ClientsTls`], [`TlsIdentity`]: what a deployment sets about TLS
//! - [`Protocol`], [`Dialer`], [`Acceptor`]: handshakes
//! - [`Coding`]: zstd and gzip, with limits
//! - [`Stream`], [`Counted`], [`Counts`]: the connections of a client
//! - [`Connections`]: those of a server
//! - [`explain`], [`cannot_connect`]: what an error of a connection is about
//! - [`offload`], [`raised`]: work that takes the processor, and a flag to wait for
#![cfg_attr(docsrs, feature(doc_cfg))]

mod cause;
mod coding;
mod connections;
mod stream;
mod tls;
mod work;

pub use cause::{BoxError, cannot_connect, explain};
pub use coding::Coding;
pub use connections::Connections;
pub use stream::{Counted, Counts, Stream};
pub use tls::{Acceptor, ClientTls, ClientsTls, Dialer, Protocol, ServerTls, TlsIdentity};
pub use work::{offload, raised};
