//! A snapshot with what is about to be written on top of it.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::ops::Range;

use synckit_core::Result;

use super::engine::{Batch, Snapshot};

/// A snapshot as it will be once a batch is written.
pub(crate) struct Overlay<'s, S> {
    pub(crate) below: &'s S,
    pub(crate) batch: Batch,
}

impl<'s, S: Snapshot> Overlay<'s, S> {
    pub(crate) fn on(below: &'s S) -> Self {
        Overlay { below, batch: Batch::default() }
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

    fn get(&self, key: &[u8]) -> Result<Option<Self::Bytes>> {
        match self.batch.0.get(key) {
            Some(value) => Ok(value.clone().map(Layered::Above)),
            None => Ok(self.below.get(key)?.map(Layered::Below)),
        }
    }

    fn scan(&self, keys: Range<Vec<u8>>) -> Result<impl Iterator<Item = Result<(Self::Bytes, Self::Bytes)>>> {
        let above = self.batch.0.range(keys.clone()).peekable();
        Ok(Merge { above, below: self.below.scan(keys)?.peekable() })
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
