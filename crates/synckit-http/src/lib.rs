#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! - [`HttpTransport`], [`ClientConfig`]: the calling side
//! - [`HttpService`], [`serve`], [`serve_tls`], [`ServerConfig`]: the answering side
//! - [`ClientTls`], [`ServerTls`], [`TlsIdentity`], [`TlsFiles`]: TLS on each side
//! - [`Timeouts`]: how long each side waits for the other
//! - [`routes`]: further routes beside synckit's own
#![cfg_attr(docsrs, feature(doc_cfg))]

mod body;
mod compression;
mod error;
mod exchange;
mod format;
mod pages;
mod problem;
mod route;
pub mod routes;
mod serve;
mod service;

pub use exchange::{HttpExchange, HttpTransport};
pub use pages::HttpPages;
pub use service::{HttpService, ResponseBody};
pub use synckit_net::{ClientTls, ClientsTls, ServerTls, TlsFiles, TlsIdentity};
pub use synckit_remote::{ClientConfig, ServerConfig, Timeouts, serve, serve_tls};

// - `format`: JSON or protobuf, and how both sides agree
// - `pages`: the stream of a subscription, both ends
// - `body`, `compression`: bytes, with limits on size and time
// - `exchange`: one request and its answer, at the client
// - `route`, `problem`, `error`: paths, problems of a request, kinds and statuses
// - `service`, `serve`: the answering side, mounted or on its own listener

/// The protocol of this crate, within TLS and in URLs.
const HTTP: synckit_net::Protocol =
    synckit_net::Protocol { alpn: "http/1.1", plain: "http://", secure: "https://" };
