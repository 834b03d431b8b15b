//! The contract of a transport: the calls of a sync.
//!
//! An endpoint implements the same trait as a client, so in-process sync, relays and proxies need no interface of their
//! own. `messages.rs` has what the calls carry.

mod messages;

use std::future::Future;
use std::pin::Pin;

use futures_core::Stream;

use crate::boxed::boxed;
use crate::error::Result;

pub use messages::{
    Ahead, Caller, HelloRequest, HelloResponse, MissingRequest, MissingResponse, Placed, PullRequest,
    PullResponse, PushRequest, PushResponse, Refused, RefusedCode, Scope, Stored, Traffic, Unreadable,
};

/// The version of the protocol that these messages form.
pub const PROTOCOL_VERSION: u32 = 1;

/// The calls of a sync: a connection to a peer, or the peer itself.
///
/// # What an implementor must do
///
/// - Every call can be repeated, because its response may have been lost. There are no hidden retries; the engine
///   retries by the kind of the error.
/// - An error of the peer MUST keep its kind in transit.
/// - Dropping any future at any await MUST leave the peer as it was before the call or as it is after it.
/// - Incoming data MUST be checked against limits before it is held in memory.
///
/// ```
/// use synckit_core::{Caller, EventId, MissingRequest, Result, Transport};
///
/// /// Returns whether a peer holds an event.
/// async fn holds(peer: &impl Transport, caller: Caller, id: EventId) -> Result<bool> {
///     Ok(peer.missing(MissingRequest { caller, ids: vec![id], known: vec![] }).await?.ids.is_empty())
/// }
/// ```
pub trait Transport: Send + Sync + 'static {
    /// Introduces the caller to the peer, and learns who the peer is and how far each knows the other. Events that come
    /// with the hello are stored as by [`Transport::push`], if everything is as the caller expects.
    ///
    /// # Errors
    /// `Unsupported` for another protocol version, `Conflict` when both sides are the same replica, and those of the
    /// connection.
    fn hello(&self, request: HelloRequest) -> impl Future<Output = Result<HelloResponse>> + Send;

    /// Reads a page of the peer's log.
    ///
    /// # Errors
    /// `CursorUnknown` when the cursor is not of the peer's log, and those of the connection.
    fn pull(&self, request: PullRequest) -> impl Future<Output = Result<PullResponse>> + Send;

    /// Hands over events. Idempotent, and atomic per batch: on return, whatever was not refused is durable.
    ///
    /// # Errors
    /// `TooLarge` for a batch above the peer's limits, `CursorUnknown` when another place in the caller's log is on
    /// record than the caller believes, and those of the connection. Nothing was stored then.
    fn push(&self, request: PushRequest) -> impl Future<Output = Result<PushResponse>> + Send;

    /// Asks which of these events the peer does not hold.
    ///
    /// # Errors
    /// `TooLarge` for more ids than a batch may have events, and those of the connection.
    fn missing(&self, request: MissingRequest) -> impl Future<Output = Result<MissingResponse>> + Send;

    /// Opens a pull that never ends: it catches up, then stays live. Each item is a page, and the cursor of any page
    /// resumes it. Pages without events are sent from time to time to show that the stream is alive.
    ///
    /// # Errors
    /// Same as [`Transport::pull`], at the start or as the last item.
    fn subscribe(&self, request: PullRequest) -> impl Future<Output = Result<PageStream>> + Send;

    /// Returns what has crossed the wire through this transport since it was created; zero if there is no wire.
    fn traffic(&self) -> Traffic;

    /// Closes the connections. Later calls fail with `Closed`.
    ///
    /// # Errors
    /// Those of the connection.
    fn close(&self) -> impl Future<Output = Result<()>> + Send;
}

/// The pages of a subscription.
pub type PageStream = Pin<Box<dyn Stream<Item = Result<PullResponse>> + Send>>;

boxed! {
    /// Any [`Transport`], chosen at run time. Clones share the transport.
    ///
    /// ```
    /// use synckit_core::{BoxTransport, Transport};
    ///
    /// /// Puts two kinds of transports into one list.
    /// fn both(first: impl Transport, second: impl Transport) -> [BoxTransport; 2] {
    ///     [BoxTransport::new(first), BoxTransport::new(second)]
    /// }
    /// ```
    BoxTransport: Transport, DynTransport: DynTraffic {
        async fn hello(request: HelloRequest) -> HelloResponse;
        async fn pull(request: PullRequest) -> PullResponse;
        async fn push(request: PushRequest) -> PushResponse;
        async fn missing(request: MissingRequest) -> MissingResponse;
        async fn subscribe(request: PullRequest) -> PageStream;
        async fn close() -> ();
    }
    {
        fn traffic(&self) -> Traffic {
            self.0.traffic_boxed()
        }
    }
}

trait DynTraffic {
    fn traffic_boxed(&self) -> Traffic;
}

impl<T: Transport> DynTraffic for T {
    fn traffic_boxed(&self) -> Traffic {
        self.traffic()
    }
}
