//! What the calls of a sync carry.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cursor::Cursor;
use crate::cursor::Position;
use crate::event::Event;
use crate::filter::Filter;
use crate::ids::{EventId, NodeId, StoreId};
use crate::limits::Limits;

/// Bytes on the wire, as compressed, headers included where the transport knows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Bytes sent.
    pub sent: u64,
    /// Bytes received.
    pub received: u64,
}

/// The replica that calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caller {
    /// The name it authors under.
    pub node: NodeId,
    /// Its store.
    pub store: StoreId,
}

/// The first message of a sync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HelloRequest {
    /// [`PROTOCOL_VERSION`](crate::PROTOCOL_VERSION).
    pub protocol: u32,
    /// Who calls.
    pub caller: Caller,
    /// The fingerprint of the filter this sync is about.
    pub filter: String,
    /// The furthest place the caller knows in the log of the peer it believes to talk to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// What the caller would push next. Not in the serde form, as no events of a message are.
    #[serde(skip)]
    pub ahead: Option<Ahead>,
}

/// Events that come with the first message, so that few of them cost one round trip.
///
/// They are stored only where the answer is what the caller expects: that neither side
/// was set back or copied since the last push. Else nothing of them is stored, and the caller pushes them once it has seen
/// why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// The store the caller believes to talk to.
    pub peer: StoreId,
    /// The place in the caller's log that the peer has on record, and beyond which it knows nothing of it.
    pub after: Cursor,
    /// The latest event under the caller's name that the peer holds.
    pub latest: Option<EventId>,
    /// Events that came to the caller from nobody else, in the order of its log.
    pub events: Vec<Event>,
    /// The place in the caller's log that is reached when all of these are held.
    pub upto: Cursor,
}

/// The answer to a hello.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelloResponse {
    /// [`PROTOCOL_VERSION`](crate::PROTOCOL_VERSION).
    pub protocol: u32,
    /// The answering store.
    pub store: StoreId,
    /// The ids under which it went before, the latest [`HelloResponse::MAX_FORMER`] of them, oldest first: places in its log
    /// may still name them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<StoreId>,
    /// Its node id.
    pub node: NodeId,
    /// The last position of its log.
    pub head: Position,
    /// What it accepts at most.
    pub limits: Limits,
    /// Its wall clock, in Unix milliseconds.
    pub time: u64,
    /// The highest counter it holds of the caller's node; 0 for none.
    pub counter: u64,
    /// The event of this counter. If the caller does not hold it, its log was set back, or somebody else writes under its
    /// name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter_event: Option<EventId>,
    /// How far the caller has pushed, as recorded here: a cursor of the caller's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed: Option<Cursor>,
    /// All places in the caller's log that are on record here, from its pushes and from pulls of it, each once. If the
    /// caller's log does not hold one that it has sealed, it was set back, or a copy of it is in use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<Cursor>,
    /// Whether the caller's cursor names an event of this log; true when it sent none.
    pub cursor_known: bool,
    /// A name for what the caller may read here; none where everybody may read everything. Under another name than before
    /// it may read what was passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rights: Option<String>,
    /// What became of the events that came with the hello. `None` where there were none, where something is not as the
    /// caller expected, and where one of them was refused: push says which. All else in the answer is as it was before
    /// they were stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead: Option<Stored>,
}

impl HelloResponse {
    /// The most places that an answer names.
    pub const MAX_KNOWN: usize = 1_000;
    /// The most former ids that an answer names.
    pub const MAX_FORMER: usize = 16;
}

/// What became of events of which none was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// How many were new.
    pub accepted: usize,
    /// How many were held already.
    pub duplicates: usize,
    /// Where the new ones stand, as in [`PushResponse::placed`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed: Option<Placed>,
}

/// Which events a pull asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Those that did not come from the caller.
    #[default]
    Others,
    /// Only the ids, in [`PullResponse::ids`], of those that came from these stores: the caller went under these ids. The
    /// limit is that of the places that are looked at. Where none is named, the ids of all.
    Sent(Vec<StoreId>),
    /// These, if they are held, wherever they came from; the cursor does not matter.
    Named(Vec<EventId>),
}

impl Scope {
    /// The most stores that one request names.
    pub const MAX_STORES: usize = 256;
}

/// Asks for a page of the peer's log.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PullRequest {
    /// Who calls.
    pub caller: Caller,
    /// After this place; from the beginning when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// At most so many events, at least one; the peer's limit when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Only events that pass.
    #[serde(default, skip_serializing_if = "Filter::is_empty")]
    pub filter: Filter,
    /// Which of them.
    #[serde(default)]
    pub scope: Scope,
}

/// A page of the peer's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullResponse {
    /// The events, in the order of the peer's log.
    pub events: Vec<Event>,
    /// The ids, where only those were asked for.
    pub ids: Vec<EventId>,
    /// What was in the page and could not be read as an event.
    pub unreadable: Vec<Unreadable>,
    /// Everything up to here was looked at; the cursor for the next page.
    pub next: Cursor,
    /// Whether there was more when the page was read.
    pub more: bool,
}

/// Something in a page that could not be read as an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The id, as far as it could be read.
    pub id: String,
    /// Why it could not be read.
    pub code: RefusalCode,
    /// Why, in words.
    pub message: String,
    /// The text as it came.
    pub text: String,
}

/// Hands over events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushRequest {
    /// Who calls.
    pub caller: Caller,
    /// The fingerprint of the filter this push is about.
    pub filter: String,
    /// The events, in the order of the caller's log.
    pub events: Vec<Event>,
    /// The place in the caller's log that the caller believes to be on record; `None` for none. Where another is, nothing is
    /// stored.
    pub from: Option<Cursor>,
    /// The place in the caller's log that is reached when all of these are held. Put on record by the peer in
    /// the same commit, unless it refused something.
    pub upto: Option<Cursor>,
}

/// What became of the events of a push.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushResponse {
    /// How many were new.
    pub accepted: usize,
    /// How many were held already.
    pub duplicates: usize,
    /// Those that were not stored, and why.
    pub refused: Vec<Refused>,
    /// Where the new ones stand in the peer's log; `None` when none was new. A caller that had pulled up to the place
    /// before them has pulled up to their last, because they are its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed: Option<Placed>,
}

/// A run of places in a log, taken by the events of one commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// The position before the first.
    pub after: Position,
    /// The last.
    pub upto: Cursor,
}

/// An event that was not stored, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Its place in the batch, from 0.
    pub index: usize,
    /// Its id, as far as it could be read.
    pub id: String,
    /// Why.
    pub code: RefusalCode,
    /// Why, in words.
    pub message: String,
}

/// Why an event was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RefusalCode {
    /// It cannot be read, or its parts contradict each other.
    Invalid,
    /// It is larger than allowed.
    TooLarge,
    /// Its id already names an event with other content.
    IdTaken,
    /// The caller may not write it.
    Denied,
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RefusalCode::Invalid => "invalid",
            RefusalCode::TooLarge => "too_large",
            RefusalCode::IdTaken => "id_taken",
            RefusalCode::Denied => "denied",
        })
    }
}

/// Asks which of these events the peer does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MissingRequest {
    /// Who calls.
    pub caller: Caller,
    /// The events.
    pub ids: Vec<EventId>,
}

/// The events the peer does not hold, in the order they were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingResponse {
    /// The events.
    pub ids: Vec<EventId>,
    /// A place in the peer's log: it holds the others at or before it. A log that does not hold this place may lack them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Cursor>,
}
