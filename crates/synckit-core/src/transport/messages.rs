//! The messages of a sync.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cursor::{Cursor, Position};
use crate::event::Event;
use crate::filter::Filter;
use crate::ids::{EventId, NodeId, StoreId};
use crate::limits::Limits;

/// Bytes on the wire, after compression. Headers are included if the transport knows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Bytes sent.
    pub sent: u64,
    /// Bytes received.
    pub received: u64,
}

/// The calling replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caller {
    /// The name the caller authors under.
    pub node: NodeId,
    /// The id of the caller's store.
    pub store: StoreId,
}

/// The first message of a sync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HelloRequest {
    /// The version the caller speaks: [`PROTOCOL_VERSION`](crate::PROTOCOL_VERSION).
    pub protocol: u32,
    /// The caller.
    pub caller: Caller,
    /// The fingerprint of the filter of this sync.
    pub filter: String,
    /// All places in the log of its expected peer that the caller knows, in the order of the log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<Cursor>,
    /// What the caller would push next. Not in the serde form, like all events of messages.
    #[serde(skip)]
    pub ahead: Option<Ahead>,
}

/// Events sent with the first message, so that a few events cost one round trip.
///
/// They are stored only if the response is what the caller expects: neither side was restored or copied since the last
/// push. Otherwise none of them is stored, and the caller pushes them once it has seen why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// The id of the store the caller expects to reach.
    pub peer: StoreId,
    /// The place in the caller's log that the peer has on record. The caller assumes that the peer knows nothing beyond
    /// it.
    pub after: Cursor,
    /// The latest event under the caller's name that the peer holds.
    pub latest: Option<EventId>,
    /// Events that the caller received from nobody else, in the order of its log.
    pub events: Vec<Event>,
    /// The place in the caller's log that is reached once all of these are stored.
    pub upto: Cursor,
}

/// The response to a hello.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelloResponse {
    /// The version the peer speaks: [`PROTOCOL_VERSION`](crate::PROTOCOL_VERSION).
    pub protocol: u32,
    /// The id of the responding store.
    pub store: StoreId,
    /// The latest former ids of the store, at most [`HelloResponse::MAX_FORMER`], oldest first. Places in its log may
    /// still name them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<StoreId>,
    /// Its node id.
    pub node: NodeId,
    /// The last position of its log.
    pub head: Position,
    /// The limits of what it accepts.
    pub limits: Limits,
    /// Its wall clock, in Unix milliseconds.
    pub time: u64,
    /// The highest counter it holds of the caller's node; 0 if it holds none.
    pub counter: u64,
    /// The event with this counter. If the caller does not hold it, the caller's log was restored from a backup, or
    /// another device writes under its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter_event: Option<EventId>,
    /// How far the caller has pushed, as recorded here: a cursor of the caller's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed: Option<Cursor>,
    /// All places in the caller's log that are on record here, from its pushes and from pulls of it, without
    /// duplicates. If the caller's log lacks one that it has sealed, it was restored from a backup, or a copy of it is
    /// in use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<Cursor>,
    /// Whether this log holds all places that the caller knows; true if it sent none.
    pub all_held: bool,
    /// A name for what the caller may read here; `None` where everybody may read everything. When the name changes, the
    /// caller may be allowed to read events that were skipped before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rights: Option<String>,
    /// The result for the events that came with the hello. `None` if there were none, if something is not as the caller
    /// expected, or if one of them was refused; push says which. Everything else in the response is as it was before
    /// they were stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead: Option<Stored>,
}

impl HelloResponse {
    /// The maximum number of places in a response, and in a request.
    pub const MAX_KNOWN: usize = 1_000;
    /// The maximum number of former ids in a response.
    pub const MAX_FORMER: usize = 16;
}

/// The result of a batch in which no event was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// The number of new events.
    pub accepted: usize,
    /// The number of events that were already held.
    pub duplicates: usize,
    /// Where the new events are in the log, as in [`PushResponse::placed`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed: Option<Placed>,
}

/// Which events a pull requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Events that did not come from the caller.
    #[default]
    Others,
    /// Only the ids, in [`PullResponse::ids`], of the events that came from these stores, which are former ids of the
    /// caller. The limit counts the places that are scanned. If the list is empty, the ids of all events.
    Sent(Vec<StoreId>),
    /// These events, if they are held, wherever they came from; the cursor does not matter.
    Named(Vec<EventId>),
}

impl Scope {
    /// The maximum number of stores in one request.
    pub const MAX_STORES: usize = 256;
}

/// Requests a page of the peer's log.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PullRequest {
    /// The caller.
    pub caller: Caller,
    /// Only events after this place; from the beginning if `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// The maximum number of events, at least one; the peer's limit if `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Only events that pass this filter.
    #[serde(default, skip_serializing_if = "Filter::is_empty")]
    pub filter: Filter,
    /// Which of these events.
    #[serde(default)]
    pub scope: Scope,
    /// Nothing after this position; up to the end of the log if `None`. A caller pulls up to the end that the hello
    /// told: what both sides compared there does not say that events beyond it, which came from the caller's store,
    /// are known to the caller. A copy of it may have pushed them since. Subscriptions have no end and ignore it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upto: Option<Position>,
}

/// A page of the peer's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullResponse {
    /// The events, in the order of the peer's log.
    pub events: Vec<Event>,
    /// The ids, if only ids were requested. In a subscription, the ids of those events that came from the caller and
    /// were left out: if the caller does not hold one, a copy of its store is in use.
    pub ids: Vec<EventId>,
    /// The entries of the page that could not be read as events.
    pub unreadable: Vec<Unreadable>,
    /// The cursor for the next page: everything up to it was scanned.
    pub next: Cursor,
    /// Whether there was more when the page was read.
    pub more: bool,
}

/// An entry of a page that could not be read as an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The id, as far as it could be read.
    pub id: String,
    /// The reason.
    pub code: RefusedCode,
    /// The reason in words.
    pub message: String,
    /// The text as received.
    pub text: String,
}

/// Hands over events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushRequest {
    /// The caller.
    pub caller: Caller,
    /// The fingerprint of the filter of this push.
    pub filter: String,
    /// The events, in the order of the caller's log.
    pub events: Vec<Event>,
    /// The place in the caller's log that the caller believes to be on record; `None` for none. If another place is on
    /// record, nothing is stored.
    pub from: Option<Cursor>,
    /// The place in the caller's log that is reached once all of these are stored. The peer records it in the same
    /// commit, unless it refused something.
    pub upto: Option<Cursor>,
    /// Places in the peer's log: the caller leaves out what it knows to be before them. If that log lacks one, because it
    /// was restored, nothing is stored.
    pub known: Vec<Cursor>,
}

/// The result of a push.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushResponse {
    /// The number of new events.
    pub accepted: usize,
    /// The number of events that were already held.
    pub duplicates: usize,
    /// The events that were not stored, and why, in any order.
    pub refused: Vec<Refused>,
    /// Where the new events are in the peer's log; `None` if none was new. A caller that had pulled up to the place
    /// before them has now pulled up to the last of them, because they are its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed: Option<Placed>,
}

/// A run of places in a log that the events of one commit take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// The position before the first event.
    pub after: Position,
    /// The place of the last event.
    pub upto: Cursor,
}

/// An event that was not stored, and why. Its id says which it is: a log never holds two events with one id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The id, as far as it could be read.
    pub id: String,
    /// The reason.
    pub code: RefusedCode,
    /// The reason in words.
    pub message: String,
}

/// Why an event was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RefusedCode {
    /// It cannot be read, or its parts contradict each other.
    Invalid,
    /// It is larger than the limit.
    TooLarge,
    /// Its id already names an event with other content.
    IdTaken,
    /// The caller may not write it.
    Denied,
}

impl fmt::Display for RefusedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RefusedCode::Invalid => "invalid",
            RefusedCode::TooLarge => "too_large",
            RefusedCode::IdTaken => "id_taken",
            RefusedCode::Denied => "denied",
        })
    }
}

/// Asks which of these events the peer does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MissingRequest {
    /// The caller.
    pub caller: Caller,
    /// The ids of the events.
    pub ids: Vec<EventId>,
    /// Places in the peer's log, as in [`PushRequest::known`]: if that log lacks one, there is no answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<Cursor>,
}

/// The events the peer does not hold, in the order they were asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingResponse {
    /// The ids of the events.
    pub ids: Vec<EventId>,
    /// A place in the peer's log: the peer holds the other events at or before it. A log without this place may lack
    /// them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Cursor>,
}
