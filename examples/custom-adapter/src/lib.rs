//! A store in an append-only file, as `docs/writing-an-adapter.md` builds it.
//!
//! - `file.rs`: records in a file, each there in full or not at all
//! - `store.rs`: a map whose changes are the records, and the store on it

mod file;
mod store;

pub use store::{FileMap, FileStore, Moment, open};
