#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! - [`Event`], [`NewEvent`], [`Data`], [`Metadata`], and the names of things: [`NodeId`], [`EventId`], …
//! - causality: [`Dot`], [`VectorClock`], [`Timestamp`], [`Version`]
//! - conflicts: [`Conflict`], [`ConflictResolver`], [`Resolution`],
//!   [`History`]
//! - the contracts: [`EventStore`], [`Watch`], [`Transport`], and their boxed forms
//! - [`MemoryLog`]: a log in memory, for stores that answer from there
//! - [`plan`]: the pure planning that runs inside a store's transaction
//! - [`notes`]: the keys of the notebook

mod clock;
mod conflict;
mod cursor;
mod data;
mod error;
mod event;
mod filter;
mod ids;
pub mod json;
mod limits;
mod memory_log;
pub mod notes;
pub mod plan;
mod restamp;
mod short;
mod store;
mod text;
mod timestamp;
mod transport;
mod varint;
mod version;

pub use clock::{Causality, Dot, VectorClock};
pub use conflict::{
    Answer, Branch, Conflict, ConflictResolver, Decision, Entry, Head, Heads, History, Kept, RESOLUTION_TYPE,
    Resolution, Ruling, Side, Standing,
};
pub use cursor::{Cursor, Mark, Secret};
pub use data::{Data, Metadata};
pub use error::{Error, ErrorKind, Result};
pub use event::{Event, MAX_COUNTER, NewEvent};
pub use filter::Filter;
pub use ids::{AggregateId, EventId, EventType, MAX_NAME_BYTES, NodeId, StoreId};
pub use limits::Limits;
pub use memory_log::MemoryLog;
pub use restamp::{RESTAMP_TYPE, Restamp};
pub use store::{
    BoxStore, EventStore, Facts, Held, LogHead, Needs, NoteQuery, Page, Plan, Query, StoredEvent, Watch,
};
pub use timestamp::Timestamp;
pub use transport::{
    Ahead, BoxTransport, Caller, HelloRequest, HelloResponse, MissingRequest, MissingResponse,
    PROTOCOL_VERSION, PageStream, Placed, PullRequest, PullResponse, PushRequest, PushResponse, RefusalCode,
    Refused, Scope, Stored, Traffic, Transport, Unreadable,
};
pub use version::{Position, Version};
