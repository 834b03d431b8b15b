#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
//!
//! # Map
//!
//! - [`store_conformance!`], [`StoreFixture`], [`store_suite`]: what every store must do
//! - [`transport_conformance!`], [`TransportFixture`], [`transport_suite`]: what every transport must do
//! - [`scenario`], [`WireFixture`], [`matrix`]: whole systems of any two stores and a transport
//! - [`FaultyStore`], [`FaultyTransport`], [`FaultPlan`], [`Turns`], [`drop_at`]: faults on purpose
//! - [`forward!`]: the methods that a wrapper leaves as they are
//! - [`PostgresServer`]: a private database server, [`Second`]: a second process of a test
//! - `remote`: further tests for transports over a network, with the feature `remote`
//! - [`check_resolver`]: what every conflict resolver must do
//! - [`sim`]: the deterministic simulator
//! - [`samples`]: nodes, authors and events for tests
//! - [`flips`]: files in which a bit flipped
//! - [`plans`]: planners, plans and the contents of a store, for tests of a store
//! - [`Spans`]: the spans that code makes
//! - [`views`]: a view that is kept, compared with what the log says
//! - [`Rng`]: seeded random numbers

mod case;
mod check;
mod fault;
mod fixture;
pub mod flips;
mod forward;
mod in_process;
pub mod matrix;
pub mod plans;
mod process;
#[cfg(feature = "remote")]
pub mod remote;
mod resolver;
mod rng;
mod rule;
pub mod samples;
pub mod scenario;
mod services;
pub mod sim;
mod spans;
pub mod store_suite;
pub mod transport_suite;
pub mod views;
mod wire;

#[doc(hidden)]
pub use case::skip as __skip;
pub use case::{CaseResult, Failure, run};
pub use fault::{Call, DamagedStore, Fault, FaultPlan, FaultyStore, FaultyTransport, Fired, Turns, drop_at};
pub use fixture::{Boxed, HubEndpoint, StoreFixture, TransportFixture};
pub use in_process::InProcess;
pub use process::Second;
pub use resolver::{Asymmetry, check_resolver};
pub use rng::Rng;
pub use rule::Rule;
pub use services::PostgresServer;
pub use spans::Spans;
#[doc(hidden)]
pub use synckit_core as __core;
pub use wire::{Loopback, Server, Stopped, WireFixture};
