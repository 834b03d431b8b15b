#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! - [`store_conformance!`], [`StoreFixture`], [`store_suite`]: what every store must do
//! - [`transport_conformance!`], [`TransportFixture`], [`transport_suite`]: what every transport must do
//! - [`FaultyStore`], [`FaultyTransport`], [`FaultPlan`], [`drop_at`]: failing on purpose
//! - [`sim`]: the deterministic simulator
//! - [`samples`]: nodes, authors and events for tests
//! - [`Rng`]: seeded random numbers

mod case;
mod fault;
mod fixture;
mod process;
mod rng;
pub mod samples;
pub mod sim;
pub mod store_suite;
pub mod transport_suite;

pub use case::{CaseResult, Failure, run};
pub use fault::{Call, Fault, FaultPlan, FaultyStore, FaultyTransport, Fired, drop_at};
pub use fixture::{Boxed, HubEndpoint, StoreFixture, TransportFixture};
pub use rng::Rng;
