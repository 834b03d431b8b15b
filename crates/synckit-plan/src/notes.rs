//! The notebook: the keys that a store keeps beside its log, and their values.
//!
//! | key | value |
//! |---|---|
//! | `store` | the store id, as text |
//! | `node` | [`Identity`](synckit_core::Identity): the node id, the current author name, and its former names |
//! | `machine` | [`Machine`]: on which machine a file was last opened |
//! | `handed` | the position in the local log up to which events were handed out, as text |
//! | `origin/<node>` | [`Latest`]: the highest counter held of that node, and the event with that counter, as text |
//! | `heads/<aggregate>` | [`Heads`](crate::Heads), in their binary form |
//! | `seen/<bytes>/<author>/<aggregate>` | [`Seen`]: what an author that cannot stamp has seen, in its binary form |
//! | `client/<author>` | what a transport keeps about such an author |
//! | `holds/<bytes>/<author>/<part>` | which places of the log such an author holds, a bit for each |
//! | `conflict/<aggregate>` | when the conflict was found, in Unix milliseconds; absent once settled |
//! | `full/<aggregate>` | how many nodes the heads of an aggregate have seen, as text, if there are 800 or more |
//! | `conflicts` | the number of unsettled conflicts, as text; absent before the first |
//! | `waiting/<aggregate>` | a conflict that waits for a resolver: a random number that the last commit about it drew, as text; absent once settled, or once a resolver has left it for a person |
//! | `waiting` | a random number that the last commit with such a note drew, as text; absent while none waits |
//! | `asked` | the resolver that has left all conflicts that do not wait, as text: its name and its fingerprint; absent while all wait |
//! | `pull/<peer>/<filter>` | [`PullNote`]: how far the peer's log has been pulled |
//! | `push/<peer>/<filter>` | [`PushNote`]: how far the local log has been pushed |
//! | `pushed/<caller>/<filter>` | [`Pushed`](crate::Pushed): how far a caller says it has pushed here, as text |
//! | `callers` | the number of callers with such a note, as text; absent before the first |
//! | `turn/<peer>` | the exchange with a peer that stored something last: a random number, as text |
//! | `last/<filter>`, `last/<filter>/<address>` | the peer that a filter was last synced with, in all or at an address: a store id as JSON text |
//! | `peer/<peer>` | [`PeerNote`]: the peer's name and the time of the last sync |
//! | `refused/here/<peer>/<event>` | [`RefusedNote`]: a foreign event that could not be stored |
//! | `refused/peer/<peer>/<event>` | [`RefusedNote`]: an event the peer refused |
//! | `route/<peer>/pace` | [`PaceNote`]: how large a message to the peer may be |
//! | `route/<peer>/held/<position>` | [`HeldBack`]: a local event that does not reach the peer |
//! | `route/<peer>/gap/<position>` | [`Gap`]: a place in the peer's log that the peer could not read |
//! | `route/<peer>/again/<event>` | empty: an event of the peer that could not be read here, to be fetched once more |
//!
//! `<bytes>` is the length of the name that follows. Peers and callers are named by store id, filters by fingerprint,
//! addresses by a hash.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use synckit_core::binary::{put_varint, take_varint};
use synckit_core::{
    AggregateId, Cursor, Error, EventId, Facts, NodeId, Position, RefusedCode, Result, StoreId, VectorClock,
};

use crate::ledger;

/// The key of the position up to which the local log was handed out.
pub const HANDED: &str = "handed";
/// The key of the [`Machine`] that a file was last opened on.
pub const MACHINE: &str = "machine";
/// The prefix of the keys of the heads of aggregates.
pub const HEADS: &str = "heads/";
/// The prefix of the keys of unsettled conflicts.
pub const CONFLICTS: &str = "conflict/";
/// The prefix of the keys of aggregates whose clock is nearly full.
pub const FULL: &str = "full/";
/// The key of the number of unsettled conflicts.
pub const CONFLICT_COUNT: &str = "conflicts";
/// The prefix of the keys of conflicts that wait for a resolver.
pub const WAITING_CONFLICTS: &str = "waiting/";
/// The key that says whether conflicts wait for a resolver.
pub const WAITING: &str = "waiting";
/// The key of the resolver that was asked last.
pub const ASKED: &str = "asked";
/// The prefix of the keys of foreign events that were set aside.
pub const REFUSED_HERE: &str = "refused/here/";
/// The prefix of the keys of local events that a peer refused.
pub const REFUSED_BY_PEERS: &str = "refused/peer/";
/// The prefix of the keys of how far callers say they have pushed here.
pub const PUSHED: &str = "pushed/";
/// The key of the number of callers with such a note.
pub const CALLERS: &str = "callers";
/// The prefix of the keys of peers.
pub const PEERS: &str = "peer/";

/// Returns the position up to which the local log was handed out, according to the facts.
///
/// # Errors
/// `Corrupt` when the note cannot be read.
pub fn handed(facts: &Facts) -> Result<Position> {
    Ok(ledger::text(facts, HANDED)?.unwrap_or(0))
}

/// Returns the key of the [`Latest`] of a node.
pub fn origin(node: &NodeId) -> String {
    ["origin/", node.as_str()].concat()
}

/// Returns the key of the heads of an aggregate.
pub fn heads(aggregate: &AggregateId) -> String {
    [HEADS, aggregate.as_str()].concat()
}

/// Returns the aggregate whose heads are under this key.
///
/// # Errors
/// `Corrupt` when it is not such a key.
pub fn of_heads(key: &str) -> Result<AggregateId> {
    let aggregate = key.strip_prefix(HEADS).and_then(|aggregate| aggregate.parse().ok());
    aggregate.ok_or_else(|| Error::corrupt("this is not the key of heads").with("key", key))
}

/// Returns the key of what an author that cannot stamp is known to have seen of an aggregate.
pub fn seen(author: &NodeId, aggregate: &AggregateId) -> String {
    format!("seen/{}/{author}/{aggregate}", author.as_str().len())
}

/// Returns the key of what a transport keeps about an author that cannot stamp.
pub fn client(author: &NodeId) -> String {
    format!("client/{author}")
}

/// Returns the key of a part of what is kept about the places of the log that an author that cannot stamp holds.
pub fn client_holds(author: &NodeId, part: u64) -> String {
    format!("{}{part:016x}", all_client_holds(author))
}

/// Returns the prefix of the keys of all such parts.
pub fn all_client_holds(author: &NodeId) -> String {
    format!("holds/{}/{author}/", author.as_str().len())
}

/// Returns the key of an unsettled conflict.
pub fn conflict(aggregate: &AggregateId) -> String {
    format!("{CONFLICTS}{aggregate}")
}

/// Returns the key of an aggregate whose clock is nearly full.
pub fn full(aggregate: &AggregateId) -> String {
    format!("{FULL}{aggregate}")
}

/// Returns the key of a conflict that waits for a resolver.
pub fn waiting(aggregate: &AggregateId) -> String {
    format!("{WAITING_CONFLICTS}{aggregate}")
}

/// Returns the key of a [`PullNote`].
pub fn pull(peer: StoreId, filter: &str) -> String {
    format!("pull/{peer}/{filter}")
}

/// Returns the key of a [`PushNote`].
pub fn push(peer: StoreId, filter: &str) -> String {
    format!("push/{peer}/{filter}")
}

/// Returns the key of the ticket of the exchange with a peer that stored something last.
pub fn turn(peer: StoreId) -> String {
    format!("turn/{peer}")
}

/// Returns the key of how far a caller says it has pushed here.
pub fn pushed(caller: StoreId, filter: &str) -> String {
    format!("{PUSHED}{caller}/{filter}")
}

/// Returns the caller that such a key names.
pub(crate) fn caller(pushed: &str) -> &str {
    pushed.split('/').nth(1).unwrap_or_default()
}

/// Returns the key of the peer that a filter was last synced with, or that it was last synced with at an address.
pub fn last(filter: &str, address: Option<&str>) -> String {
    match address {
        None => format!("last/{filter}"),
        Some(address) => format!("last/{filter}/{address}"),
    }
}

/// Returns the key of a [`PeerNote`].
pub fn peer(peer: StoreId) -> String {
    format!("{PEERS}{peer}")
}

/// Returns the key of a foreign event that was set aside.
pub fn refused_here(peer: StoreId, event: &str) -> String {
    format!("{REFUSED_HERE}{peer}/{event}")
}

/// Returns the prefix of the keys of local events that this peer refused.
pub fn refused_by(peer: StoreId) -> String {
    format!("{REFUSED_BY_PEERS}{peer}/")
}

/// Returns the key of a local event that a peer refused.
pub fn refused_by_peer(peer: StoreId, event: &EventId) -> String {
    format!("{REFUSED_BY_PEERS}{peer}/{event}")
}

/// On which machine a file was last opened: a hash of the id of the machine, how often it was another one than before,
/// and when that was last, in Unix milliseconds. The store writes it when it opens the file.
pub type Machine = (String, u32, u64);

/// Returns the prefix of everything about the way to a peer.
pub fn route(peer: StoreId) -> String {
    format!("route/{peer}/")
}

/// Returns the key of a [`PaceNote`].
pub fn pace(peer: StoreId) -> String {
    format!("route/{peer}/pace")
}

/// Returns the prefix of the keys of local events that do not reach a peer.
pub fn held_back(peer: StoreId) -> String {
    format!("route/{peer}/held/")
}

/// Returns the prefix of the keys of places that a peer could not read.
pub fn gaps(peer: StoreId) -> String {
    format!("route/{peer}/gap/")
}

/// Returns the prefix of the keys of events that are to be fetched from a peer once more.
///
/// The id of the event follows; [`fetched_again`] returns it.
pub fn fetch_again(peer: StoreId) -> String {
    format!("route/{peer}/again/")
}

/// Returns the id of an event that is to be fetched from a peer once more, from its key.
pub fn fetched_again(key: &str) -> Option<&str> {
    key.strip_prefix("route/")?.split_once("/again/").map(|(_, id)| id)
}

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
