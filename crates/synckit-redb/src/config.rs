//! Where the file is and how it is kept.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use synckit_core::NodeId;

/// Where a store's file is and how it is kept. Every field but the path has a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedbConfig {
    /// The file.
    pub path: PathBuf,
    /// The node that writes through the store. `None` opens an existing store under the node id it has.
    pub node: Option<NodeId>,
    /// Whether a store is made where there is none; that takes a node id. `true`.
    pub create: bool,
    /// The id of the machine. `None` takes the one that the system tells, if it does. When a file is opened on another
    /// machine than before, it goes on under a fresh name, since the file it was copied from may still be in use. Set it
    /// where the system tells nothing, as on phones.
    pub machine: Option<String>,
    /// How much of the file is kept in memory at most, in bytes. 64 MiB.
    pub cache_bytes: usize,
}

impl Default for RedbConfig {
    /// Everything but the path, which is empty and cannot be opened.
    fn default() -> Self {
        RedbConfig { path: PathBuf::new(), node: None, create: true, machine: None, cache_bytes: 64 << 20 }
    }
}

synckit_store::file_config!(RedbConfig);

impl RedbConfig {
    /// How much of the file is kept in memory at most, in bytes.
    pub fn with_cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }
}
