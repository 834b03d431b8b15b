#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! - [`ClientTls`], [`ServerTls`], [`ClientsTls`], [`TlsIdentity`], [`TlsFiles`]: what a deployment sets about TLS
//! - [`Protocol`], [`Dialer`], [`Acceptor`]: handshakes
//! - [`Coding`]: zstd and gzip, with limits
//! - [`Stream`], [`Counts`], [`Observe`], [`Observed`]: connections of any kind, counted and observed
//! - [`Connections`], [`Entrance`], [`Guards`], [`run_connection`]: those of a server
//! - `Connector`, `LastWords`, `Proxy`: those of a client's pool, with the feature `client`
//! - [`explain`], [`cannot_connect`]: the meaning of a connection's error
//! - [`offload`], [`raised`]: work that takes the processor, and a flag to wait for
#![cfg_attr(docsrs, feature(doc_cfg))]

mod coding;
mod connections;
#[cfg(feature = "client")]
mod connector;
mod entrance;
mod explain;
mod guards;
#[cfg(feature = "client")]
mod proxy;
mod stream;
mod tasks;
mod tls;

pub use coding::Coding;
pub use connections::Connections;
#[cfg(feature = "client")]
pub use connector::{Connector, LastWords};
pub use entrance::{Entrance, run_connection};
pub use explain::{BoxError, cannot_connect, explain};
pub use guards::Guards;
#[cfg(feature = "client")]
pub use proxy::Proxy;
pub use stream::{Counts, Observe, Observed, Stream};
pub use tasks::{offload, raised};
pub use tls::{
    Acceptor, ClientTls, ClientsTls, Dialer, Protocol, ServerTls, TlsFiles, TlsIdentity, read_pem,
};
