#![doc = include_str!("../README.md")]

mod growth;
mod memory_log;
mod random;

pub use growth::{Growth, closed};
pub use memory_log::MemoryLog;
pub use random::random_bytes;
