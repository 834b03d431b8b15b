//! The values of notes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use synckit_core::binary::{put_varint, take_varint};
use synckit_core::{Cursor, Error, EventId, NodeId, Position, RefusedCode, Result, StoreId, VectorClock};

/// On which machine a file was last opened: a hash of the id of the machine, how often it was another one than before,
/// and when that was last, in Unix milliseconds. The store writes it when it opens the file.
pub type Machine = (String, u32, u64);

/// The highest counter held of a node, and the event with that counter. Its text form is `counter event`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latest {
    /// The counter, at least 1.
    pub counter: u64,
    /// The event that the dot with this counter names.
    pub event: EventId,
}

impl fmt::Display for Latest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.counter, self.event)
    }
}

impl FromStr for Latest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split_once(' ').and_then(|(counter, event)| Some((counter.parse().ok()?, event)));
        let (counter, event) = parts.ok_or_else(|| Error::corrupt("this is not a counter and an event"))?;
        Ok(Latest { counter, event: EventId::new(event)? })
    }
}

/// What an author that cannot stamp is known to have seen of one aggregate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Everything of the aggregate up to this position of the local log.
    pub upto: Position,
    /// The clock of that, and of what the author wrote.
    pub clock: VectorClock,
}

impl Seen {
    /// Adds what is known from elsewhere.
    ///
    /// # Errors
    /// `TooLarge` above 1,000 nodes; nothing has changed then.
    pub fn merge(&mut self, other: &Seen) -> Result<()> {
        self.clock.merge(&other.clock)?;
        self.upto = self.upto.max(other.upto);
        Ok(())
    }

    /// Returns the compact binary form: the position as LEB128, and the clock.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.upto);
        self.clock.encode(&mut out);
        out
    }

    /// Reads the binary form found under a key.
    ///
    /// # Errors
    /// `Corrupt`, with the key.
    pub fn decode(key: &str, mut value: &[u8]) -> Result<Seen> {
        let value = &mut value;
        let read = take_varint(value).and_then(|upto| Ok(Seen { upto, clock: VectorClock::decode(value)? }));
        read.map_err(|error| Error::corrupt("a note cannot be read").with("key", key).with_source(error))
    }
}

/// How far a peer's log has been pulled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullNote {
    /// The place in the peer's log.
    pub cursor: Cursor,
    /// The store that holds everything up to that place: this store, under the id it had then. Under another id it may
    /// lack what the peer left out as the caller's own events.
    pub held_by: StoreId,
    /// The peer's name for what this replica was allowed to read then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rights: Option<String>,
    /// How far the peer has been asked what else it holds, while that is in progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
}

impl PullNote {
    /// Creates the note for a store that holds everything of a peer's log up to a place.
    pub fn at(cursor: Cursor, held_by: StoreId, rights: Option<String>) -> Self {
        PullNote { cursor, held_by, rights, asked: None }
    }
}

/// How far a peer has been asked which events it holds in the pulled part of its log that are missing here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The id of the asking store.
    pub by: StoreId,
    /// The peer's name for what the asking store may read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rights: Option<String>,
    /// The place in the peer's log.
    pub to: Cursor,
}

/// How far the local log has been pushed to a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushNote {
    /// Everything up to this position was offered, or came from the peer.
    pub position: Position,
    /// The place in the local log that the peer has confirmed to have on record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Cursor>,
    /// The latest event that was authored under the local name and pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<EventId>,
    /// The furthest place in the peer's log where it stored pushed events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed: Option<Cursor>,
}

/// The name of a peer, and the time of the last sync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerNote {
    /// The peer's node id.
    pub node: NodeId,
    /// When a sync with it last succeeded, in Unix milliseconds.
    pub synced_at: u64,
    /// How far its clock was ahead of the local clock then, in milliseconds.
    #[serde(default)]
    pub clock_skew_millis: i64,
}

/// What is kept of a refused event, here or at a peer, so that it can be tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedNote {
    /// The event's id, as far as it could be read.
    pub id: String,
    /// The peer it came from or that refused it.
    pub peer: StoreId,
    /// The reason.
    pub code: RefusedCode,
    /// The reason in words.
    pub message: String,
    /// Its position in the local log, if it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// Whether to offer it to the peer again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    /// The event as received, if it is not in the local log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
}

/// The maximum number of events in a page and in a batch that was seen to get through to a peer; absent if there is no
/// limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaceNote {
    /// Of a page that is pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull: Option<usize>,
    /// Of a batch that is pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<usize>,
}

/// A local event that does not reach a peer, because something between does not let it through or because it cannot be
/// read here. It is tried again at each sync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBack {
    /// The event's id; empty if it cannot be read.
    pub id: String,
    /// Its position in the local log.
    pub position: Position,
    /// The reason in words.
    pub message: String,
}

/// A place in a peer's log that the peer could not read. It is requested again at each sync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The position.
    pub position: Position,
    /// The place before it; `None` at the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Cursor>,
}
