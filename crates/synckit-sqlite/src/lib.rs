#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! - `config.rs`: [`SqliteConfig`], [`Synchronous`]
//! - `store.rs`: [`SqliteStore`], the contract
//! - `query.rs`: reading pages of the log and notes
//! - `schema.rs`: whose file it is, creating and migrating it
//! - `row.rs`: how events and notes stand in the two tables
//! - `error.rs`: what the engine's errors mean

mod config;
mod error;
mod query;
mod row;
mod schema;
mod store;

pub use config::{SqliteConfig, Synchronous};
pub use store::SqliteStore;
