//! The names of things: nodes, events, aggregates, event types and stores.
//!
//! All text names are UTF-8 of 1 to 255 bytes, checked when they are made, cheap to clone.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::short::ShortText;
use crate::text::serde_as_text;

/// The longest text name in bytes.
pub const MAX_NAME_BYTES: usize = 255;

fn check_name(what: &str, text: &str) -> Result<()> {
    if text.is_empty() {
        return Err(Error::invalid(format!("{what} is empty; give it 1 to 255 bytes")));
    }
    if text.len() > MAX_NAME_BYTES {
        return Err(Error::too_large(format!(
            "{what} has {} bytes; at most {MAX_NAME_BYTES} are allowed",
            text.len()
        )));
    }
    Ok(())
}

macro_rules! text_name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(ShortText);

        impl $name {
            /// Checks the text: 1 to 255 bytes.
            ///
            /// # Errors
            /// `Invalid` when it is empty, `TooLarge` when it is longer.
            pub fn new(text: impl AsRef<str>) -> Result<Self> {
                check_name($what, text.as_ref())?;
                Ok($name(ShortText::from(text.as_ref())))
            }

            /// The text.
            #[inline]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// The bytes of the text.
            #[inline]
            pub(crate) fn as_bytes(&self) -> &[u8] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.as_str())
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }

        impl FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self> {
                $name::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = Error;
            fn try_from(text: &str) -> Result<Self> {
                $name::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(text: String) -> Result<Self> {
                $name::new(text)
            }
        }

        serde_as_text!($name, |name, serializer| serializer.serialize_str(name.as_str()));
    };
}

text_name! {
    /// The name under which a replica authors events.
    NodeId, "a node id"
}
text_name! {
    /// The name of one event, the same on every replica. A UUIDv7 unless the caller gives another.
    EventId, "an event id"
}
text_name! {
    /// The name of the thing an event is about.
    AggregateId, "an aggregate id"
}
text_name! {
    /// What kind of fact an event states, such as `NoteEdited`.
    EventType, "an event type"
}

impl NodeId {
    /// The name of the n-th successor of this node: `name~2`, `name~3`, …
    ///
    /// A replica that was restored from an older copy goes on under its successor, so that no dot
    /// ever names two events. A name too long for the suffix is cut.
    pub fn successor(&self, generation: u32) -> NodeId {
        let suffix = format!("~{generation}");
        let name = self.as_str();
        let mut end = name.len().min(MAX_NAME_BYTES - suffix.len());
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        NodeId(ShortText::from(&*format!("{}{suffix}", &name[..end])))
    }
}

impl EventId {
    /// A UUIDv7 from the wall clock in milliseconds and ten random bytes (RFC 9562, section 5.7).
    pub fn uuid_v7(unix_millis: u64, random: &[u8; 10]) -> EventId {
        EventId::uuid(uuid::Builder::from_unix_timestamp_millis(unix_millis, random).into_uuid())
    }

    /// A UUIDv8 from bytes that are a hash (RFC 9562, section 5.8).
    pub(crate) fn uuid_v8(hash: [u8; 16]) -> EventId {
        EventId::uuid(uuid::Builder::from_custom_bytes(hash).into_uuid())
    }

    fn uuid(uuid: uuid::Uuid) -> EventId {
        let mut buffer = uuid::Uuid::encode_buffer();
        EventId(ShortText::from(&*uuid.hyphenated().encode_lower(&mut buffer)))
    }
}

/// A random id made when a store is created: another file, another id. 16 bytes, shown as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreId([u8; 16]);

impl StoreId {
    /// The id with these bytes; they must be random.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        StoreId(bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for StoreId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match u128::from_str_radix(text, 16) {
            Ok(number) if hex => Ok(StoreId(number.to_be_bytes())),
            _ => Err(Error::invalid("a store id has 32 hexadecimal digits")),
        }
    }
}

serde_as_text!(StoreId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_to_255_bytes() {
        assert!(NodeId::new("").is_err());
        assert!(NodeId::new("é".repeat(127)).is_ok());
        assert!(NodeId::new("é".repeat(128)).is_err());
        assert!(serde_json::from_str::<NodeId>("\"\"").is_err());
    }

    #[test]
    fn a_successor_never_exceeds_the_limit() {
        let long = NodeId::new("é".repeat(127)).expect("valid");
        let next = long.successor(12);
        assert!(next.as_str().ends_with("~12") && next.as_str().len() <= MAX_NAME_BYTES);
        assert_eq!(NodeId::new("a").expect("valid").successor(2).as_str(), "a~2");
    }

    #[test]
    fn store_ids_round_trip_as_text() {
        let id = StoreId::from_bytes([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255]);
        assert_eq!(id.to_string().parse::<StoreId>().expect("parses"), id);
        assert!("+0010203040506070809000102030405".parse::<StoreId>().is_err());
    }

    #[test]
    fn uuid_v7_sorts_by_time() {
        let early = EventId::uuid_v7(1_000, &[255; 10]);
        let late = EventId::uuid_v7(1_001, &[0; 10]);
        assert!(early < late && early.as_str().len() == 36);
    }
}
