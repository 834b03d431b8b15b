#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! - [`Encode`], [`Decode`], [`Format`]: the operations of every message
//! - [`ReceivedPush`]: a push, with its unreadable events separated
//! - [`items`]: arrays of other forms, read with the same care
//! - [`WireLimits`]: the maximum sizes of messages
//! - `json`, `protobuf`: the two forms of every message
//! - `checks`, `fault`: what both forms share

mod ahead;
mod checks;
mod fault;
mod json;
mod limits;
mod message;
mod protobuf;
mod push;

pub use json::items;
pub use limits::WireLimits;
pub use message::{Decode, Encode, Format};
pub use push::ReceivedPush;
