#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! - [`Client`], [`Exchange`], [`Incoming`], [`Sign`]: the calling side, and what a transport adds to it
//! - [`Service`], [`Pump`], [`Beat`]: the answering side, and what a subscription sends
//! - [`serve`], [`serve_tls`], [`Serve`], [`Answer`]: whole servers
//! - [`Admission`], [`Arrival`], [`Turn`]: room for calls that arrive and that run, and their deadlines
//! - [`Method`], [`Packed`], [`Digest`]: a call's name, a message on the wire, and what shows that it was damaged there
//! - [`ClientConfig`], [`ServerConfig`], [`Timeouts`]: what a deployment sets
//! - [`CallHeaders`]: the context of a trace in the headers of calls
//! - [`Address`]: the URL of a server
//! - [`foreign`], [`damaged`], [`report`], [`with_delay`]: what is not an answer of a peer, and errors that this side
//!   answers with

mod address;
mod admission;
mod call_number;
mod client;
mod config;
mod digest;
mod error;
mod health;
mod incoming;
mod message;
mod method;
mod packing;
mod pump;
mod serve;
mod service;
mod trace;

pub use address::Address;
pub use admission::{Admission, Arrival, Turn};
pub use call_number::{CallNumber, CallNumbers};
pub use client::{Client, Exchange};
pub use config::{ClientConfig, ServerConfig, Timeouts};
pub use digest::{DIGEST, Digest, seal, unseal};
pub use error::{damaged, foreign, report, with_delay};
pub use incoming::{Incoming, Sign, subscription_ended};
pub use message::{Packed, pack, pack_sealed};
pub use method::Method;
pub use pump::{Beat, Pump};
pub use serve::{Answer, Serve, serve, serve_tls};
pub use service::Service;
pub use trace::CallHeaders;
