#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! - [`GrpcTransport`], [`GrpcConfig`]: the calling side
//! - [`SyncService`], [`serve`], [`ServerConfig`]: the answering side
//! - [`ClientTls`], [`ServerTls`], [`TlsIdentity`], `serve_tls`: TLS on each side
//! - [`Timeouts`]: how long each side waits for the other
//! - `method`: the calls and where they are
//! - `frame`, `compression`: messages within a stream of bytes, with limits on them
//! - `outgoing`, `incoming`: streams of messages on their way out and in
//! - `pages`, `pushes`: what the server streams, and what is streamed to it
//! - `exchange`: one call and its answer, at the client
//! - `status`, `error`: kinds of errors, gRPC codes, and what else can go wrong
//! - `io`: connections
#![cfg_attr(docsrs, feature(doc_cfg))]

mod client;
mod compression;
mod config;
mod error;
mod exchange;
mod frame;
mod incoming;
mod io;
mod method;
mod outgoing;
mod pages;
mod pushes;
mod server;
mod service;
mod status;

pub use client::GrpcTransport;
pub use config::{GrpcConfig, ServerConfig, Timeouts};
pub use server::serve;
#[cfg(feature = "tls")]
pub use server::serve_tls;
pub use service::SyncService;
pub use synckit_net::{ClientTls, ClientsTls, ServerTls, TlsIdentity};

/// `docs/synckit.proto`, compiled: a `google.protobuf.FileDescriptorSet`, for a reflection service of one's own.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("descriptor.bin");

/// What is spoken here, within TLS and in URLs.
const GRPC: synckit_net::Protocol =
    synckit_net::Protocol { alpn: "h2", plain: "grpc://", secure: "grpcs://" };
