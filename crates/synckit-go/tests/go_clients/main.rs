//! Clients of go-sync-kit at a hub, beside synckit replicas: scripts over raw sockets, a real store behind.
#![allow(clippy::unwrap_used, reason = "in tests a panic is the report")]
#![allow(unreachable_pub, reason = "these are modules of a test")]

mod everything;
mod hub;
mod names;
mod seen;
mod stuck;
mod table;
mod wire;
