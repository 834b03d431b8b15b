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
//! - `exchange`: one request and its answer, at the client
//! - `route`, `error`: paths, kinds and statuses

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
mod route;
mod server;
mod service;
mod tls;

pub use client::HttpTransport;
pub use config::{HttpConfig, ServerConfig, Timeouts};
pub use go::GoClients;
pub use server::serve;
#[cfg(feature = "tls")]
pub use server::serve_tls;
pub use service::{ResponseBody, SyncService};
pub use tls::{ClientTls, ClientsTls, ServerTls, TlsIdentity};
