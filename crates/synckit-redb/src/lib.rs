#![doc = include_str!("../README.md")]

// - `config.rs`: where the file is and how it is kept
// - `store.rs`: the store, a `KeyValueLog` over five tables
// - `engine.rs`: the database, and opening it again after the disk failed
// - `tables.rs`: the table of each tree
// - `file.rs`: opening and creating the file
// - `read_only.rs`: a file that cannot be written
// - `error.rs`: what the engine's errors mean

mod config;
mod engine;
mod error;
mod file;
mod read_only;
mod store;
mod tables;

pub use config::RedbConfig;
pub use store::RedbStore;
