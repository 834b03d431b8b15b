#![doc = include_str!("../README.md")]

// - `event/`, `data.rs`, `ids.rs`, `name.rs`, `identity.rs`, `timestamp.rs`: events and the names in them
// - `clock.rs`: dots and vector clocks
// - `cursor.rs`: places in a log
// - `store/`: the contract of a store and of its planners
// - `transport/`: the contract of a transport, and its messages
// - `boxed.rs`: the boxed form of both contracts
// - `binary.rs`, `json.rs`: the building blocks of compact binary forms; JSON that is kept verbatim

pub mod binary;
mod boxed;
mod clock;
mod cursor;
mod data;
mod error;
mod event;
mod filter;
mod identity;
mod ids;
pub mod json;
mod limits;
mod name;
mod store;
mod text;
mod timestamp;
mod transport;

pub use clock::{Causality, Dot, VectorClock};
pub use cursor::{Cursor, Mark, Position, Secret};
pub use data::{Data, Metadata};
pub use error::{Error, ErrorKind, Result};
pub use event::{Event, MAX_COUNTER, NewEvent, RESTAMP_TYPE, Stamp};
pub use filter::Filter;
pub use identity::{Former, Identity, Renewal};
pub use ids::{AggregateId, EventId, EventType, MAX_NAME_BYTES, NodeId, StoreId};
pub use limits::Limits;
pub use store::{
    BoxPlanner, BoxStore, Edit, EventStore, Facts, Held, LogHead, Needs, Note, NoteQuery, Page, Plan,
    Planner, Planning, Query, Step, StoredEvent,
};
pub use timestamp::Timestamp;
pub use transport::{
    Ahead, BoxTransport, Caller, HelloRequest, HelloResponse, MissingRequest, MissingResponse,
    PROTOCOL_VERSION, PageStream, Placed, PullRequest, PullResponse, PushRequest, PushResponse, Refused,
    RefusedCode, Scope, Stored, Traffic, Transport, Unreadable,
};
