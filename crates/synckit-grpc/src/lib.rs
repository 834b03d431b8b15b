#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! - [`GrpcTransport`], [`PushStream`], [`ClientConfig`]: the calling side
//! - [`GrpcService`], [`serve`], [`serve_tls`], [`ServerConfig`]: the answering side
//! - [`ClientTls`], [`ServerTls`], [`TlsIdentity`], [`TlsFiles`]: TLS on each side
//! - [`Timeouts`]: how long each side waits for the other
#![cfg_attr(docsrs, feature(doc_cfg))]

mod backlog;
mod compression;
mod deadline;
mod error;
mod exchange;
mod frame;
mod health;
mod method;
mod outgoing;
mod pages;
mod pushes;
mod serve;
mod service;
mod status;

pub use backlog::PushStream;
pub use exchange::{GrpcExchange, GrpcPages, GrpcTransport};
pub use service::GrpcService;
pub use synckit_net::{ClientTls, ClientsTls, ServerTls, TlsFiles, TlsIdentity};
pub use synckit_remote::{ClientConfig, ServerConfig, Timeouts, serve, serve_tls};

// - `method`, `deadline`: the calls and their paths, and when a caller gives up
// - `frame`, `compression`: messages within a stream of bytes, with limits on them
// - `outgoing`: streams of messages as they are sent
// - `pages`, `pushes`: what the server streams, and what it receives as a stream
// - `exchange`, `backlog`: one call and its answer, and a stream of pushes, at the client
// - `status`, `error`: kinds of errors, gRPC codes, and what else can go wrong
// - `service`, `serve`: the answering side, mounted or on its own listener

/// `docs/synckit.proto`, compiled: a `google.protobuf.FileDescriptorSet`, for a reflection service of your own.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("descriptor.bin");

/// The protocol of this crate, within TLS and in URLs.
const GRPC: synckit_net::Protocol =
    synckit_net::Protocol { alpn: "h2", plain: "grpc://", secure: "grpcs://" };
