//! The contract of a transport: the calls of a sync, and their messages.
//!
//! An endpoint implements the same trait as a client, so in-process sync, relays and proxies need nothing
//! of their own.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures_core::Stream;
use serde::{Deserialize, Serialize};

use crate::cursor::Cursor;
use crate::error::Result;
use crate::event::Event;
use crate::filter::Filter;
use crate::ids::{EventId, NodeId, StoreId};
use crate::limits::Limits;
use crate::version::Position;

/// The version of the protocol these messages make up.
pub const PROTOCOL_VERSION: u32 = 1;

/// The calls of a sync: the way to a peer, or the peer itself.
///
/// # What an implementor must do
///
/// - Every call can be repeated: the answer may have been lost. There are no hidden retries; the engine
///   retries by the kind of the error.
/// - An error of the peer MUST keep its kind on the way.
/// - Dropping any future at any await MUST leave the peer as before or as after the whole call.
/// - What comes in is checked against limits before it is held in memory.
pub trait Transport: Send + Sync + 'static {
    /// Says who is calling and learns who answers, and how far each knows the other.
    ///
    /// # Errors
    /// `Unsupported` for another protocol version, `Conflict` when both sides are the same replica, and those of
    /// the way there.
    fn hello(&self, request: HelloRequest) -> impl Future<Output = Result<HelloResponse>> + Send;

    /// Reads a page of the peer's log.
    ///
    /// # Errors
    /// `CursorUnknown` when the cursor is not of the peer's log, and those of the way there.
    fn pull(&self, request: PullRequest) -> impl Future<Output = Result<PullResponse>> + Send;

    /// Hands over events. Idempotent, and atomic per batch: whatever is not refused is durable when it answers.
    ///
    /// # Errors
    /// `TooLarge` for a batch above the peer's limits, and those of the way there.
    fn push(&self, request: PushRequest) -> impl Future<Output = Result<PushResponse>> + Send;

    /// Asks which of these events the peer does not hold.
    ///
    /// # Errors
    /// `TooLarge` for more ids than a batch has events, and those of the way there.
    fn missing(&self, request: MissingRequest) -> impl Future<Output = Result<MissingResponse>> + Send;

    /// A pull that never ends: catch-up, then live. Each item is a page; any page's cursor resumes it. Pages
    /// without events come now and then and show that the stream is alive.
    ///
    /// # Errors
    /// As [`Transport::pull`], at the start or as the last item.
    fn subscribe(&self, request: PullRequest) -> impl Future<Output = Result<PageStream>> + Send;

    /// What has crossed the wire through this transport since it was made; zero where there is no wire.
    fn traffic(&self) -> Traffic;

    /// Closes the connections. Later calls answer `Closed`.
    ///
    /// # Errors
    /// Those of the way there.
    fn close(&self) -> impl Future<Output = Result<()>> + Send;
}

/// The pages of a subscription.
pub type PageStream = Pin<Box<dyn Stream<Item = Result<PullResponse>> + Send>>;

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
    /// [`PROTOCOL_VERSION`].
    pub protocol: u32,
    /// Who calls.
    pub caller: Caller,
    /// The fingerprint of the filter this sync is about.
    pub filter: String,
    /// The furthest place the caller knows in the log of the peer it believes to talk to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
}

/// The answer to a hello.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelloResponse {
    /// [`PROTOCOL_VERSION`].
    pub protocol: u32,
    /// The answering store.
    pub store: StoreId,
    /// Its node id.
    pub node: NodeId,
    /// The last position of its log.
    pub head: Position,
    /// What it accepts at most.
    pub limits: Limits,
    /// Its wall clock, in Unix milliseconds.
    pub time: u64,
    /// The highest counter it holds of the caller's node; 0 for none. More than the caller knows of itself means
    /// that the caller was restored from an older copy.
    pub counter: u64,
    /// The event that the caller's dot of this counter names here. Another one than at the caller means so too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter_event: Option<EventId>,
    /// How far the caller has pushed, as recorded here: a cursor of the caller's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed: Option<Cursor>,
    /// The furthest place in the caller's log that is known here, from its pushes or from pulls of it. If the caller's
    /// log does not hold it, the caller was restored from an older copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<Cursor>,
    /// Whether the caller's cursor names an event of this log; true when it sent none.
    pub cursor_known: bool,
}

/// Which events a pull leaves out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Those that came from the caller.
    #[default]
    Others,
    /// None: the caller lost its log.
    Everything,
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
    /// What is left out.
    #[serde(default)]
    pub scope: Scope,
}

/// A page of the peer's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullResponse {
    /// The events, in the order of the peer's log.
    pub events: Vec<Event>,
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
    /// Its dot already names another event: two replicas write under one node id, or one was copied.
    ForkedOrigin,
    /// Its id already names an event with other content.
    IdTaken,
    /// Its time is too far ahead of the clock here.
    ClockDrift,
    /// The caller may not write it.
    Denied,
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RefusalCode::Invalid => "invalid",
            RefusalCode::TooLarge => "too_large",
            RefusalCode::ForkedOrigin => "forked_origin",
            RefusalCode::IdTaken => "id_taken",
            RefusalCode::ClockDrift => "clock_drift",
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
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// Any [`Transport`], chosen at run time. Clones share the transport.
#[derive(Clone)]
pub struct BoxTransport(Arc<dyn DynTransport>);

impl BoxTransport {
    /// Boxes a transport.
    pub fn new(transport: impl Transport) -> Self {
        BoxTransport(Arc::new(transport))
    }
}

impl fmt::Debug for BoxTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoxTransport")
    }
}

trait DynTransport: Send + Sync {
    fn hello(&self, request: HelloRequest) -> Boxed<'_, HelloResponse>;
    fn pull(&self, request: PullRequest) -> Boxed<'_, PullResponse>;
    fn push(&self, request: PushRequest) -> Boxed<'_, PushResponse>;
    fn missing(&self, request: MissingRequest) -> Boxed<'_, MissingResponse>;
    fn subscribe(&self, request: PullRequest) -> Boxed<'_, PageStream>;
    fn traffic(&self) -> Traffic;
    fn close(&self) -> Boxed<'_, ()>;
}

impl<T: Transport> DynTransport for T {
    fn hello(&self, request: HelloRequest) -> Boxed<'_, HelloResponse> {
        Box::pin(Transport::hello(self, request))
    }

    fn pull(&self, request: PullRequest) -> Boxed<'_, PullResponse> {
        Box::pin(Transport::pull(self, request))
    }

    fn push(&self, request: PushRequest) -> Boxed<'_, PushResponse> {
        Box::pin(Transport::push(self, request))
    }

    fn missing(&self, request: MissingRequest) -> Boxed<'_, MissingResponse> {
        Box::pin(Transport::missing(self, request))
    }

    fn subscribe(&self, request: PullRequest) -> Boxed<'_, PageStream> {
        Box::pin(Transport::subscribe(self, request))
    }

    fn traffic(&self) -> Traffic {
        Transport::traffic(self)
    }

    fn close(&self) -> Boxed<'_, ()> {
        Box::pin(Transport::close(self))
    }
}

impl Transport for BoxTransport {
    async fn hello(&self, request: HelloRequest) -> Result<HelloResponse> {
        self.0.hello(request).await
    }

    async fn pull(&self, request: PullRequest) -> Result<PullResponse> {
        self.0.pull(request).await
    }

    async fn push(&self, request: PushRequest) -> Result<PushResponse> {
        self.0.push(request).await
    }

    async fn missing(&self, request: MissingRequest) -> Result<MissingResponse> {
        self.0.missing(request).await
    }

    async fn subscribe(&self, request: PullRequest) -> Result<PageStream> {
        self.0.subscribe(request).await
    }

    fn traffic(&self) -> Traffic {
        self.0.traffic()
    }

    async fn close(&self) -> Result<()> {
        self.0.close().await
    }
}

impl<T: Transport> Transport for Arc<T> {
    async fn hello(&self, request: HelloRequest) -> Result<HelloResponse> {
        T::hello(self, request).await
    }

    async fn pull(&self, request: PullRequest) -> Result<PullResponse> {
        T::pull(self, request).await
    }

    async fn push(&self, request: PushRequest) -> Result<PushResponse> {
        T::push(self, request).await
    }

    async fn missing(&self, request: MissingRequest) -> Result<MissingResponse> {
        T::missing(self, request).await
    }

    async fn subscribe(&self, request: PullRequest) -> Result<PageStream> {
        T::subscribe(self, request).await
    }

    fn traffic(&self) -> Traffic {
        T::traffic(self)
    }

    async fn close(&self) -> Result<()> {
        T::close(self).await
    }
}
