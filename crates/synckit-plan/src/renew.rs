//! A fresh id and a fresh name for a store that was copied or restored from a backup.
//!
//! To its peers it is then a stranger, so that nothing they remember of its former self can mislead either side. What
//! happens under the former name no longer concerns it: a copy of the store may continue under that name.

use synckit_core::{Facts, Identity, Needs, NodeId, Note, Plan, Planner, Renewal, Result, Step, StoreId};

use crate::Entropy;
use crate::ledger::Ledger;

/// Takes a fresh id and a fresh name, unless the store already has another id.
#[derive(Clone, Debug)]
pub struct Renew {
    /// The id to give up.
    pub store: StoreId,
    /// The reason.
    pub why: Renewal,
    /// A new name that a person chose for the store.
    pub node: Option<NodeId>,
    /// The wall clock, in Unix milliseconds.
    pub now: u64,
    /// Randomness for this commit.
    pub entropy: Entropy,
}

impl Planner for Renew {
    type Outcome = Identity;

    fn needs(&mut self) -> Needs {
        Needs { notes: vec![Note::NODE.to_owned()], ..Needs::default() }
    }

    fn plan(&mut self, facts: &Facts, _round: usize) -> Result<Step<Identity>> {
        let mut ledger = Ledger::open(facts, 0)?;
        if facts.head.store == self.store {
            ledger.renew(self.why, self.now, &self.entropy);
            if let Some(node) = &self.node {
                node.check_chosen()?;
                ledger.identity.node.clone_from(node);
                ledger.identity.author.clone_from(node);
            }
            ledger.identity.copy_seen = None;
        }
        let identity = ledger.identity.clone();
        let plan = ledger.finish(self.now, &self.entropy, Plan::default(), [])?;
        Ok(Step::Write(plan, identity))
    }
}

impl Renew {
    /// Creates a planner that gives up this id.
    ///
    /// ```
    /// use synckit_core::{NodeId, Renewal, Secret, StoreId};
    /// use synckit_plan::{Entropy, Renew};
    /// use synckit_store::MemoryLog;
    ///
    /// # fn main() -> synckit_core::Result<()> {
    /// let id = StoreId::from_bytes([1; 16]);
    /// let mut log = MemoryLog::new(NodeId::new("till-1")?, id, Secret::from_bytes([2; 16]))?;
    /// let identity = log.commit(Renew::new(id, Renewal::Asked, 1_000, Entropy::from_bytes([3; 32])))?;
    /// assert!(identity.author.as_str().starts_with("till-1~"));
    /// # Ok(()) }
    /// ```
    pub fn new(store: StoreId, why: Renewal, now: u64, entropy: Entropy) -> Self {
        Renew { store, why, node: None, now, entropy }
    }
}
