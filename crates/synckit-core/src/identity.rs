//! The identity of a replica, and its former ones.

use serde::{Deserialize, Serialize};

use crate::cursor::Secret;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{NodeId, StoreId};

/// The identity of a replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The node id the store was created with.
    pub node: NodeId,
    /// The name under which new events are authored: the node id, or a [renewed](NodeId::renewed) one.
    pub author: NodeId,
    /// The secret with which the store seals places of its log.
    pub secret: Secret,
    /// The former ids and names, oldest first, at most [`Identity::MAX_FORMER`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<Former>,
    /// Whether local events that were never handed out may use dots that are already taken. If so, they get new dots
    /// before they are handed out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspect: bool,
    /// When an event last arrived that was authored by a copy of this store or by another device with the same name,
    /// in Unix milliseconds by the local clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy_seen: Option<u64>,
    /// The names under which events of other authors were adopted here, as given, without a suffix.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adopts: Vec<NodeId>,
}

/// A former id and name of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Former {
    /// The former id.
    pub store: StoreId,
    /// The name it authored under.
    pub author: NodeId,
    /// Why the id and the name were given up.
    pub why: Renewal,
    /// When they were given up, in Unix milliseconds by the local clock.
    pub at: u64,
}

/// Why a store took a fresh id and a fresh name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Renewal {
    /// Something is missing that was in the log: it was restored from a backup, or a copy of it is in use.
    SetBack,
    /// A second copy of the store is in use.
    CopyInUse,
    /// Another device uses the same name.
    NameTaken,
    /// A person said that this is a copy.
    Asked,
}

impl Identity {
    /// The maximum number of former names that are kept; beyond it, the oldest are dropped.
    pub const MAX_FORMER: usize = 256;

    /// Creates the identity of a new store.
    ///
    /// ```
    /// use synckit_core::{Identity, NodeId, Secret};
    ///
    /// let identity = Identity::new(NodeId::new("till-1")?, Secret::from_bytes([7; 16]));
    /// assert_eq!(identity.author, identity.node);
    /// # Ok::<(), synckit_core::Error>(())
    /// ```
    pub fn new(node: NodeId, secret: Secret) -> Self {
        let author = node.clone();
        Identity {
            node,
            author,
            secret,
            former: Vec::new(),
            suspect: false,
            copy_seen: None,
            adopts: Vec::new(),
        }
    }

    /// Returns the identity after the store with this id took a fresh name with this suffix, which must be random.
    #[must_use]
    pub fn renewed(&self, store: StoreId, why: Renewal, at: u64, suffix: u64) -> Self {
        let mut renewed = self.clone();
        renewed.author = self.node.renewed(suffix);
        renewed.former.push(Former { store, author: self.author.clone(), why, at });
        let over = renewed.former.len().saturating_sub(Self::MAX_FORMER);
        renewed.former.drain(..over);
        renewed.suspect = true;
        renewed
    }

    /// Returns the name under which events adopted as `name` are authored now: with the suffix of the local name.
    pub fn adopting(&self, name: &NodeId) -> NodeId {
        let suffix = self.author.as_str().rsplit_once('~').map(|(_, suffix)| u64::from_str_radix(suffix, 16));
        suffix.map_or_else(|| name.clone(), |suffix| name.renewed(suffix.unwrap_or_default()))
    }

    /// Returns whether this store currently assigns the counters of this author.
    pub fn writes_as(&self, author: &NodeId) -> bool {
        *author == self.author || self.adopts.iter().any(|name| self.adopting(name) == *author)
    }

    /// Returns whether this replica authors, or has authored, under this name.
    pub fn is_own(&self, author: &NodeId) -> bool {
        *author == self.author || self.former.iter().any(|former| former.author == *author)
    }

    /// Returns whether this is a former id of the store.
    pub fn was(&self, store: StoreId) -> bool {
        self.former.iter().any(|former| former.store == store)
    }

    /// Checks that an opened store belongs to the expected node.
    ///
    /// # Errors
    /// `Conflict` when it belongs to another node.
    pub fn expect(&self, node: &NodeId) -> Result<()> {
        if self.node == *node {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Conflict,
            "this store belongs to another node; open it under that node id, or give this node a store of its own",
        )
        .with("store of", &self.node)
        .with("opened as", node))
    }
}
