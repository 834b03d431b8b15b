//! Typed names: nodes, events, aggregates, event types and stores.
//!
//! All text names are UTF-8 of 1 to 255 bytes. They are checked on construction and cheap to clone.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::name::Name;
use crate::text::{hex, serde_as_text};

/// The maximum length of a text name, in bytes.
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
        pub struct $name(Name);

        impl $name {
            /// Creates a name from text of 1 to 255 bytes.
            ///
            /// # Errors
            /// `Invalid` when it is empty, `TooLarge` when it is longer.
            pub fn new(text: impl AsRef<str>) -> Result<Self> {
                check_name($what, text.as_ref())?;
                Ok($name(Name::new(text.as_ref())))
            }

            /// Returns the text.
            #[inline]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// Returns the bytes of the text.
            #[inline]
            pub fn as_bytes(&self) -> &[u8] {
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

        impl FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self> {
                $name::new(text)
            }
        }

        serde_as_text!($name, |name, serializer| serializer.serialize_str(name.as_str()));
    };
}

text_name! {
    /// The name under which a replica authors events.
    ///
    /// ```
    /// use synckit_core::NodeId;
    ///
    /// assert_eq!(NodeId::new("till-1")?.as_str(), "till-1");
    /// assert!(NodeId::new("").is_err());
    /// # Ok::<(), synckit_core::Error>(())
    /// ```
    NodeId, "a node id"
}
text_name! {
    /// The id of one event, the same on every replica. A UUIDv7 unless the caller chooses another.
    ///
    /// ```
    /// use synckit_core::EventId;
    ///
    /// assert_eq!(EventId::new("receipt-7")?, "receipt-7".parse()?);
    /// # Ok::<(), synckit_core::Error>(())
    /// ```
    EventId, "an event id"
}
text_name! {
    /// The id of the aggregate that an event is about.
    ///
    /// ```
    /// use synckit_core::AggregateId;
    ///
    /// assert_eq!(AggregateId::new("note-1")?, "note-1".parse()?);
    /// # Ok::<(), synckit_core::Error>(())
    /// ```
    AggregateId, "an aggregate id"
}
text_name! {
    /// The kind of fact an event states, such as `NoteEdited`.
    ///
    /// ```
    /// use synckit_core::EventType;
    ///
    /// assert_eq!(EventType::new("NoteEdited")?, "NoteEdited".parse()?);
    /// # Ok::<(), synckit_core::Error>(())
    /// ```
    EventType, "an event type"
}

impl NodeId {
    /// Separates the name that a person chose from the random suffix that distinguishes it from copies.
    const RENEWED: char = '~';

    /// Returns a fresh name for this replica: `name~` and ten hex digits, which must be random. A replica whose log was
    /// copied or restored continues under it, so that no dot names two events. A name too long for the suffix is
    /// truncated.
    pub fn renewed(&self, suffix: u64) -> NodeId {
        let suffix = format!("~{:010x}", suffix & 0xff_ffff_ffff);
        let name = self.chosen();
        let mut end = name.len().min(MAX_NAME_BYTES - suffix.len());
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        NodeId(Name::new(&format!("{}{suffix}", &name[..end])))
    }

    /// Returns the part of the name that a person chose, before `~`. Empty for an [alias](NodeId::alias).
    pub fn chosen(&self) -> &str {
        self.as_str().split(Self::RENEWED).next().unwrap_or_default()
    }

    /// Returns the author of an event whose dot turned out to name another event as well: `~` and 32 hex digits of a
    /// hash of the event's id, so that every replica derives the same name.
    pub fn alias(event: &EventId) -> NodeId {
        let hash = Sha256::new_with_prefix(b"synckit alias 1").chain_update(event.as_bytes()).finalize();
        let hex: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        NodeId(Name::new(&format!("~{hex}")))
    }

    /// Returns whether this is an [alias](NodeId::alias).
    pub fn is_alias(&self) -> bool {
        self.as_str().starts_with(Self::RENEWED)
    }

    /// Checks a name that a person chose for a replica.
    ///
    /// # Errors
    /// `Invalid` when it contains `~`, which is reserved for names that synckit generates.
    pub fn check_chosen(&self) -> Result<()> {
        if !self.as_str().contains(Self::RENEWED) {
            return Ok(());
        }
        Err(Error::invalid(
            "a node id that you choose has no `~`: names with it are made by synckit; choose another",
        )
        .with("node id", self))
    }
}

impl EventId {
    /// Creates a UUIDv7 from the wall clock in milliseconds and ten random bytes (RFC 9562, section 5.7).
    pub fn uuid_v7(unix_millis: u64, random: &[u8; 10]) -> EventId {
        EventId::uuid(uuid::Builder::from_unix_timestamp_millis(unix_millis, random).into_uuid())
    }

    /// Creates a UUIDv8 from the bytes of a hash (RFC 9562, section 5.8).
    pub fn uuid_v8(hash: [u8; 16]) -> EventId {
        EventId::uuid(uuid::Builder::from_custom_bytes(hash).into_uuid())
    }

    fn uuid(uuid: uuid::Uuid) -> EventId {
        let mut buffer = uuid::Uuid::encode_buffer();
        EventId(Name::new(uuid.hyphenated().encode_lower(&mut buffer)))
    }
}

/// A random id drawn when a store is created: another file has another id. 16 bytes, displayed as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreId([u8; 16]);

impl StoreId {
    /// Creates an id from these bytes; they must be random.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        StoreId(bytes)
    }

    /// Returns the bytes.
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
        let bytes = hex(text).ok_or_else(|| Error::invalid("a store id has 32 hexadecimal digits"))?;
        Ok(StoreId(bytes.to_be_bytes()))
    }
}

serde_as_text!(StoreId, |value, serializer| serializer.collect_str(value));

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
    fn a_renewed_name_never_exceeds_the_limit_and_has_one_suffix() {
        let long = NodeId::new("é".repeat(127)).expect("valid");
        let next = long.renewed(12);
        assert!(next.as_str().ends_with("~000000000c") && next.as_str().len() <= MAX_NAME_BYTES);
        let renewed = NodeId::new("a").expect("valid").renewed(2);
        assert_eq!((renewed.as_str(), renewed.chosen()), ("a~0000000002", "a"));
        assert_eq!(renewed.renewed(3).as_str(), "a~0000000003");
        assert!(renewed.check_chosen().is_err() && !renewed.is_alias());
        let alias = NodeId::alias(&EventId::new("e").expect("valid"));
        assert!(alias.is_alias() && alias.chosen().is_empty() && alias.as_str().len() == 33);
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
