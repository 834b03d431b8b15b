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
//! | `damaged/<event>` | empty: an event whose row in the local log is damaged, to be fetched again |
//! | `route/<peer>/pace` | [`PaceNote`]: how large a message to the peer may be |
//! | `route/<peer>/held/<position>` | [`HeldBack`]: a local event that does not reach the peer |
//! | `route/<peer>/gap/<position>` | [`Gap`]: a place in the peer's log that the peer could not read |
//! | `route/<peer>/again/<event>` | empty: an event of the peer that could not be read here, to be fetched once more |
//! | `view/<name>/<version>/…` | what a view of the application keeps |
//!
//! `<bytes>` is the length of the name that follows. Peers and callers are named by store id, filters by fingerprint,
//! addresses by a hash.

mod values;

use synckit_core::{AggregateId, Error, EventId, Facts, NodeId, Position, Result, StoreId};

use crate::ledger;
pub use values::{
    Asked, Gap, HeldBack, Latest, Machine, PaceNote, PeerNote, PullNote, PushNote, RefusedNote, Seen,
};

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
/// The prefix of the keys of events whose rows in the local log are damaged.
pub const DAMAGED: &str = "damaged/";
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

/// Returns the key of an event whose row in the local log is damaged.
pub fn damaged(event: &EventId) -> String {
    format!("{DAMAGED}{event}")
}

/// Returns the id of an event that is to be fetched from a peer once more, from its key.
pub fn fetched_again(key: &str) -> Option<&str> {
    key.strip_prefix("route/")?.split_once("/again/").map(|(_, id)| id)
}
