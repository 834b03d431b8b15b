#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! - [`Encode`], [`Decode`], [`Format`]: what every message can do
//! - [`ReceivedPush`], [`Refusals`]: a push whose unreadable events were set apart
//! - [`items`]: arrays of another form, with the same care
//! - [`WireLimits`]: what a message may be at most
//! - `json`, `protobuf`: the two forms of every message
//! - `checks`, `fault`: what both forms have in common

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
pub use push::{ReceivedPush, Refusals};
