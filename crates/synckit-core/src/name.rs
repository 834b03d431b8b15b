//! The text of a name. Names are compared and copied all the time, so most of them are kept in place.

use std::cmp::Ordering;
use std::sync::Arc;

/// The longest text that is kept in place, in bytes.
const IN_PLACE: usize = 22;

/// Text in place, which compares as an array of a fixed length, or shared.
///
/// **Invariant**: what fits in place is there, followed by zeros, with its length.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Name {
    Short([u8; IN_PLACE], u8),
    Long(Arc<str>),
}

impl Name {
    pub(crate) fn new(text: &str) -> Self {
        let mut bytes = [0; IN_PLACE];
        let Some(place) = bytes.get_mut(..text.len()) else { return Name::Long(text.into()) };
        place.copy_from_slice(text.as_bytes());
        Name::Short(bytes, text.len() as u8)
    }

    #[inline]
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Name::Short(..) => std::str::from_utf8(self.as_bytes()).unwrap_or_default(),
            Name::Long(text) => text,
        }
    }

    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Name::Short(bytes, length) => &bytes[..usize::from(*length)],
            Name::Long(text) => text.as_bytes(),
        }
    }
}

impl Ord for Name {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Name::Short(mine, length), Name::Short(theirs, other)) => {
                numbers(mine).cmp(&numbers(theirs)).then(length.cmp(other))
            }
            _ => self.as_bytes().cmp(other.as_bytes()),
        }
    }
}

/// Returns numbers that compare as the bytes do. They share two bytes, which decide nothing. Zeros behind a text come before
/// anything else, as its end does.
#[inline]
fn numbers(bytes: &[u8; IN_PLACE]) -> Option<(u128, u64)> {
    Some((u128::from_be_bytes(*bytes.first_chunk()?), u64::from_be_bytes(*bytes.last_chunk()?)))
}

impl PartialOrd for Name {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_name_compares_as_its_text(left in "[a-b\0é]{0,24}", right in "[a-b\0é]{0,24}") {
            let names = (Name::new(&left), Name::new(&right));
            prop_assert_eq!((names.0.as_str(), names.1.as_bytes()), (&*left, right.as_bytes()));
            prop_assert_eq!(names.0.cmp(&names.1), left.cmp(&right));
            prop_assert_eq!(names.0 == names.1, left == right);
        }
    }
}
