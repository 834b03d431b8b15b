//! A snapshot with what is about to be written on top of it.

use std::cmp::Ordering;
use std::collections::btree_map::Entry;
use std::iter::Peekable;
use std::ops::Range;

use synckit_core::Result;

use super::engine::{Batch, Snapshot, Tree};

/// A snapshot as it will be once a batch is written.
pub(crate) struct Overlay<'s, S> {
    pub(crate) below: &'s S,
    pub(crate) batch: Batch,
}

impl<'s, S: Snapshot> Overlay<'s, S> {
    pub(crate) fn on(below: &'s S) -> Self {
        Overlay { below, batch: Batch::default() }
    }

    /// Puts a key that is free. Returns whether it was.
    pub(crate) fn take(&mut self, tree: Tree, key: Vec<u8>, value: Vec<u8>) -> Result<bool> {
        match self.batch.entry(tree, key) {
            Entry::Vacant(above) if self.below.get(tree, above.key())?.is_none() => {
                above.insert(Some(value));
                Ok(true)
            }
            Entry::Occupied(mut above) if above.get().is_none() => {
                above.insert(Some(value));
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}

/// Bytes of the batch, or those below.
pub(crate) enum Layered<B> {
    Above(Vec<u8>),
    Below(B),
}

impl<B: AsRef<[u8]>> AsRef<[u8]> for Layered<B> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Layered::Above(bytes) => bytes,
            Layered::Below(bytes) => bytes.as_ref(),
        }
    }
}

impl<S: Snapshot> Snapshot for Overlay<'_, S> {
    type Bytes = Layered<S::Bytes>;

    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Self::Bytes>> {
        match self.batch.entries(tree).get(key) {
            Some(value) => Ok(value.clone().map(Layered::Above)),
            None => Ok(self.below.get(tree, key)?.map(Layered::Below)),
        }
    }

    fn scan(
        &self,
        tree: Tree,
        keys: Range<Vec<u8>>,
    ) -> Result<impl Iterator<Item = Result<(Self::Bytes, Self::Bytes)>>> {
        let above = self.batch.entries(tree).range(keys.clone()).peekable();
        Ok(Merge { above, below: self.below.scan(tree, keys)?.peekable() })
    }
}

/// The entries of both, in order; where a key is in both, that above.
struct Merge<A: Iterator, B: Iterator> {
    above: Peekable<A>,
    below: Peekable<B>,
}

impl<'a, A, B, T> Iterator for Merge<A, B>
where
    A: Iterator<Item = (&'a Vec<u8>, &'a Option<Vec<u8>>)>,
    B: Iterator<Item = Result<(T, T)>>,
    T: AsRef<[u8]>,
{
    type Item = Result<(Layered<T>, Layered<T>)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let order = match (self.above.peek(), self.below.peek()) {
                (None, None) => return None,
                (Some((above, _)), Some(Ok((below, _)))) => above.as_slice().cmp(below.as_ref()),
                (Some(_), None) => Ordering::Less,
                (_, Some(_)) => Ordering::Greater,
            };
            if order == Ordering::Greater {
                let below = self.below.next()?;
                return Some(below.map(|(key, value)| (Layered::Below(key), Layered::Below(value))));
            }
            if order == Ordering::Equal {
                self.below.next();
            }
            if let (key, Some(value)) = self.above.next()? {
                return Some(Ok((Layered::Above(key.clone()), Layered::Above(value.clone()))));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    struct Map(BTreeMap<Vec<u8>, Vec<u8>>);

    impl Snapshot for Map {
        type Bytes = Vec<u8>;

        fn get(&self, _: Tree, key: &[u8]) -> Result<Option<Vec<u8>>> {
            Ok(self.0.get(key).cloned())
        }

        fn scan(
            &self,
            _: Tree,
            keys: Range<Vec<u8>>,
        ) -> Result<impl Iterator<Item = Result<(Vec<u8>, Vec<u8>)>>> {
            Ok(self.0.range(keys).map(|(key, value)| Ok((key.clone(), value.clone()))))
        }
    }

    fn entries(snapshot: &impl Snapshot, keys: Range<&str>) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        let keys = keys.start.as_bytes().to_vec()..keys.end.as_bytes().to_vec();
        let entry = |entry: Result<_>| entry.expect("reads");
        let found = snapshot.scan(Tree::Notes, keys).expect("scans").map(entry);
        found.map(|(key, value)| format!("{}={}", text(key.as_ref()), text(value.as_ref()))).collect()
    }

    #[test]
    fn what_is_about_to_be_written_stands_before_what_is_there() {
        let below = ["a", "b", "c", "e"].map(|key| (key.as_bytes().to_vec(), b"0".to_vec()));
        let below = Map(below.into());
        let mut first = Overlay::on(&below);
        first.batch.put(Tree::Notes, b"b".to_vec(), b"1".to_vec());
        first.batch.put(Tree::Notes, b"d".to_vec(), b"1".to_vec());
        first.batch.delete(Tree::Notes, b"c".to_vec());
        first.batch.delete(Tree::Notes, b"absent".to_vec());
        assert_eq!(entries(&first, "a".."z"), ["a=0", "b=1", "d=1", "e=0"]);
        assert_eq!(entries(&first, "b".."e"), ["b=1", "d=1"]);
        let mut second = Overlay::on(&first);
        second.batch.put(Tree::Notes, b"c".to_vec(), b"2".to_vec());
        second.batch.delete(Tree::Notes, b"e".to_vec());
        assert_eq!(entries(&second, "a".."z"), ["a=0", "b=1", "c=2", "d=1"]);
        let get =
            |key: &[u8]| second.get(Tree::Notes, key).expect("reads").map(|value| value.as_ref().to_vec());
        assert_eq!((get(b"a"), get(b"c")), (Some(b"0".to_vec()), Some(b"2".to_vec())));
        assert_eq!((get(b"e"), get(b"absent")), (None, None));
    }
}
