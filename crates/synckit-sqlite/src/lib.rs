#![doc = include_str!("../README.md")]

// - `config.rs`: where the file is and how it is kept
// - `store.rs`: the contract
// - `backup.rs`: a copy of a store that is in use
// - `file.rs`: its rights, and whether it can be written
// - `connections.rs`: the connections to the file
// - `query.rs`: reading pages of the log and notes
// - `commit.rs`: commits, of which `facts.rs` and `write.rs` are the two halves
// - `group.rs`: commits that waited, in one transaction
// - `watch.rs`: waiting for commits, also of other processes; `wake.rs`: woken by the file system
// - `packed.rs`: many rows in one value, and many keys in one parameter
// - `schema.rs`: whose file it is, creating and migrating it
// - `error.rs`: what the engine's errors mean

mod backup;
mod commit;
mod config;
mod connections;
mod error;
mod facts;
mod file;
mod group;
mod packed;
mod query;
mod schema;
mod store;
mod wake;
mod watch;
mod write;

pub use config::{SqliteConfig, Synchronous};
pub use store::SqliteStore;
