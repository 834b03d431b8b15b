//! Short texts that are compared and copied all the time: names.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// How many bytes are kept in place.
const INLINE: usize = 22;

/// A text of at most 255 bytes. Up to 22 bytes are kept in place, so that the names of nodes are compared as two
/// numbers, and copied without counting references; longer ones are shared.
///
/// **Invariant**: a text of at most 22 bytes is `Inline`, its bytes are UTF-8, and those beyond its length are zero.
#[derive(Clone)]
pub(crate) enum ShortText {
    Inline { length: u8, bytes: [u8; INLINE] },
    Shared(Arc<str>),
}

impl ShortText {
    #[inline]
    pub(crate) fn as_str(&self) -> &str {
        match self {
            // By the invariant there is no error.
            ShortText::Inline { length, bytes } => {
                std::str::from_utf8(&bytes[..usize::from(*length)]).unwrap_or_default()
            }
            ShortText::Shared(text) => text,
        }
    }

    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            ShortText::Inline { length, bytes } => &bytes[..usize::from(*length)],
            ShortText::Shared(text) => text.as_bytes(),
        }
    }
}

impl From<&str> for ShortText {
    #[inline]
    fn from(text: &str) -> Self {
        let mut bytes = [0; INLINE];
        match bytes.get_mut(..text.len()) {
            Some(room) => {
                room.copy_from_slice(text.as_bytes());
                ShortText::Inline { length: text.len() as u8, bytes }
            }
            None => ShortText::Shared(Arc::from(text)),
        }
    }
}

/// The bytes as numbers that compare as the text does; the zeros behind a text are less than anything, and of two
/// texts that differ in zeros alone the shorter is the less.
///
/// The second number begins within the first, so that both are read as they stand: what they share decides nothing.
#[inline]
fn key(bytes: &[u8; INLINE]) -> (u128, u64) {
    let (mut head, mut tail) = ([0; 16], [0; 8]);
    head.copy_from_slice(&bytes[..16]);
    tail.copy_from_slice(&bytes[INLINE - 8..]);
    (u128::from_be_bytes(head), u64::from_be_bytes(tail))
}

impl Ord for ShortText {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        use ShortText::Inline;
        match (self, other) {
            (Inline { length, bytes }, Inline { length: other_length, bytes: other_bytes }) => {
                key(bytes).cmp(&key(other_bytes)).then(length.cmp(other_length))
            }
            _ => self.as_bytes().cmp(other.as_bytes()),
        }
    }
}

impl PartialOrd for ShortText {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ShortText {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        use ShortText::{Inline, Shared};
        match (self, other) {
            (Inline { length, bytes }, Inline { length: other_length, bytes: other_bytes }) => {
                bytes == other_bytes && length == other_length
            }
            (Shared(text), Shared(other)) => text == other,
            // By the invariant they differ in length.
            _ => false,
        }
    }
}

impl Eq for ShortText {}

impl Hash for ShortText {
    /// As the text, which stands for it in look-ups.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for ShortText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_three_words() {
        assert_eq!(size_of::<ShortText>(), 24);
    }

    proptest! {
        #[test]
        fn it_is_and_compares_as_its_text(left in "[a\0é\u{10ffff}]{0,12}", right in "[a\0é\u{10ffff}]{0,12}") {
            let (short_left, short_right) = (ShortText::from(&*left), ShortText::from(&*right));
            prop_assert_eq!(short_left.as_str(), &*left);
            prop_assert_eq!(short_left.cmp(&short_right), left.cmp(&right));
            prop_assert_eq!(short_left == short_right, left == right);
        }
    }
}
