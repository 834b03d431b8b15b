#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! - `config.rs`: [`RedbConfig`]
//! - `store.rs`: [`RedbStore`], the contract
//! - `writer.rs`: the thread that commits what waits, in groups
//! - `tables.rs`: the tables, and what is read from them and written to them
//! - `row.rs`: the binary form of an event in the log
//! - `schema.rs`: whose file it is, opening and creating it
//! - `error.rs`: what the engine's errors mean

mod config;
mod error;
mod row;
mod schema;
mod store;
mod tables;
mod writer;

pub use config::RedbConfig;
pub use store::RedbStore;
