//! A snapshot that remembers which ids and dots it was asked for in vain.
//!
//! A commit asks for each new id and dot twice: when it is planned, and when it is taken. To look one up in an engine costs
//! a good part of what it costs to write it.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ops::Range;

use synckit_core::Result;

use super::engine::{Snapshot, Tree};

/// A snapshot, and the keys that are not in it as far as they were asked for.
pub(crate) struct LookedUp<'s, S> {
    snapshot: &'s S,
    ids: RefCell<HashSet<Vec<u8>>>,
    dots: RefCell<HashSet<Vec<u8>>>,
}

impl<'s, S: Snapshot> LookedUp<'s, S> {
    pub(crate) fn new(snapshot: &'s S) -> Self {
        LookedUp { snapshot, ids: RefCell::default(), dots: RefCell::default() }
    }
}

impl<S: Snapshot> Snapshot for LookedUp<'_, S> {
    type Bytes = S::Bytes;

    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<S::Bytes>> {
        let absent = match tree {
            Tree::Ids => &self.ids,
            Tree::Dots => &self.dots,
            Tree::Events | Tree::Aggregates | Tree::Notes => return self.snapshot.get(tree, key),
        };
        if absent.borrow().contains(key) {
            return Ok(None);
        }
        let found = self.snapshot.get(tree, key)?;
        if found.is_none() {
            absent.borrow_mut().insert(key.to_vec());
        }
        Ok(found)
    }

    fn scan(
        &self,
        tree: Tree,
        keys: Range<Vec<u8>>,
    ) -> Result<impl Iterator<Item = Result<(S::Bytes, S::Bytes)>>> {
        self.snapshot.scan(tree, keys)
    }
}
