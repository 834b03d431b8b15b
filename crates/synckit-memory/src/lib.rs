#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! - `store.rs`: [`MemoryStore`], the shortest whole implementation of the store contract

mod store;

pub use store::MemoryStore;
