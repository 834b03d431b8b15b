#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! - [`HttpTransport`], [`HttpConfig`]: the calling side
//! - [`SyncService`], [`serve`], [`ServerConfig`]: the answering side
//! - [`GoClients`]: clients of go-sync-kit, answered beside synckit's own
//! - [`ClientTls`], [`ServerTls`], [`TlsIdentity`], `serve_tls`: TLS on each side
//! - [`Timeouts`]: how long each side waits for the other
//! - `format`: JSON or protobuf, and how both sides agree
//! - `pages`: the stream of a subscription, both ends
//! - `body`, `compression`, `io`: bytes, with limits and clocks on them
//! - `plain`: what callers without TLS are told where there is some
//! - `exchange`: one request and its answer, at the client
//! - `route`, `error`: paths, kinds and statuses
#![cfg_attr(docsrs, feature(doc_cfg))]

mod body;
mod client;
mod compression;
mod config;
mod error;
mod exchange;
mod format;
mod go;
mod io;
mod pages;
mod plain;
mod route;
mod server;
mod service;

pub use client::HttpTransport;
pub use config::{HttpConfig, ServerConfig, Timeouts};
pub use go::GoClients;
pub use server::serve;
#[cfg(feature = "tls")]
pub use server::serve_tls;
pub use service::{ResponseBody, SyncService};
pub use synckit_net::{ClientTls, ClientsTls, ServerTls, TlsIdentity};

/// What is spoken here, within TLS and in URLs.
const HTTP: synckit_net::Protocol =
    synckit_net::Protocol { alpn: "http/1.1", plain: "http://", secure: "https://" };
