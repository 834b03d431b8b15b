//! A store over any ordered key-value engine.

// - `engine.rs`: what such an engine gives
// - `store.rs`: the store
// - `log.rs`: reading the log from a snapshot
// - `copy.rs`: a copy in another engine
// - `apply.rs`: what a plan puts and deletes
// - `overlay.rs`: a snapshot with what is about to be written
// - `keys.rs`: the keys in each tree

mod apply;
mod copy;
mod engine;
mod keys;
mod log;
mod overlay;
mod store;

pub use engine::{Batch, KeyValue, Snapshot, Tree};
pub use keys::{dot as dot_key, notes as note_keys};
pub use store::KeyValueLog;
