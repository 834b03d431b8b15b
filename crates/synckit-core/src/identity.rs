//! Who a replica is, and who it was.

use serde::{Deserialize, Serialize};

use crate::cursor::Secret;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{NodeId, StoreId};

/// Who a replica is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The node id the store was created with.
    pub node: NodeId,
    /// The name under which new events are authored: the node id, or a [renewed](NodeId::renewed) one.
    pub author: NodeId,
    /// What the store seals places of its log with.
    pub secret: Secret,
    /// Under which ids and names it went before, oldest first, at most [`Identity::MAX_FORMER`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<Former>,
    /// Whether events that were never handed out may stand under dots that are taken: they get others before that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspect: bool,
    /// When an event came that another copy of this store, or another device of its name, has authored: in Unix milliseconds
    /// by the clock here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy_seen: Option<u64>,
    /// The names under which events of others were adopted here, as they were given, without a suffix.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adopts: Vec<NodeId>,
}

/// Under which id and name a store went before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Former {
    /// Its id.
    pub store: StoreId,
    /// The name it authored under.
    pub author: NodeId,
    /// Why it gave them up.
    pub why: Renewal,
    /// When, in Unix milliseconds by the clock here.
    pub at: u64,
}

/// Why a store took a fresh id and a fresh name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Renewal {
    /// Something that was in the log is not there any more: it was set back to an older copy, or a copy of it is in use.
    SetBack,
    /// A second copy of it is in use.
    CopyInUse,
    /// Somebody else authors under its name.
    NameTaken,
    /// A person said that this is a copy.
    Asked,
}

impl Identity {
    /// The most former names that are kept; beyond, the oldest go.
    pub const MAX_FORMER: usize = 256;

    /// The identity of a new store.
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

    /// The identity after the store with this id has taken a fresh name with this suffix, which must be random.
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

    /// The name under which events adopted in this name are authored now: with the suffix of the own name.
    pub fn adopting(&self, name: &NodeId) -> NodeId {
        let suffix = self.author.as_str().rsplit_once('~').map(|(_, suffix)| u64::from_str_radix(suffix, 16));
        suffix.map_or_else(|| name.clone(), |suffix| name.renewed(suffix.unwrap_or_default()))
    }

    /// Whether this store gives out the counters of this author now.
    pub fn writes_as(&self, author: &NodeId) -> bool {
        *author == self.author || self.adopts.iter().any(|name| self.adopting(name) == *author)
    }

    /// Whether this replica authors, or has authored, under this name.
    pub fn is_own(&self, author: &NodeId) -> bool {
        *author == self.author || self.former.iter().any(|former| former.author == *author)
    }

    /// Whether the store went under this id before.
    pub fn was(&self, store: StoreId) -> bool {
        self.former.iter().any(|former| former.store == store)
    }

    /// Checks that a store found at open is the one asked for.
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
