//! The notebook: the keys a store keeps beside its log, and what stands under them.
//!
//! | key | value |
//! |---|---|
//! | `store` | the store id, as text |
//! | `node` | [`Identity`]: the node id, the name it authors under now, and its former names |
//! | `handed` | the position in the own log up to which events were handed to others, as text |
//! | `origin/<node>` | [`Latest`]: the highest counter held of that node, and the event that has it, as text |
//! | `heads/<aggregate>` | [`Heads`](crate::Heads), in their binary form |
//! | `seen/<bytes>/<author>/<aggregate>` | [`Seen`]: what an author who cannot stamp is known to have seen, in its binary form |
//! | `client/<author>` | what a transport keeps about such an author |
//! | `conflict/<aggregate>` | when the conflict was found, in Unix milliseconds; absent once settled |
//! | `pull/<peer>/<filter>` | [`PullNote`]: how far the peer's log has been pulled |
//! | `push/<peer>/<filter>` | [`PushNote`]: how far the own log has been pushed |
//! | `pushed/<caller>/<filter>` | how far a caller says it has pushed here: a cursor of the caller's log |
//! | `last/<filter>` | the peer that a filter was last synced with: a store id as JSON text |
//! | `peer/<peer>` | [`PeerNote`]: who the peer is and when it was last synced |
//! | `aside/in/<peer>/<event>` | [`Aside`]: a foreign event that could not be stored |
//! | `aside/out/<peer>/<event>` | [`Aside`]: an event the peer refused |
//!
//! `<bytes>` is the length of the name that follows. Peers and callers are named by store id, filters by fingerprint.

use std::fmt;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::clock::VectorClock;
use crate::cursor::{Cursor, Secret};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{AggregateId, EventId, NodeId, StoreId};
use crate::timestamp::Timestamp;
use crate::transport::RefusalCode;
use crate::varint::{put_varint, take_varint};
use crate::version::Position;

/// One entry of the notebook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Vec<u8>,
}

impl Note {
    /// A note with a JSON value.
    ///
    /// # Errors
    /// `Internal` when the value has no JSON form.
    pub fn json<T: Serialize>(key: String, value: &T) -> Result<Note> {
        let value = serde_json::to_vec(value)
            .map_err(|error| Error::new(ErrorKind::Internal, "a note has no JSON form").with_source(error))?;
        Ok(Note { key, value })
    }

    /// Reads a JSON value.
    ///
    /// # Errors
    /// `Corrupt`, naming the key.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        read(&self.key, &self.value)
    }
}

/// Reads a JSON value found under this key.
///
/// # Errors
/// `Corrupt`, naming the key.
pub fn read<T: DeserializeOwned>(key: &str, value: &[u8]) -> Result<T> {
    serde_json::from_slice(value)
        .map_err(|error| Error::corrupt("a note cannot be read").with("key", key).with_source(error))
}

/// The key of the store id.
pub const STORE: &str = "store";
/// The key of the [`Identity`].
pub const NODE: &str = "node";
/// The key of the position up to which the own log was handed to others.
pub const HANDED: &str = "handed";
/// The prefix of the keys of unsettled conflicts.
pub const CONFLICTS: &str = "conflict/";
/// The prefix of the keys of foreign events that were set aside.
pub const ASIDE_IN: &str = "aside/in/";
/// The prefix of the keys of own events that a peer refused.
pub const ASIDE_OUT: &str = "aside/out/";
/// The prefix of the keys of peers.
pub const PEERS: &str = "peer/";

/// The key of the [`Latest`] of a node.
pub fn origin(node: &NodeId) -> String {
    ["origin/", node.as_str()].concat()
}

/// The key of the heads of an aggregate.
pub fn heads(aggregate: &AggregateId) -> String {
    ["heads/", aggregate.as_str()].concat()
}

/// The key of what an author who cannot stamp is known to have seen of an aggregate.
pub fn seen(author: &NodeId, aggregate: &AggregateId) -> String {
    format!("seen/{}/{author}/{aggregate}", author.as_str().len())
}

/// The key of what a transport keeps about an author who cannot stamp.
pub fn client(author: &NodeId) -> String {
    format!("client/{author}")
}

/// The key of an unsettled conflict.
pub fn conflict(aggregate: &AggregateId) -> String {
    format!("{CONFLICTS}{aggregate}")
}

/// The key of a [`PullNote`].
pub fn pull(peer: StoreId, filter: &str) -> String {
    format!("pull/{peer}/{filter}")
}

/// The key of a [`PushNote`].
pub fn push(peer: StoreId, filter: &str) -> String {
    format!("push/{peer}/{filter}")
}

/// The key of how far a caller says it has pushed here.
pub fn pushed(caller: StoreId, filter: &str) -> String {
    format!("pushed/{caller}/{filter}")
}

/// The key of the peer that a filter was last synced with.
pub fn last(filter: &str) -> String {
    format!("last/{filter}")
}

/// The key of a [`PeerNote`].
pub fn peer(peer: StoreId) -> String {
    format!("{PEERS}{peer}")
}

/// The key of a foreign event that was set aside.
pub fn aside_in(peer: StoreId, event: &str) -> String {
    format!("{ASIDE_IN}{peer}/{event}")
}

/// The prefix of the keys of own events that this peer refused.
pub fn aside_out_of(peer: StoreId) -> String {
    format!("{ASIDE_OUT}{peer}/")
}

/// The key of an own event that a peer refused.
pub fn aside_out(peer: StoreId, event: &EventId) -> String {
    format!("{ASIDE_OUT}{peer}/{event}")
}

/// The notes of a new store: whose it is, its id, and the secret it seals places with. Id and secret must be random.
///
/// # Errors
/// `Invalid` when the node id has a `~`.
pub fn of_new_store(node: NodeId, id: StoreId, secret: Secret) -> Result<[Note; 2]> {
    node.check_chosen()?;
    Ok([Note::json(NODE.to_owned(), &Identity::new(node, secret))?, store_note(id)])
}

/// The note that says under which id the store goes.
pub(crate) fn store_note(id: StoreId) -> Note {
    Note { key: STORE.to_owned(), value: id.to_string().into_bytes() }
}

/// Reads the value found under [`STORE`].
///
/// # Errors
/// `Corrupt` when there is none, or none that is a store id.
pub fn store_id(value: Option<&[u8]>) -> Result<StoreId> {
    let id = value.and_then(|bytes| std::str::from_utf8(bytes).ok()?.parse().ok());
    id.ok_or_else(|| Error::corrupt("the store id cannot be read").with("key", STORE))
}

/// Reads the value found under [`NODE`].
///
/// # Errors
/// `Corrupt` when there is none, or none that is an [`Identity`].
pub fn identity(value: Option<&[u8]>) -> Result<Identity> {
    let value = value.ok_or_else(|| Error::corrupt("the store does not say which node it belongs to"))?;
    read(NODE, value)
}

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

    /// Whether an event that comes was authored by another copy of this store, or another device of its name: under one of
    /// its names, after it had given that up.
    pub fn shows_copy(&self, author: &NodeId, time: Timestamp) -> bool {
        const MINUTE: u64 = 60_000;
        let same = *author != self.author && author.as_str().starts_with(self.node.as_str());
        let later = |former: &Former| time.millis() > former.at.saturating_add(MINUTE);
        same && author.chosen() == self.node.as_str() && self.former.last().is_none_or(later)
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

/// The highest counter held of a node, and the event that has it. Its text form is `counter event`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latest {
    /// The counter, at least 1.
    pub counter: u64,
    /// The event that the dot of this counter names.
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

/// What an author who cannot stamp is known to have seen of one aggregate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Everything of the aggregate up to this position of the log here.
    pub upto: Position,
    /// What that is, and what the author wrote.
    pub clock: VectorClock,
}

impl Seen {
    /// Takes in what is known from elsewhere.
    ///
    /// # Errors
    /// `TooLarge` above 1,000 nodes; nothing has changed then.
    pub fn merge(&mut self, other: &Seen) -> Result<()> {
        self.clock.merge(&other.clock)?;
        self.upto = self.upto.max(other.upto);
        Ok(())
    }

    /// The compact binary form: the position as LEB128, and the clock.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.upto);
        self.clock.encode(&mut out);
        out
    }

    /// Reads the binary form found under a key.
    ///
    /// # Errors
    /// `Corrupt`, naming the key.
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
    /// The store that holds everything up to there: this one under the id that it had then. Under another id it may lack
    /// what the peer left out as its own.
    pub held_by: StoreId,
    /// What this replica might read then, by the peer's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rights: Option<String>,
    /// How far the peer was asked what else is there, while that goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
}

impl PullNote {
    /// A store that holds everything of a peer's log up to there.
    pub fn at(cursor: Cursor, held_by: StoreId, rights: Option<String>) -> Self {
        PullNote { cursor, held_by, rights, asked: None }
    }
}

/// How far a peer was asked what is in the part of its log that was pulled, and not here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The id of the store that asks.
    pub by: StoreId,
    /// What it may read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rights: Option<String>,
    /// The place in the peer's log.
    pub to: Cursor,
}

/// How far the own log has been pushed to a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushNote {
    /// Everything up to this position was offered, or came from the peer.
    pub position: Position,
    /// The place in the own log that the peer has confirmed to have on record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Cursor>,
    /// The latest event here that was authored under the own name and pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<EventId>,
    /// The furthest place in the peer's log at which it has put what was pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed: Option<Cursor>,
}

/// Who a peer is and when it was last synced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerNote {
    /// The peer's node id.
    pub node: NodeId,
    /// When a sync with it last ended well, in Unix milliseconds.
    pub synced_at: u64,
    /// How far its clock was ahead of the own then, in milliseconds.
    #[serde(default)]
    pub clock_skew_millis: i64,
}

/// An event that could not be stored, here or at a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aside {
    /// The event's id, as far as it could be read.
    pub id: String,
    /// The peer it came from or that refused it.
    pub peer: StoreId,
    /// Why.
    pub code: RefusalCode,
    /// Why, in words.
    pub message: String,
    /// Its position in the own log, when it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// Whether it is to be offered to the peer again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    /// The event as it came, when it is not in the own log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
}
