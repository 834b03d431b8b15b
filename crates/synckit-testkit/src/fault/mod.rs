//! Stores and transports that fail on purpose.
//!
//! - `plan.rs`: [`FaultPlan`], which call gets which [`Fault`], and the counters of calls
//! - `line.rs`: how a fault is applied to one call
//! - `store.rs`, `transport.rs`: the wrappers, [`FaultyStore`] and [`FaultyTransport`]
//! - `damaged.rs`: [`DamagedStore`], a row of which cannot be read
//! - `turns.rs`: [`Turns`], the order in which calls of several tasks go on
//! - `drop_at.rs`: [`drop_at`], which drops a future in the middle

mod damaged;
mod drop_at;
mod line;
mod plan;
mod store;
mod transport;
mod turns;

pub use damaged::DamagedStore;
pub use drop_at::drop_at;
pub use plan::{Call, Fault, FaultPlan, Fired};
pub use store::FaultyStore;
pub use transport::FaultyTransport;
pub use turns::Turns;
