//! A store in an append-only file, as `docs/writing-an-adapter.md` builds it.
//!
//! - `file.rs`: plans in a file, each there as a whole or not at all
//! - `store.rs`: the five methods

mod file;
mod store;

pub use store::FileStore;
