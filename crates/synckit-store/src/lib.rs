#![doc = include_str!("../README.md")]

// - `memory_log.rs`: a log in memory
// - `key_value/`: a store over any ordered key-value engine
// - `group/`: commits in groups
// - `page.rs`, `row.rs`: building a page, and the binary form of an event
// - `checksum.rs`: the checksum over what a store keeps of an event
// - `opening.rs`, `random.rs`: checks at opening, and the randomness of a new store
// - `millis.rs`: a duration in settings
// - `file_config.rs`: what the settings of stores in files have in common
// - `machine.rs`: a file that is opened on another machine than before
// - `growth.rs`: waiting until a log grows

pub mod checksum;
mod file_config;
pub mod group;
mod growth;
mod key_value;
mod machine;
mod memory_log;
pub mod millis;
mod opening;
mod page;
mod random;
pub mod row;

pub use growth::{Growth, closed};
pub use key_value::{Batch, KeyValue, KeyValueLog, Snapshot, Tree, dot_key, note_keys};
pub use memory_log::MemoryLog;
pub use opening::{Found, Opening};
pub use page::PageBuilder;
pub use random::random_bytes;
#[doc(hidden)]
pub use synckit_core::NodeId as __NodeId;
